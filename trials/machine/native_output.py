"""Standard error of C++, which has no switch: set aside while a library speaks there, and quoted where it said why something failed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

NATIVE = 2
"""The descriptor that C++ writes to."""
LONGEST_KEPT = 1_000_000
"""Bytes of what was set aside that are read again."""


def own_descriptor() -> None:
    """Give Python's standard error a descriptor of its own, so that a person goes on hearing us while C++ is set aside."""
    with suppress(OSError, ValueError):
        if sys.stderr.fileno() == NATIVE:
            sys.stderr = os.fdopen(os.dup(NATIVE), "w", buffering=1, encoding=sys.stderr.encoding, errors=sys.stderr.errors)


@contextmanager
def native_output() -> Iterator[Callable[[], str]]:
    """What C++ and new processes write to standard error inside is set aside, where Python has its own; gives what reads it so far."""
    if not _python_has_its_own():
        yield str
        return
    shown, kept = os.dup(NATIVE), os.memfd_create("stderr")
    os.dup2(kept, NATIVE)
    try:
        yield lambda: os.pread(kept, LONGEST_KEPT, 0).decode(errors="replace")
    finally:
        if os.fstat(NATIVE).st_ino == os.fstat(kept).st_ino:  # else a signal has silenced it for good
            os.dup2(shown, NATIVE)
        os.close(shown)
        os.close(kept)


def silence() -> None:
    """Nothing that Python or C++ writes to standard error from now on is seen."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for descriptor in {NATIVE, sys.stderr.fileno()}:
            os.dup2(nowhere, descriptor)
        os.close(nowhere)


def _python_has_its_own() -> bool:
    try:
        return sys.stderr.fileno() != NATIVE
    except (OSError, ValueError):
        return False
