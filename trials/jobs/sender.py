"""Runs on a cluster's head as a small job of its own, and prints what was asked for of a study's directory; standard library only."""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import json
import os
import re
import stat
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

PREFIX = "archfront-sends "
"""What a line begins with that is an answer; whatever else a job's log has is somebody else's."""
PIECE_BYTES = 1 << 20
"""How much of a file one line has."""
FILE_NAME = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9._-]{0,120}/)?[A-Za-z0-9][A-Za-z0-9._-]{0,120}")
"""What a file of a study's directory is called: at most one folder deep, and nothing that leads elsewhere."""
JOB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def answers(asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What is told, one dictionary a line: `clock` always, then what each key of `asked` wants.

    `names` (patterns): `file`, `bytes` and `sha256` of each regular file that has such a name in `directory`. `pieces` (name, first byte,
    bytes): their content. `forget` (jobs): the logs of earlier jobs of this kind are emptied, for they hold what was sent.
    """
    yield {"clock": time.time()}
    for job in asked.get("forget", ()):
        _forget(job)
    if "directory" not in asked:
        return
    directory = Path(os.path.expanduser(asked["directory"]))
    if not directory.is_dir():
        yield {"missing": str(directory)}
        return
    for name in _matching(directory, asked.get("names", ())):
        try:
            with _opened(directory, name) as file:
                size = os.fstat(file.fileno()).st_size
                yield {"file": name, "bytes": size, "sha256": _digest(file, size)}
        except OSError:  # it went away meanwhile, or is a link, which is not followed
            continue
    for name, start, count in asked.get("pieces", ()):
        yield from _pieces(directory, name, start, count)


def line(answer: dict[str, Any]) -> str:
    """An answer as a line of the log."""
    return PREFIX + json.dumps(answer, separators=(",", ":"))


def _pieces(directory: Path, name: str, start: int, count: int) -> Iterator[dict[str, Any]]:
    try:
        with _opened(directory, name) as file:
            file.seek(start)
            while count > 0 and (content := file.read(min(count, PIECE_BYTES))):
                packed = zlib.compress(content, 1)
                is_packed = len(packed) < 0.9 * len(content)
                sent = base64.b64encode(packed if is_packed else content).decode()
                yield {"file": name, "at": start, "bytes": len(content), "zlib": is_packed, "content": sent}
                start, count = start + len(content), count - len(content)
    except (OSError, ValueError) as error:
        yield {"refused": name, "why": str(error)}


def _matching(directory: Path, patterns: list[str]) -> list[str]:
    """Names of files, at most one folder deep, that match a pattern."""
    found = set()
    for pattern in patterns:
        folder, _, last = pattern.rpartition("/")
        try:
            names = os.listdir(directory / folder) if not (directory / folder).is_symlink() else []
        except OSError:
            continue
        found |= {f"{folder}/{name}" if folder else name for name in names if fnmatch.fnmatchcase(name, last)}
    return sorted(name for name in found if FILE_NAME.fullmatch(name))


def _opened(directory: Path, name: str) -> BinaryIO:
    """A regular file of the directory, which no link leads out of; OSError for whatever else has that name."""
    path = directory / name
    if name.startswith("/") or ".." in name.split("/") or path.parent.resolve() != directory.resolve() / Path(name).parent:
        raise FileNotFoundError(2, "no file of the directory")
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise FileNotFoundError(2, "no regular file")
    return file


def _digest(file: BinaryIO, size: int) -> str:
    digest = hashlib.sha256()
    while size > 0 and (content := file.read(min(size, PIECE_BYTES))):
        digest.update(content)
        size -= len(content)
    return digest.hexdigest()


def _forget(job: str) -> None:
    """Empty the log of an earlier job, which lies beside this job's own."""
    try:
        own = Path(os.readlink("/proc/self/fd/1"))
        if JOB_NAME.fullmatch(job) and own.name.startswith("job-driver-"):
            os.truncate(own.with_name(f"job-driver-{job}.log"), 0)
    except OSError:  # it is gone already
        pass


if __name__ == "__main__":
    for told in answers(json.loads(base64.b64decode(sys.argv[1]))):
        print(line(told), flush=True)
    print(line({"end": True}), flush=True)
