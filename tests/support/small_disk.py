"""A disk of its own with little room (tmpfs(5)), filled and emptied at will: what a full one refuses is refused by the kernel."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import pytest

from analysis.records.record import TrialRecord
from tests.support import fakes
from trials.trial.task import TrialTask

BYTES = 48 << 20
FILLER = "filler"


@cache
def can_mount() -> bool:
    """Whether this user may have a disk of its own here."""
    try:
        return (
            subprocess.run(["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False).returncode == 0
        )
    except OSError:
        return False


SMALL_DISK = pytest.mark.skipif(not can_mount(), reason="a disk of its own (mount(8)) needs root, which this user is not here")


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """The folder as a disk of `BYTES`; it is gone afterwards, whoever still works in it."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={BYTES}", "none", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def leave_room(disk: Path, left: int) -> None:
    """Fill the disk but for so many bytes, in whole pages."""
    found = os.statvfs(disk)
    with (disk / FILLER).open("ab") as file:
        os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, max(1, found.f_bavail * found.f_frsize - left))


def make_room(disk: Path) -> None:
    """Take away what fills it."""
    with suppress(FileNotFoundError):
        (disk / FILLER).unlink()


def filling(disk: Path, left: int, at: int, task: TrialTask) -> TrialRecord:
    """As `fakes.plausible`, and once that trial begins the disk is full but for so many bytes, until there is room again."""
    if task.number == at and not (disk / FILLER).exists():
        leave_room(disk, left)
    return fakes.plausible(task)
