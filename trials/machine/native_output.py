"""What a person sees of the program, apart from what libraries and new processes write: in place of the terminal those have a file."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TextIO

from trials.machine.redaction import redacted

DATA, TALK = 1, 2
"""Descriptors of standard output and standard error, which C++, loggers of libraries and new processes write to."""
LONGEST_READ = 1_000_000
"""Bytes of what was set apart that are read again."""
LIBRARIES_LOG = "libraries.log"
"""Name, in the directory of what runs, of the file that has what libraries and helper processes said."""
_person: TextIO | None = None
_stand_in: TextIO | None = None


def person() -> TextIO:
    """Where the person who runs the program is told something: standard error, wherever that leads."""
    if _stand_in is not None:
        return _stand_in
    return sys.stderr if _person is None else _person


def stand_in(stream: TextIO | None) -> None:
    """Have what the person is told go through this stream from now on, such as one that keeps it above a live view; None for none."""
    global _stand_in
    _stand_in = stream


def set_apart() -> None:
    """Leave the terminal to us: from now on what anybody else writes to descriptors 1 and 2 goes into a file without a name.

    `print` still reaches the person's standard output, and `person` standard error; whatever is started inherits the file.
    """
    global _person
    if _person is not None:
        return
    with suppress(OSError, ValueError, AttributeError):  # a stream that is closed, or is none of a process
        sys.stderr.flush()
        told, shown = _beside(sys.stderr, TALK), _beside(sys.stdout, DATA)
        with tempfile.TemporaryFile() as file:
            _lead_into(file.fileno())
        _person, sys.stdout, sys.excepthook = told, shown, _tell


def keep_in(directory: Path) -> None:
    """Have what libraries and new processes write from now on lie in a directory, in place of what an earlier run left there.

    Where nothing may be written there, or nothing was set apart, all stays as it is.
    """
    if _person is None:
        return
    with suppress(OSError):
        file = os.open(directory / LIBRARIES_LOG, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o644)
        _lead_into(file)
        os.close(file)


@contextmanager
def native_output() -> Iterator[Callable[[], str]]:
    """Gives what reads what was set apart inside so far; nothing where nothing is."""
    if _person is None:
        yield str
        return
    begun = os.fstat(TALK).st_size

    def said() -> str:
        try:
            return os.pread(TALK, LONGEST_READ, begun).decode(errors="replace")
        except OSError:  # a signal has silenced it
            return ""

    yield said


def silence() -> None:
    """Nothing that anybody writes to standard error from now on is seen."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for descriptor in {TALK, person().fileno()}:
            os.dup2(nowhere, descriptor)
        os.close(nowhere)


def _beside(stream: TextIO, descriptor: int) -> TextIO:
    """The stream on a descriptor of its own, if it has this one."""
    if stream.fileno() != descriptor:
        return stream
    buffering = 1 if descriptor == TALK or stream.isatty() else -1
    return os.fdopen(os.dup(descriptor), "w", buffering, encoding=stream.encoding, errors=stream.errors)


def _lead_into(file: int) -> None:
    sys.stderr.flush()
    for descriptor in (DATA, TALK):
        os.dup2(file, descriptor)


def _tell(kind: type[BaseException], error: BaseException, frames: TracebackType | None) -> None:
    """A fault of ours is the person's to see."""
    print(redacted("".join(traceback.format_exception(kind, error, frames))), end="", file=person(), flush=True)
