"""The kernel's figures of this process's memory. Standard library only, so that whoever measures a runtime loads nothing beside it."""

from __future__ import annotations

from pathlib import Path

STATUS, CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def process_bytes(figure: str) -> int | None:
    """One of the kernel's figures, such as `VmRSS` (resident now) or `VmHWM` (its peak); None where the system has none."""
    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{figure}:")), None)


def restart_peak() -> None:
    """Begin the kernel's mark of the peak anew, proc(5); OSError where the system cannot."""
    CLEAR_REFS.write_text("5")
