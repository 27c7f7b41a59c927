"""The memory that a shape takes in a runtime, seen in a fresh process: in one that lives through many, what is freed is not given back."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

from analysis.records.json_text import parse_json
from analysis.records.json_writer import json_of
from search_space.architecture import Architecture
from search_space.errors import WorkError
from trials.catalogue.runtimes import RUNTIMES
from trials.latency.repeats import run_once, some_tokens
from trials.latency.runtimes import find_runtime
from trials.machine.process_memory import process_bytes, restart_peak
from trials.machine.subprocesses import run_in_subprocess
from trials.study.latency_spec import LatencySpec

DECODED_TOKENS = 4
"""Decoded after the prompt."""
MEMORY_TIMEOUT_SECONDS = 120.0


def peak_memory_bytes(directory: Path, architecture: Architecture, spec: LatencySpec) -> int | None:
    """The most that loading prepared files, reading the prompt and decoding take; None where the system or the runtime does not say.

    Of a processor's runtime: resident bytes beyond those of the process with the runtime's libraries in it, mapped files included.
    Of a GPU's: what torch allocated there.
    """
    request = {"directory": str(directory), "architecture": architecture.as_dict(), "spec": spec.model_dump()}
    try:
        printed = run_in_subprocess(__name__, [], "it", timeout_seconds=MEMORY_TIMEOUT_SECONDS, said=json_of(request))
        found: int | None = parse_json(printed.splitlines()[-1])
    except (WorkError, ValueError, IndexError):
        return None  # what does not run here will not run in the measurement either, which says why
    return found


def main() -> None:
    """The fresh process: a request as JSON on standard input, bytes or null on standard output."""
    request = parse_json(sys.stdin.read())
    spec, architecture = LatencySpec(**request["spec"]), Architecture.from_dict(request["architecture"])
    runtime, gpu = find_runtime(spec.runtime), RUNTIMES[spec.runtime].device == "cuda"
    prompt, new = some_tokens(architecture.vocab_size, spec.prompt_tokens, DECODED_TOKENS)
    with suppress(OSError):
        restart_peak()
    before = process_bytes("VmRSS")
    session = runtime.load(Path(request["directory"]), architecture, len(prompt) + len(new), spec.threads)
    run_once(session, prompt, new)
    print(json_of(_allocated() if gpu else _difference(before, process_bytes("VmHWM"))), flush=True)
    session.close()


def _allocated() -> int:
    import torch

    return torch.cuda.max_memory_allocated()


def _difference(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else after - before


if __name__ == "__main__":
    main()
