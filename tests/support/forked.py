"""Modules of ours that are run as programs, in processes forked from one that has imported what takes seconds."""

from __future__ import annotations

import os
import runpy
import sys
import tempfile
from collections.abc import Sequence
from multiprocessing import get_context
from pathlib import Path

from search_space.errors import WorkError
from trials.machine.subprocesses import how_it_ended, run_in_subprocess

PRELOADED = ["trials.training.lightning_loop", "trials.trial.run_trial", "trials.export.subprocess_reading", "trials.formats.gguf_file"]
"""What the process that they are forked from has imported."""

INTERPRETER = Path(sys.executable)
"""What Python runs in, before any test puts another program in its place."""


def run_forked(module: str, arguments: Sequence[str], what: str, *, timeout_seconds: float, said: str = "") -> str:
    """As `run_in_subprocess`, which it is where a test has put another program in Python's place."""
    if Path(sys.executable) != INTERPRETER:
        return run_in_subprocess(module, arguments, what, timeout_seconds=timeout_seconds, said=said)
    with tempfile.TemporaryDirectory() as folder:
        process = get_context("forkserver").Process(target=_as_program, args=(module, [*arguments], said, folder))
        process.start()
        process.join(timeout_seconds)
        code = process.exitcode
        if code is None:
            process.kill()
            process.join()
            raise WorkError(f"{what} did not end within {timeout_seconds:g} seconds")
        printed, complained = (Path(folder, name).read_text(errors="replace") if Path(folder, name).exists() else "" for name in ("1", "2"))
    if code:
        last = complained.strip().splitlines()
        raise WorkError(f"{what} {how_it_ended(code)}{': ' + last[-1] if last else ''}")
    return printed


def _as_program(module: str, arguments: list[str], said: str, folder: str) -> None:
    Path(folder, "0").write_text(said)
    for stream, how in (("0", os.O_RDONLY), ("1", os.O_WRONLY | os.O_CREAT), ("2", os.O_WRONLY | os.O_CREAT)):
        os.dup2(os.open(Path(folder, stream), how), int(stream))
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w", buffering=1)  # noqa: SIM115  the process ends with them
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__")
