"""Files that come in pieces into a directory: never outside of it, whole and verified by their hash, and a broken way goes on."""

from __future__ import annotations

import fnmatch
import hashlib
import os
import re
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self

from search_space.errors import SpecError, WorkError, quoted, refused
from trials.jobs.asking import unpacked
from trials.jobs.sender import FILE_NAME, digest_of

WAITING_ROOM = ".fetch"
"""Folder of the directory in which files lie until they are whole, each under the hashes of its name and its content."""
SHA256 = re.compile(r"[0-9a-f]{64}")
LARGEST_FILE_BYTES = 1 << 38
APPENDED = ".jsonl"
"""End of the name of a file that only grows: what is here and has more of it stays."""
AT_ONCE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file as the cluster says it is."""

    name: str
    bytes: int
    sha256: str

    @classmethod
    def of(cls, told: Mapping[str, Any], patterns: Collection[str]) -> Self:
        """Make one of an answer; raises WorkError for a name that was not asked for, or could lead out of a directory."""
        name, size, digest = (told.get(key) for key in ("file", "bytes", "sha256"))
        if not (isinstance(name, str) and FILE_NAME.fullmatch(name) and any(_matches(name, each) for each in patterns)):
            raise WorkError(f"the cluster offers {quoted(name)}, which was not asked for, and nothing was taken; see what runs there")
        if not (isinstance(size, int) and 0 <= size <= LARGEST_FILE_BYTES and isinstance(digest, str) and SHA256.fullmatch(digest)):
            raise WorkError(f"the cluster tells no size and hash of {name}; run the same command again")
        return cls(str(name), size, digest)


class Incoming:
    """A directory that files come into."""

    def __init__(self, directory: Path) -> None:
        """`directory` is there, and held; raises SpecError where a link stands in its waiting room's place."""
        self.directory = directory
        self._room = self._folder(WAITING_ROOM)

    def lacks(self, files: Iterable[RemoteFile]) -> list[RemoteFile]:
        """Files of these that are not here yet; raises SpecError where a file that only grows has grown otherwise here."""
        return [file for file in files if not self._is_here(file)]

    def beginning(self, file: RemoteFile) -> int:
        """How many bytes of it have come already."""
        with suppress(OSError):
            size = self._part(file).lstat().st_size
            return size if size <= file.bytes else 0
        return 0

    def require_room(self, files: Iterable[RemoteFile]) -> None:
        """Raise SpecError where the disk has no room for what is still to come of these."""
        wanted, free = sum(file.bytes - self.beginning(file) for file in files), shutil.disk_usage(self.directory).free
        if wanted > free:
            raise SpecError(f"{self.directory} must have room for {wanted:,} bytes, found {free:,}; make room, or name another directory")

    def add(self, file: RemoteFile, told: Mapping[str, Any]) -> int:
        """Take a piece that follows on what has come of the file; returns its bytes, 0 of one that does not. Raises as `unpacked`."""
        begun, content = self.beginning(file), unpacked(told)
        if told.get("at") != begun or begun + len(content) > file.bytes:
            return 0
        with self._named(file), self._opened(file) as part:
            part.seek(begun)
            part.truncate()
            part.write(content)
        return len(content)

    def settle(self, file: RemoteFile) -> bool:
        """Let the file lie where it belongs if it is whole; False, and nothing of it stays, where it is another one than was promised."""
        if self.beginning(file) < file.bytes:
            return False
        with self._named(file), self._opened(file) as part:
            is_the_same = digest_of(part, file.bytes) == file.sha256
            os.fchmod(part.fileno(), 0o666 & ~_umask())
            os.fsync(part.fileno())
        if not is_the_same:
            self._part(file).unlink()
            return False
        self._require_grown(file)
        folder, _, last = file.name.rpartition("/")
        with self._named(file):
            os.replace(self._part(file), (self._folder(folder) if folder else self.directory) / last)
        return True

    def close(self) -> None:
        """Everything has come: nothing waits any more."""
        shutil.rmtree(self._room, ignore_errors=True)

    def _is_here(self, file: RemoteFile) -> bool:
        path = self.directory / file.name
        if path.is_symlink() or not path.is_file():
            return False
        size = path.stat().st_size
        with path.open("rb") as here:
            may_be = size == file.bytes or (file.name.endswith(APPENDED) and size > file.bytes)
            if may_be and digest_of(here, file.bytes) == file.sha256:
                return True
            if file.name.endswith(APPENDED) and _whole_lines(here) >= file.bytes:
                raise self._has_parted(file)
        return False

    def _require_grown(self, file: RemoteFile) -> None:
        """Raise SpecError where a file that only grows has come with another beginning than it has here."""
        path = self.directory / file.name
        if not file.name.endswith(APPENDED) or path.is_symlink() or not path.is_file():
            return
        with path.open("rb") as here, self._opened(file) as part:
            left = _whole_lines(here)
            here.seek(0)
            while content := here.read(min(left, AT_ONCE_BYTES)):
                left -= len(content)
                if part.read(len(content)) != content:
                    raise self._has_parted(file)

    def _has_parted(self, file: RemoteFile) -> SpecError:
        return SpecError(
            f"{self.directory / file.name} must be the beginning of the job's own, found other lines; fetch into another directory"
        )

    @contextmanager
    def _named(self, file: RemoteFile) -> Iterator[None]:
        """What the system refuses is said of the file, for a full disk's error names none."""
        try:
            yield
        except OSError as error:
            raise refused(
                error, self.directory / file.name, "be a file that can be written", "mend that, or fetch into another directory"
            ) from None

    def _part(self, file: RemoteFile) -> Path:
        return self._room / f"{hashlib.sha256(file.name.encode()).hexdigest()[:16]}-{file.sha256}.part"

    def _opened(self, file: RemoteFile) -> BinaryIO:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.fdopen(os.open(self._part(file), flags, 0o600), "r+b")

    def _folder(self, name: str) -> Path:
        """A folder of the directory, made where there is none; SpecError for a link, which could lead out of it."""
        folder = self.directory / name
        folder.mkdir(exist_ok=True) if not folder.is_symlink() else None
        if folder.is_symlink() or not folder.is_dir():
            raise SpecError(f"{folder} must be a folder of its own, found a link; remove it, or fetch into another directory")
        return folder


def _matches(name: str, pattern: str) -> bool:
    """Whether it is a name of the pattern's own folder, or of one of its folders, as the head looks for it: a star is no folder."""
    (folder, _, last), (wanted, _, form) = name.rpartition("/"), pattern.rpartition("/")
    return fnmatch.fnmatchcase(folder, wanted) and fnmatch.fnmatchcase(last, form)


def _whole_lines(file: BinaryIO) -> int:
    """Bytes up to the last end of a line; what follows was being written when its writer ended, and is no record."""
    at = file.seek(0, os.SEEK_END)
    while at:
        begun = max(0, at - AT_ONCE_BYTES)
        file.seek(begun)
        found = file.read(at - begun).rfind(b"\n")
        if found >= 0:
            return begun + found + 1
        at = begun
    return 0


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def batches(files: Iterable[RemoteFile], incoming: Incoming, most: int) -> Iterator[list[tuple[RemoteFile, int, int]]]:
    """What is still to come of the files, as first byte and number of bytes, in parts of at most so many bytes."""
    batch: list[tuple[RemoteFile, int, int]] = []
    room = most
    for file in files:
        at = incoming.beginning(file)
        while at < file.bytes:
            count = min(room, file.bytes - at)
            batch.append((file, at, count))
            at, room = at + count, room - count
            if not room:
                yield batch
                batch, room = [], most
    if batch:
        yield batch
