"""Temporary folders that are locked while their process lives, so that those of processes that were killed can be told and removed."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

HOLDER = "held.lock"
"""Locked by the process whose folder it is; the kernel lets go of it when that process ends, however."""


@contextmanager
def held_folder(prefix: str, root: str | None = None) -> Iterator[Path]:
    """A new folder below `root` (default: where temporary files go), held by this process while inside, and left there afterwards."""
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=root))
    draft = folder / f"{HOLDER}.draft"
    file = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        draft.rename(folder / HOLDER)  # it has its name only once it is locked
        yield folder
    finally:
        os.close(file)


@contextmanager
def removed_at_last(folder: Path) -> Iterator[None]:
    """Remove the folder with all in it when the block ends, as far as that can be."""
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_left(prefix: str, root: str | None = None) -> None:
    """Remove this user's folders of `held_folder` there that no process holds any more."""
    for folder in Path(root or tempfile.gettempdir()).glob(f"{prefix}*"):
        with suppress(OSError):  # others' folders, and what is removed meanwhile
            if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
                continue
            file = os.open(folder / HOLDER, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(file)
