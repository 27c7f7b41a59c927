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
HIERARCHIES: tuple[tuple[Path, dict[str, str]], ...] = (
    (CGROUPS / "memory", {"memory.limit_in_bytes": "{}", "memory.memsw.limit_in_bytes": "{}", "memory.swappiness": "0"}),
    (CGROUPS, {"memory.max": "{}", "memory.swap.max": "0"}),
)
"""Where groups may be made, and which files of one have its limits, by version 1 of the kernel's interface and by version 2.

The first is that of memory; the others keep it from going into swap, and are not there where the kernel does not count that.
"""


@contextmanager
def group_of(limit_bytes: int) -> Iterator[Path]:
    """A group with so much memory and no swap, as its folder; OSError where this user may make none, or a process of it lives on."""
    for root, limits in HIERARCHIES:
        folder = root / f"archfront-{uuid.uuid4().hex[:12]}"
        if not root.is_dir() or (root == CGROUPS and not (CGROUPS / "cgroup.controllers").exists()):
            continue
        folder.mkdir()
        try:
            for number, (name, limit) in enumerate(limits.items()):
                if number == 0 or (folder / name).exists():
                    (folder / name).write_text(limit.format(limit_bytes))
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
