"""The peak memory of one run in a process that lives through many."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import torch

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class PeakMemory:
    """Watches from its creation on.

    On a GPU the peak is the most that torch had allocated there; elsewhere it is the highest resident set of the whole process,
    libraries included. The kernel keeps that mark for the life of a process, so Linux is asked to begin it anew (proc(5),
    clear_refs). Where it cannot, the mark counts only if it rose since the creation; else the peak is unknown.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._before = 0
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        else:
            try:
                CLEAR.write_text("5")
            except OSError:
                self._before = _resident_peak()

    def peak_bytes(self) -> int | None:
        """The peak so far; None where it is unknown."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        peak = _resident_peak()
        return peak if peak > self._before else None


def _resident_peak() -> int:
    """The kernel's mark in bytes: VmHWM where there is one, since a process that replaced another also inherits its ru_maxrss."""
    if STATUS.exists():
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
