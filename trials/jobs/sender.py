"""Runs on a cluster's head as a small job of its own, and prints what was asked for; standard library only, but for a key."""

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
PUBLIC_BYTES, NONCE_BYTES = 32, 12
KEY_SECONDS = 7 * 86_400
"""A key is deleted after so long by who makes the next, for its job has not begun by then."""
JOB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def answers(asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What is told, one dictionary a line: `clock` always, then what each key of `asked` wants.

    `names` (patterns): `file`, `bytes` and `sha256` of each regular file that has such a name in `directory`. `pieces` (name, first byte,
    bytes): their content. `key` (a job): the public half of a new key of that job's.
    `forget` (jobs): the logs of earlier jobs of this kind are emptied, for they hold what was sent.
    """
    yield {"clock": time.time()}
    for job in asked.get("forget", ()):
        _forget(job)
    if "key" in asked:
        yield _new_key(asked["key"])
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
                yield {"file": name, "bytes": size, "sha256": digest_of(file, size)}
        except OSError:  # it went away meanwhile, or is a link, which is not followed
            continue
    for name, start, count in asked.get("pieces", ()):
        yield from _pieces(directory, name, start, count)


def key_file(job: str) -> Path:
    """Where the private half of a job's key lies until the job begins; OSError for what is no job's name."""
    if not JOB_NAME.fullmatch(job):
        raise FileNotFoundError(2, "no job has such a name")
    return Path.home() / ".archfront" / "keys" / job


def cipher(secret: bytes, job: str) -> Any:
    """What seals and opens with the secret that two halves have in common."""
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return ChaCha20Poly1305(HKDF(algorithm=SHA256(), length=32, salt=None, info=b"archfront job " + job.encode()).derive(secret))


def line(answer: dict[str, Any]) -> str:
    """An answer as a line of the log."""
    return PREFIX + json.dumps(answer, separators=(",", ":"))


def _new_key(job: str) -> dict[str, Any]:
    try:
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

        file, private = key_file(job), X25519PrivateKey.generate()
        file.parent.parent.mkdir(mode=0o700, exist_ok=True)
        file.parent.mkdir(mode=0o700, exist_ok=True)
        for old in file.parent.iterdir():  # of a job that never began
            if time.time() - old.lstat().st_mtime > KEY_SECONDS:
                old.unlink()
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), "wb") as made:
            made.write(private.private_bytes_raw())
    except (ImportError, OSError, TypeError) as error:
        return {"refused": job, "why": str(error)}
    return {"public": base64.b64encode(private.public_key().public_bytes_raw()).decode()}


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
        for each in _names(directory, folder) if folder else [""]:
            found |= {f"{each}/{name}" if each else name for name in _names(directory / each, last)}
    return sorted(name for name in found if FILE_NAME.fullmatch(name))


def _names(folder: Path, pattern: str) -> list[str]:
    """What in a folder has such a name; nothing where there is none, or where a link leads to it."""
    try:
        return [] if folder.is_symlink() else [name for name in os.listdir(folder) if fnmatch.fnmatchcase(name, pattern)]
    except OSError:
        return []


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


def digest_of(file: BinaryIO, size: int) -> str:
    """SHA-256 of so many bytes from a file's beginning."""
    digest = hashlib.sha256()
    file.seek(0)
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
