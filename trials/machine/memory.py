"""The peak memory of one run in a process that lives through many, and the memory that it may take."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

import torch

from trials.machine.process_memory import process_bytes, restart_peak
from trials.study.search_spec import WorkersSpec

LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Where a container's limit stands, by version of the kernel's control groups."""
USABLE_SHARE = 0.85
"""Usable share of a machine's memory; the rest is for the system, Ray and whoever measures. Chosen, not measured."""


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
                restart_peak()
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
    peak = process_bytes("VmHWM")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) if peak is None else peak


def trials_on_a_machine(workers: WorkersSpec) -> float:
    """Trials of a study that share the memory of this machine, or of one GPU."""
    if workers.gpus:
        return max(1.0, 1 / workers.gpus)
    return max(1, min(workers.count, (os.cpu_count() or 1) // workers.trial_threads))


def usable_bytes(device: torch.device | str, side_by_side: float = 1) -> int:
    """Memory that one of so many trials on this machine, or on one GPU, may plan with.

    A share of what the machine has, not of what is free at the moment: the same study must split its batches in the same way again.
    """
    if torch.device(device).type == "cuda":
        whole = torch.cuda.get_device_properties(device).total_memory
    else:
        whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        stated = [path.read_text().strip() for path in LIMITS if path.exists()]
        whole = min([whole, *(int(limit) for limit in stated if limit.isdecimal())])
    return int(USABLE_SHARE * whole / side_by_side)
