"""Quiet for a measurement: training on this machine pauses while a latency is taken.

Two files, locked with flock. Trainers share the *lock* and let go of it between two steps whenever somebody is at the *gate*; whoever
measures takes the gate first, so that no trainer can come back, and then the lock, which is free as soon as the last trainer has
ended its step. The kernel lets go of both when a process dies, however it dies.

Several studies on one machine meet here, and one that measures all the time must not keep another from training. So the gate says until
when trainers are to be left alone: after a measurement, for a share of the time that it took.
"""

from __future__ import annotations

import fcntl
import os
import stat
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path

from search_space.errors import SpecError, refused

PAUSE_BELOW_PROCESSORS = 8
"""Processors below which a trainer and a measurement meet on the same processors and caches; chosen, not measured."""
POLL_SECONDS = 0.002
TRAINING_SHARE = 0.5
"""Share of a measurement's time for which trainers are left alone after it: they have a third of the machine, however much is measured
(docs/findings.md, 2026-11-26: studies on one machine starved each other's training)."""
LONGEST_TURN_SECONDS = 10.0
"""Longest turn of the trainers between two measurements; after a reboot the clock begins anew, and what lies in the file means nothing."""
RETURN_SECONDS = 0.05
"""Time in which a trainer that waited has come back; where none has, nobody trains, and the next measurement need not wait."""
MOMENTS = struct.Struct("=dd")
"""What the gate's file holds: when the last measurement ended, and until when trainers are left alone, both monotonic."""


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
        self._mine = b""

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
        if not self.is_wanted():
            return 0.0
        since = time.monotonic()
        fcntl.flock(self._lock, fcntl.LOCK_UN)
        self._join()
        return time.monotonic() - since

    def is_wanted(self) -> bool:
        """Whether somebody measures or waits to, so that a `pause` takes a while."""
        try:
            fcntl.flock(self._gate, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        fcntl.flock(self._gate, fcntl.LOCK_UN)
        return False

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
        self._take_turn(since + timeout_seconds, timeout_seconds)
        try:
            _take(self._lock, since + timeout_seconds, f"a training run did not pause within {timeout_seconds:g} seconds")
            began = time.monotonic()
            try:
                yield began - since
            finally:
                self._give_turn(began)
                fcntl.flock(self._lock, fcntl.LOCK_UN)
        finally:
            fcntl.flock(self._gate, fcntl.LOCK_UN)

    def _give_turn(self, began: float) -> None:
        """Leave the machine to trainers for a while, after a measurement that began then."""
        ended = time.monotonic()
        self._mine = MOMENTS.pack(ended, ended + min(TRAINING_SHARE * (ended - began), LONGEST_TURN_SECONDS))
        with suppress(OSError):  # a full disk makes it unfair, and fails nothing
            os.pwrite(self._gate, self._mine, 0)

    def _take_turn(self, deadline: float, timeout_seconds: float) -> None:
        """Take the gate when the trainers have had their turn; they are not disturbed before."""
        complaint = f"other measurements, and training's turns between them, did not end within {timeout_seconds:g} seconds"
        while True:
            said = self._said()
            while len(said) == MOMENTS.size and not self._is_over(*MOMENTS.unpack(said)):
                if time.monotonic() > deadline:
                    raise QuietTimeoutError(complaint)
                time.sleep(POLL_SECONDS)
            if said and said == self._mine:
                time.sleep(4 * POLL_SECONDS)  # whoever waits for longer goes first
            _take(self._gate, deadline, complaint)
            late = time.monotonic() > deadline
            if self._said() == said and not late:
                return
            fcntl.flock(self._gate, fcntl.LOCK_UN)  # another measurement came between, and it is the trainers' turn again
            if late:
                raise QuietTimeoutError(complaint)  # training was not asked to pause, and is not to blame

    def _said(self) -> bytes:
        return os.pread(self._gate, MOMENTS.size, 0)

    def _is_over(self, ended: float, until: float) -> bool:
        """Whether the trainers' turn is, or nobody has taken it."""
        now = time.monotonic()
        if not ended <= now < until <= ended + LONGEST_TURN_SECONDS:
            return True
        if now < ended + RETURN_SECONDS:
            return False
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        fcntl.flock(self._lock, fcntl.LOCK_UN)
        return True


class Turn:
    """A trainer's part in the quiet, from its first step on and not before: its own latency is taken first, and would wait for itself."""

    def __init__(self, on_gpu: bool, held_up: Callable[[], AbstractContextManager[None]] = nullcontext) -> None:
        """Where latencies are taken `on_gpu`, what is still to be done there ends before anybody measures.

        The trainer is inside a `held_up()` while it waits for others.
        """
        self._on_gpu, self._held_up, self._quiet, self._joined = on_gpu, held_up, QuietLock(), ExitStack()
        self._is_joined = False

    def pause(self) -> float:
        """Seconds that the step was held up, as `QuietLock.pause`."""
        if self._on_gpu:
            import torch

            torch.cuda.synchronize()
        if self._is_joined and not self._quiet.is_wanted():
            return 0.0
        with self._held_up():
            if self._is_joined:
                return self._quiet.pause()
            since, self._is_joined = time.monotonic(), True
            self._joined.enter_context(self._quiet.training())
            return time.monotonic() - since

    def leave(self) -> None:
        """Train no more, until the next `pause`."""
        self._joined.close()
        self._is_joined = False

    def close(self) -> None:
        """Leave for good."""
        self.leave()
        self._quiet.close()


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
        raise refused(error, path, "be a file that this user can lock", cure) from None
    status = os.fstat(file)
    if status.st_uid != os.getuid() or not stat.S_ISREG(status.st_mode):
        os.close(file)
        raise SpecError(f"{path} must be a plain file of this user, found another's or another kind; {cure}")
    return file
