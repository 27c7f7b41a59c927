"""What a study runs with: versions, platform, and the state of the code in git."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from functools import cache
from getpass import getuser
from importlib import metadata
from pathlib import Path

LIBRARIES = ("torch", "lightning", "ray", "optuna", "mlflow", "numpy", "scipy", "plotly", "tokenizers")
OWNER_VARIABLE = "ARCHFRONT_OWNER"
"""Set for a job: who submitted it, for the account that runs it is the head node's."""
JOB_VARIABLE = "ARCHFRONT_JOB"
"""Set for a job: its id."""
CODE = Path(__file__).resolve().parents[2]
PACKAGES, FRONT_DOOR = ("search_space", "analysis", "trials"), "archfront.py"
"""Our own code, wherever it was imported from."""
DIGITS = 16
"""Hexadecimal digits that name a state of the code; two states share them once in 10^19."""


def environment() -> dict[str, str]:
    """Name -> version of everything a repetition would need to know, our `code` by its content; `git_commit` where git knows the code.

    Reads package metadata only: nothing is imported.
    """
    versions = {name: version for name in LIBRARIES if (version := library_version(name))}
    facts = {
        "archfront": library_version("archfront") or "unknown",
        "code": code_digest(),
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
    return facts | versions | git_state()


@cache
def code_digest(folder: Path = CODE) -> str:
    """Digits that change with our code: the same for a checkout, an installed archfront and what a job has shipped of either."""
    digest = hashlib.sha256()
    for path in sorted([*(file for name in PACKAGES for file in (folder / name).rglob("*.py")), folder / FRONT_DOOR]):
        if path.is_file():
            content = path.read_bytes()
            digest.update(f"{path.relative_to(folder).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:DIGITS]


def owner() -> str:
    """The person whose study it is: who submitted the job, or the user of this process."""
    try:
        return os.environ.get(OWNER_VARIABLE) or getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "unknown"


def job() -> str | None:
    """The id of the job that this process belongs to; None outside of one."""
    return os.environ.get(JOB_VARIABLE) or None


def git_state() -> dict[str, str]:
    """The commit of the code (or of the working directory, where the code is installed) and whether tracked files differ from it."""
    for folder in (CODE, Path.cwd()):
        commit = _git(folder, "rev-parse", "HEAD")
        if commit:
            changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
            return {"git_commit": commit, "git_dirty": "unknown" if changes is None else str(bool(changes)).lower()}
    return {}


@cache
def library_version(name: str) -> str | None:
    """Version of an installed library, by its metadata; None where it is not there."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _git(folder: Path, *arguments: str) -> str | None:
    """What git prints, None where it fails or is not there."""
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
