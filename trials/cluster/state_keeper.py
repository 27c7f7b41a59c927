"""Where the states of trainings lie on a cluster: in a directory of the driver's node, also for workers that do not see it.

Such a worker sends its state, in pieces, to an actor on that node, which has the directory; who goes on with the training, wherever
that is, fetches it from there. What is lost on the way costs a state, never a training.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from trials.study.directory import DRAFT

STATE_PIECE_BYTES = 16 << 20
"""Bytes of a state that travel at once, so that one of gigabytes takes no more of Ray's store."""
STATE_PIECE_SECONDS = 60.0
"""Longest wait for a piece to be taken or given: a training stands still meanwhile."""
ROOM = 2.0
"""A state is taken where so many times its size are free on the disk, which is the records' first."""


class FileGiver:
    """Gives out files of a directory on the driver's node; each has a name that is relative to the directory, and lies in it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def give(self, name: str, at: int) -> bytes:
        """The piece of a file that begins there; empty behind its end, and where there is none."""
        try:
            with self._file(name).open("rb") as file:
                file.seek(at)
                return file.read(STATE_PIECE_BYTES)
        except OSError:
            return b""

    def _file(self, name: str) -> Path:
        """Where a name lies; FileNotFoundError where that is not in the directory."""
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise FileNotFoundError(name)
        return self._directory / name


class StateKeeper(FileGiver):
    """Takes files into the directory, too."""

    def take(self, name: str, at: int, piece: bytes, whole: int, token: str) -> bool:
        """One more piece of a file of so many bytes; with the last one it stands in place of the one before.

        `token` is the file's own: a worker that was given up may still send one while the training's next worker does, and whoever began
        last goes on. False where there is no room for it, where it does not follow on what is there, or where the disk refuses it; nothing
        stays of it then.
        """
        try:
            file = self._file(name)
        except OSError:
            return False
        draft = file.with_name(f"{file.name}.sent-{token}{DRAFT}")
        try:
            if at == 0:
                file.parent.mkdir(exist_ok=True)
                for other in file.parent.glob(f"{file.name}.sent-*{DRAFT}"):
                    other.unlink()
                if shutil.disk_usage(file.parent).free < ROOM * whole:
                    return False
            with draft.open("ab" if at else "wb") as written:
                if written.tell() != at:
                    draft.unlink()
                    return False
                written.write(piece)
                if at + len(piece) < whole:
                    return True
                written.flush()
                os.fsync(written.fileno())
            os.replace(draft, file)
        except OSError:
            with suppress(OSError):
                draft.unlink()
            return False
        return True


@contextmanager
def keeping_states(directory: Path, kind: type[FileGiver] = StateKeeper) -> Iterator[Any]:
    """Have a StateKeeper, or one that gives out alone, on this driver's node, as Ray's handle, while inside."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    keeper = ray.remote(kind).options(num_cpus=0, max_restarts=-1, scheduling_strategy=here).remote(directory)
    try:
        yield keeper
    finally:
        ray.kill(keeper)


def send(keeper: Any, name: str, file: Path) -> bool:
    """Have what is whole in that file kept under that name; or leave what is kept as it is, and say so by False."""
    whole, token = file.stat().st_size, uuid.uuid4().hex
    with file.open("rb") as read, suppress(RayError):
        for at in range(0, whole, STATE_PIECE_BYTES):
            if not ray.get(keeper.take.remote(name, at, read.read(STATE_PIECE_BYTES), whole, token), timeout=STATE_PIECE_SECONDS):
                return False
        return True
    return False


def fetch(keeper: Any, name: str, file: Path) -> bool:
    """Write what is kept under that name to a file, empty where there is nothing; False where it cannot be had, and is cut short."""
    with file.open("wb") as written, suppress(RayError):
        while piece := ray.get(keeper.give.remote(name, written.tell()), timeout=STATE_PIECE_SECONDS):
            written.write(piece)
        return True
    return False
