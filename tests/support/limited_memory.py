"""A control group of the kernel with little memory: whatever in it asks for more is ended as on a machine that has no more."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
HIERARCHIES = ((CGROUPS / "memory", "memory.limit_in_bytes"), (CGROUPS, "memory.max"))
"""Where groups may be made, and which file of one has its limit: by version 1 of the kernel's interface, and by version 2."""


@contextmanager
def group_of(limit_bytes: int) -> Iterator[Path]:
    """A group with so much memory and no swap, as its folder; OSError where this user may make none, or a process of it lives on."""
    for root, limit in HIERARCHIES:
        folder = root / f"archfront-{uuid.uuid4().hex[:12]}"
        if not root.is_dir() or (root == CGROUPS and not (CGROUPS / "cgroup.controllers").exists()):
            continue
        folder.mkdir()
        try:
            (folder / limit).write_text(str(limit_bytes))
            yield folder
        finally:
            _removed(folder)
        return
    raise FileNotFoundError(2, "the kernel's control groups of memory are not here")


def _removed(folder: Path) -> None:
    """The kernel removes a group once its last process is gone for good."""
    for _ in range(50):
        try:
            return folder.rmdir()
        except OSError:
            time.sleep(0.2)
    return folder.rmdir()


@cache
def can_limit_memory() -> bool:
    """Whether this user may make such groups here."""
    try:
        with group_of(1 << 30) as folder:
            return os.access(folder / "cgroup.procs", os.W_OK)
    except OSError:
        return False


def inside(folder: Path, command: list[str]) -> list[str]:
    """The command as it is run in that group, with all that it begins."""
    return ["sh", "-c", f'echo $$ > {folder}/cgroup.procs && exec "$@"', "sh", *command]
