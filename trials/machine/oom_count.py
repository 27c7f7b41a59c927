"""How many processes the kernel has ended for want of memory, by its own count: of this process's cgroup, else of the whole machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")
OOM_KILL = "oom_kill "
"""What the line with the count begins with, in each of the files (admin-guide/cgroup-v2, cgroup-v1/memory, mm/vmstat.c)."""
V2, V1 = "memory.events", "memory.oom_control"
"""The files of a cgroup; either counts its own processes and, in v2, those of groups below, whoever's want of memory it was."""


@dataclass(frozen=True, slots=True)
class OomCount:
    """A count at one moment."""

    file: str
    """The kernel's file that it was read from."""
    kills: int


def oom_count(proc: Path = PROC, cgroups: Path = CGROUPS) -> OomCount | None:
    """The count that is nearest to this process; None where the kernel tells none."""
    for file in (*_of_the_cgroup(proc, cgroups), proc / "vmstat"):
        if (kills := oom_kills(file)) is not None:
            return OomCount(str(file), kills)
    return None


def oom_kills(file: Path) -> int | None:
    """The count in one of these files; None where it has none."""
    try:
        lines = file.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return None
    return next((int(line.removeprefix(OOM_KILL)) for line in lines if line.startswith(OOM_KILL)), None)


def _of_the_cgroup(proc: Path, cgroups: Path) -> Iterator[Path]:
    """Files of this process's cgroup; in a container its path may be the host's, and the cgroup itself is what is mounted."""
    try:
        lines = (proc / "self" / "cgroup").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return
    paths = {controllers: path.lstrip("/") for _, controllers, path in (line.split(":", 2) for line in lines if line.count(":") >= 2)}
    memory = next((path for controllers, path in paths.items() if "memory" in controllers.split(",")), None)
    for path in dict.fromkeys([paths.get("", ""), ""]):
        yield cgroups / path / V2
    for path in dict.fromkeys([memory or "", ""]):
        yield cgroups / "memory" / path / V1
