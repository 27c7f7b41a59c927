"""The machine under a measurement: held processors, waiting threads, clock and memory bandwidth."""

from __future__ import annotations

import gc
import os
import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from statistics import fmean

import numpy

from search_space.errors import SpecError

BANDWIDTH_BYTES = 1 << 28
"""Read to measure the bandwidth; more than the last cache of the processors at hand (105 MB) holds."""
BANDWIDTH_PASSES = 4


def device_name(device: str = "cpu") -> str:
    """The processor, or the current GPU where the device is `cuda`, in its maker's words."""
    if device == "cuda":
        import torch

        return str(torch.cuda.get_device_name())
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def waited_seconds() -> float:
    """Seconds that the threads of this process have spent ready to run, but not running.

    Linux counts them (the second number of schedstat). Elsewhere: wall time less the main thread's processor time, which is the
    same up to a constant for a thread that never sleeps.
    """
    waits = [wait for task in _tasks() if (wait := _schedstat(task)) is not None]
    return sum(waits) / 1e9 if waits else time.perf_counter() - time.thread_time()


def _schedstat(task: str) -> int | None:
    """Nanoseconds that a thread has waited; None where the system does not say, or the thread has just ended."""
    try:
        return int(Path(f"/proc/self/task/{task}/schedstat").read_bytes().split()[1])
    except (OSError, IndexError):
        return None


def _tasks() -> list[str]:
    try:
        return os.listdir("/proc/self/task")
    except OSError:
        return []


def require_processors(threads: int) -> None:
    """Raise SpecError where this process may not run on as many processors."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if count < threads:
        raise SpecError(f"latency.threads must not exceed the {count} processors of this machine, found {threads}; lower it")


@contextmanager
def pinned(threads: int) -> Iterator[tuple[int, ...] | None]:
    """Hold every thread of this process to as many processors, the highest ones: interrupts tend to go to the first."""
    require_processors(threads)
    if not hasattr(os, "sched_setaffinity"):
        yield None
        return
    allowed = os.sched_getaffinity(0)
    chosen = sorted(allowed)[-threads:]
    try:
        _hold(chosen)
        yield tuple(chosen)
    finally:
        _hold(allowed)


def _hold(processors: Sequence[int] | set[int]) -> None:
    for task in _tasks():
        with suppress(ProcessLookupError):  # a thread that has just ended
            os.sched_setaffinity(int(task), processors)


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Collect now, and not inside: a collection takes a tenth of a second where torch is loaded."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def clock_mhz(processors: Sequence[int] | None) -> float | None:
    """Mean clock of these processors, or of all, as Linux says it; None elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return None
    clocks = [float(line.partition(":")[2]) for line in lines if line.startswith("cpu MHz")]
    held = [clocks[processor] for processor in processors or () if processor < len(clocks)] or clocks
    return fmean(held) if held else None


@cache
def read_bandwidth(threads: int, device: str = "cpu") -> float:
    """Bytes per second at which memory is read by the processors that this process is held to, for `threads`, or by the current GPU."""
    if device == "cuda":
        return _gpu_bandwidth()
    values = numpy.ones(BANDWIDTH_BYTES // 4, numpy.float32)
    seconds = []
    for _ in range(BANDWIDTH_PASSES):
        start = time.perf_counter()
        values.dot(values)
        seconds.append(time.perf_counter() - start)
    return BANDWIDTH_BYTES / min(seconds)


def _gpu_bandwidth() -> float:
    """Bandwidth by device events around sums over four times as much: a GPU reads in a tenth of the time, and its cache holds 50 MB."""
    import torch

    values, seconds = torch.ones(BANDWIDTH_BYTES, device="cuda"), []
    for _ in range(BANDWIDTH_PASSES):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        start.record()
        values.sum()
        end.record()
        end.synchronize()
        seconds.append(float(start.elapsed_time(end)) / 1e3)
    return 4 * BANDWIDTH_BYTES / min(seconds)
