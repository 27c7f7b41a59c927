"""Modules of ours that are run as programs, in processes forked from one that has imported what takes seconds."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from multiprocessing import get_context
from pathlib import Path

from trials.machine.subprocesses import printed_by, run_in_subprocess

PRELOADED = ["trials.training.lightning_loop", "trials.trial.run_trial", "trials.export.subprocess_reading", "trials.formats.gguf_file"]
"""What the process that they are forked from has imported."""

STREAMS = {"0": os.O_RDONLY, "1": os.O_WRONLY, "2": os.O_WRONLY}
"""Files that stand for a program's standard streams, by their numbers, and how it opens them."""
INTERPRETER = Path(sys.executable)
"""What Python runs in, before any test puts another program in its place."""


def run_forked(module: str, arguments: Sequence[str], what: str, *, timeout_seconds: float, said: str = "") -> str:
    """As `run_in_subprocess`, which it is where a test has put another program in Python's place."""
    if Path(sys.executable) != INTERPRETER:
        return run_in_subprocess(module, arguments, what, timeout_seconds=timeout_seconds, said=said)
    with tempfile.TemporaryDirectory() as folder:
        given, printed, complained = (Path(folder, stream) for stream in STREAMS)
        given.write_text(said)
        printed.touch()
        complained.touch()
        process = get_context("forkserver").Process(target=_as_program, args=(module, [*arguments], folder))
        process.start()
        process.join(timeout_seconds)
        if process.is_alive():
            process.kill()
            process.join()
        done = subprocess.CompletedProcess(
            module, process.exitcode or 0, printed.read_text(errors="replace"), complained.read_text(errors="replace")
        )
    return printed_by(done, what)


def _as_program(module: str, arguments: list[str], folder: str) -> None:
    for stream, how in STREAMS.items():
        os.dup2(os.open(Path(folder, stream), how), int(stream))
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w", buffering=1)  # noqa: SIM115  the process ends with them
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__")
