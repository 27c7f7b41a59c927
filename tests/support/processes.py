"""Which processes run that a test has started, by a mark in their environment."""

from __future__ import annotations

import time
from contextlib import suppress
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


def process_named(program: str, name: str, value: str, seconds: float = 60) -> Process:
    """One of these by the name of its program (`comm` of proc(5)), as soon as there is one; TimeoutError where there is none in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for process in processes_with(name, value):
            with suppress(OSError):
                if Path(f"/proc/{process.number}/comm").read_text().strip() == program:
                    return process
        time.sleep(0.02)
    raise TimeoutError(f"no {program} in {seconds:g} seconds")
