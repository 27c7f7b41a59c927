"""A queue of processes on one machine for something that one of them has at a time: who has waited longest is next.

Each waits with a ticket, a file whose name says when it was drawn, and which it holds locked; the kernel lets go of the lock when the
process dies, however it dies, and a ticket that nobody holds counts no more. Who comes again draws a new ticket and stands behind all
who wait, so that of several studies each has its turn, however much one of them asks for.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from trials.machine.own_folder import own_folder

ASK_AGAIN_SECONDS = 0.02
TURN_FILE = "turn"
"""What keeps all but one out: the tickets say who is next, and two may be drawn at the same moment."""
UNLOCKED = ".drawn"
"""The end of a ticket's name while it is not locked yet."""


class FairQueue:
    """One process's way into the queue of that name; all processes of the same user meet in the same folder."""

    def __init__(self, name: str, directory: Path | None = None) -> None:
        """The queue lies in the temporary directory, or in a `directory` of its own; raises SpecError where it is not this user's."""
        root = Path(tempfile.gettempdir()) if directory is None else directory
        self._folder = own_folder(root, name)

    @contextmanager
    def turn(self) -> Iterator[float]:
        """Have it inside, alone; yields the seconds waited, which may be any number."""
        since = time.monotonic()
        lock = os.open(self._folder / TURN_FILE, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            ticket, file = self._draw()
            try:
                while any(self._is_held(other) for other in self._before(ticket)) or not _is_taken(lock):
                    time.sleep(ASK_AGAIN_SECONDS)
                yield time.monotonic() - since
            finally:
                with suppress(OSError):
                    ticket.unlink()
                os.close(file)
        finally:
            os.close(lock)

    def _draw(self) -> tuple[Path, int]:
        """A locked ticket; it has its name only once it is locked."""
        draft = self._folder / f"{os.getpid()}-{time.monotonic_ns()}{UNLOCKED}"
        file = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            ticket = self._folder / f"{time.monotonic_ns():020d}-{os.getpid()}-{file}"
            draft.rename(ticket)
        except BaseException:
            with suppress(OSError):
                draft.unlink()
            os.close(file)
            raise
        return ticket, file

    def _before(self, ticket: Path) -> list[Path]:
        return sorted(other for other in self._folder.iterdir() if other.suffix != UNLOCKED and other.name < ticket.name)

    def _is_held(self, ticket: Path) -> bool:
        """Whether somebody waits with that ticket; one that was left behind is removed."""
        try:
            file = os.open(ticket, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return False  # its turn is over
        try:
            is_held = not _is_taken(file)
        finally:
            os.close(file)
        if not is_held:
            with suppress(OSError):
                ticket.unlink()
        return is_held


def _is_taken(file: int) -> bool:
    """Whether the file's lock was free, and is this process's now."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
