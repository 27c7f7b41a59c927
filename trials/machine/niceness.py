"""The niceness of work on a cluster: Ray gives its workers 15 more than their node has, beside which little is left of a busy machine."""

from __future__ import annotations

import os
from contextlib import suppress

RAYLET = "RAY_RAYLET_PID"
"""Where Ray tells a worker which process of its node has started it."""


def niceness() -> int:
    """How nice this process is: 0 unless somebody chose otherwise, 19 where all others come first."""
    return os.getpriority(os.PRIO_PROCESS, 0)


def take_back_niceness() -> int:
    """Be as nice as the node of Ray is whose worker this is, where the system allows that; returns what is left of what Ray added.

    To become less nice takes a privilege, or RLIMIT_NICE. A node that is started with RAY_worker_niceness=0 adds nothing.
    """
    own = _of_the_node()
    if own is None or niceness() <= own:
        return 0
    for thread in os.listdir("/proc/self/task"):  # Linux counts it by thread
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, int(thread), own)
    return max(0, niceness() - own)


def _of_the_node() -> int | None:
    """The niceness of the process that started this one for Ray; None outside of Ray's workers, and elsewhere than on Linux."""
    try:
        return os.getpriority(os.PRIO_PROCESS, int(os.environ[RAYLET])) if os.path.isdir("/proc/self/task") else None
    except (KeyError, ValueError, OSError):
        return None
