"""Paths that no verb can use, one of each kind; they bind root, too."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

Make = Callable[[Path, str], str]
"""What makes a bad path in a folder, with the suffix that the reader wants, and returns it."""


def _directory(folder: Path, suffix: str) -> str:
    (folder / f"folder{suffix}").mkdir()
    return str(folder / f"folder{suffix}")


def _pipe(folder: Path, suffix: str) -> str:
    os.mkfifo(folder / f"pipe{suffix}")
    return str(folder / f"pipe{suffix}")


def _loop(folder: Path, suffix: str) -> str:
    (folder / f"loop{suffix}").symlink_to(folder / f"loop{suffix}")
    return str(folder / f"loop{suffix}")


def _below_a_file(folder: Path, suffix: str) -> str:
    (folder / "file").write_text("in the way")
    return str(folder / "file" / f"below{suffix}")


def _nowhere(folder: Path, suffix: str) -> str:
    (folder / f"nowhere{suffix}").symlink_to(folder / "gone")
    return str(folder / f"nowhere{suffix}")


def _refused(folder: Path, suffix: str) -> str:
    """A file that may be opened and not be read."""
    (folder / f"memory{suffix}").symlink_to("/proc/self/mem")
    return str(folder / f"memory{suffix}")


NOT_FOLLOWED: dict[str, Make] = {
    "a long name": lambda folder, suffix: str(folder / f"{'x' * 300}{suffix}"),
    "a long path": lambda folder, suffix: str(folder / f"{'x/' * 3000}x{suffix}"),
    "bytes that are no UTF-8": lambda folder, suffix: str(folder / f"a\udcff{suffix}"),
    "a NUL": lambda folder, suffix: str(folder / f"a\0b{suffix}"),
    "a loop of links": _loop,
    "below a file": _below_a_file,
}
"""Of whatever lies there nothing can be known."""
NOT_READ: dict[str, Make] = {
    **NOT_FOLLOWED,
    "a directory": _directory,
    "a pipe": _pipe,
    "a device": lambda folder, suffix: "/dev/zero",
    "a full device": lambda folder, suffix: "/dev/full",
    "a link that leads nowhere": _nowhere,
    "a file that the system refuses to read": _refused,
    "nothing": lambda folder, suffix: str(folder / f"nothing{suffix}"),
}
"""Where a file is read."""
NOT_WRITTEN: dict[str, Make] = {
    **NOT_FOLLOWED,
    "a pipe": _pipe,
    "a device": lambda folder, suffix: "/dev/null",
    "a full device": lambda folder, suffix: "/dev/full",
    "a link that leads nowhere": _nowhere,
    "a file system without room for files": lambda folder, suffix: f"/proc/archfront{suffix}",
}
"""Where a file or a directory is written."""
