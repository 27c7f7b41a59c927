"""How much of their processors new processes would get here now, beside whatever else is at work."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from statistics import fmean

SPUN_SECONDS = 0.25
SPIN = (
    "import time\n"
    "end, used = time.perf_counter() + {seconds}, time.process_time()\n"
    "begun = time.perf_counter()\n"
    "while time.perf_counter() < end: pass\n"
    "print((time.process_time() - used) / (time.perf_counter() - begun))"
)
LEAST_SHARE = 0.05
LONGEST_SECONDS = 60.0


def processor_share(processes: int) -> float:
    """Share of a processor that each of so many busy processes would have, 0.05 to 1: that many spin for a moment, side by side.

    Of more processes than processors it is what they would leave each other; 1 where it cannot be told.
    """
    spin = [sys.executable, "-I", "-S", "-c", SPIN.format(seconds=SPUN_SECONDS)]
    spinners = min(processes, os.cpu_count() or 1)
    with ExitStack() as begun:
        try:
            beside = [begun.enter_context(_ended(subprocess.Popen(spin, stdout=subprocess.PIPE, text=True))) for _ in range(spinners)]
            found = [float(each.communicate(timeout=LONGEST_SECONDS)[0]) for each in beside]
        except (OSError, ValueError, subprocess.TimeoutExpired):
            return 1.0
    return min(1.0, max(LEAST_SHARE, fmean(found)))


def share_of_fewer(share: float, processes: int, fewer: int = 1) -> float:
    """Share of a processor that each of `fewer` busy processes has where each of so many would have `share` of one.

    What else is at work is taken for as many busy processes as leave that share, all alike to the system.
    """
    processors = os.cpu_count() or 1
    others = max(0.0, processors / share - min(processes, processors)) if share < 1.0 else 0.0
    return min(1.0, max(share, processors / (others + fewer)))


@contextmanager
def _ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """The process, which is over at the end, whatever happened to the others."""
    with process:
        try:
            yield process
        finally:
            process.kill()
