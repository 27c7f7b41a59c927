"""Quiet for a measurement: training on this machine pauses while a latency is taken.

Two files, locked with flock. Trainers share the *lock* and let go of it between two steps whenever somebody is at the *gate*; whoever
measures takes the gate first, so that no trainer can come back, and then the lock, which is free as soon as the last trainer has
ended its step. The kernel lets go of both when a process dies, however it dies.
"""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from search_space.errors import SpecError

PAUSE_BELOW_PROCESSORS = 8
"""On a smaller machine a trainer and a measurement meet on the same processors and caches; chosen, not measured."""
POLL_SECONDS = 0.002


class QuietTimeoutError(TimeoutError):
    """Training did not pause, or another measurement did not end, in the time allowed."""


def should_pause(processors: int | None = None) -> bool:
    """Whether training should pause for measurements on a machine with that many processors (by default, those of this process).

    A trainer that need not pause simply does not enter `QuietLock.training`; measurements exclude each other on every machine.
    """
    if processors is None:
        processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return processors < PAUSE_BELOW_PROCESSORS


class QuietLock:
    """One process's handle on the machine-wide quiet; every object and every process of the same user meets the same two files."""

    def __init__(self, directory: Path | None = None) -> None:
        """Open the files in the temporary directory, or in a `directory` of its own; SpecError where they are not this user's."""
        name = f"archfront-{os.getuid()}-quiet"
        folder = Path(tempfile.gettempdir()) if directory is None else directory
        self._gate = _open(folder / f"{name}.gate")
        self._lock = _open(folder / f"{name}.lock")

    def close(self) -> None:
        """Let go of everything; the object is of no use afterwards."""
        os.close(self._gate)
        os.close(self._lock)

    @contextmanager
    def training(self) -> Iterator[QuietLock]:
        """Train inside, and call `pause` at every step; entering waits until nobody measures."""
        self._join()
        try:
            yield self
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def pause(self) -> float:
        """Seconds that training was held up here, inside `training`: 0.0 unless somebody measures or waits to."""
        try:
            fcntl.flock(self._gate, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            since = time.monotonic()
            fcntl.flock(self._lock, fcntl.LOCK_UN)
            self._join()
            return time.monotonic() - since
        fcntl.flock(self._gate, fcntl.LOCK_UN)
        return 0.0

    def _join(self) -> None:
        """Share the lock; at the gate's inner side nobody can hold it exclusively."""
        fcntl.flock(self._gate, fcntl.LOCK_SH)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_SH)
        finally:
            fcntl.flock(self._gate, fcntl.LOCK_UN)

    @contextmanager
    def measuring(self, timeout_seconds: float) -> Iterator[float]:
        """Have the machine for oneself inside; yields the seconds waited, QuietTimeoutError where it takes longer than allowed."""
        since = time.monotonic()
        _take(self._gate, since + timeout_seconds, f"another measurement did not end within {timeout_seconds:g} seconds")
        try:
            _take(self._lock, since + timeout_seconds, f"a training run did not pause within {timeout_seconds:g} seconds")
            try:
                yield time.monotonic() - since
            finally:
                fcntl.flock(self._lock, fcntl.LOCK_UN)
        finally:
            fcntl.flock(self._gate, fcntl.LOCK_UN)


def _take(file: int, deadline: float, complaint: str) -> None:
    """Lock exclusively; flock knows no timeout, so ask again and again."""
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise QuietTimeoutError(complaint) from None
            time.sleep(POLL_SECONDS)


def _open(path: Path) -> int:
    """Open or create a lock file in a directory where others may write: never through a link, never somebody else's."""
    cure = "remove it, or point TMPDIR at a directory of your own"
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SpecError(f"{path} must be a file that this user can lock, found: {error.strerror}; {cure}") from None
    status = os.fstat(file)
    if status.st_uid != os.getuid() or not stat.S_ISREG(status.st_mode):
        os.close(file)
        raise SpecError(f"{path} must be a plain file of this user, found another's or another kind; {cure}")
    return file
