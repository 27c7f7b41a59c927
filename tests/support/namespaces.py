"""Nodes of Ray on this machine that do not see each other's folders, by namespaces of the kernel (unshare(1))."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

IN_NAMESPACES = ("unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child")
"""Whoever ends this process ends, with SIGKILL, all that it began, at once: as a machine goes."""


@cache
def can_hide_folders() -> bool:
    """Whether this user may make such namespaces here."""
    try:
        return subprocess.run([*IN_NAMESPACES, "true"], capture_output=True, timeout=60, check=False).returncode == 0
    except OSError:
        return False


def hidden_from(folder: Path, address: str, cpus: int = 1, variables: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """A node of that cluster with so many processors, and an empty folder in that one's place; to be killed."""
    ray = Path(sys.executable).with_name("ray")
    join = f"exec {ray} start --address={address} --num-cpus={cpus} --object-store-memory=100000000 --disable-usage-stats --block"
    hide = f"mount -t tmpfs none {folder} && {join}"
    return subprocess.Popen(
        [*IN_NAMESPACES, "sh", "-c", hide], env={**os.environ, **(variables or {})}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def end(node: subprocess.Popen[bytes]) -> None:
    """The node is gone, as a machine goes."""
    node.kill()
    node.wait()
