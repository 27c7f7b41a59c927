"""Work that may end its process, in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from search_space.errors import WorkError

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_SECONDS = 1800.0


def run_in_subprocess(module: str, arguments: Sequence[str], what: str, *, timeout_seconds: float, said: str = "") -> str:
    """Run a module of ours by `python -m`, with `said` on its standard input; returns what it printed.

    Raises WorkError where the process does not end well, or not in time; `what` names it there, and its last line follows.
    """
    command = [sys.executable, "-m", module, *arguments]
    try:  # from where the packages are; the caller's folder may have a `trials` of its own
        done = subprocess.run(command, input=said, cwd=ROOT, capture_output=True, text=True, errors="replace", timeout=timeout_seconds)
    except subprocess.TimeoutExpired:
        raise WorkError(f"{what} did not end within {timeout_seconds:g} seconds") from None
    return printed_by(done, what)


def printed_by(done: subprocess.CompletedProcess[str], what: str) -> str:
    """What a process printed that is over; WorkError with its last line where it did not end well."""
    if done.returncode:
        last = done.stderr.strip().splitlines()
        raise WorkError(f"{what} {how_it_ended(done.returncode)}{': ' + last[-1] if last else ''}")
    return done.stdout


def how_it_ended(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"ended with exit code {code}"
    named = -code in {*signal.Signals}  # the real-time signals between the first and the last have no name
    return f"was ended by {signal.Signals(-code).name if named else f'signal {-code}'}"
