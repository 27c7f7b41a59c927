"""Which processes run that a test has started, by a mark in their environment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Process:
    """One that runs."""

    number: int
    command: str


def processes_with(name: str, value: str) -> list[Process]:
    """Processes with this variable in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"{name}={value}".encode() in (process / "environ").read_bytes().split(b"\0"):
                command = (process / "cmdline").read_text(errors="replace").replace("\0", " ")
                found.append(Process(int(process.name), command))
        except OSError:
            continue
    return found
