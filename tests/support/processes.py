"""Which processes run that a test has started: by a mark in their environment, or below another."""

from __future__ import annotations

import os
import signal
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


def parent_and_start(process: int) -> tuple[int, str] | None:
    """Process id of its parent, and its start in clock ticks (proc(5)), which tells it from a later one; None where it is gone."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[1]), fields[19]


def below(process: int) -> list[int]:
    """The process and all that descend from it, itself first and then its children."""
    known = {int(path.name): parent_and_start(int(path.name)) for path in Path("/proc").glob("[0-9]*")}
    found = [process]
    for one in found:
        found += [child for child, facts in known.items() if facts is not None and facts[0] == one]
    return found


def kill(process: int) -> None:
    """End it by SIGKILL, where it is still there."""
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
