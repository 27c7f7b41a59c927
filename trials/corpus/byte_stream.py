"""A file's bytes as a stream, decompressed on the way where its name says so, in memory that its content does not decide."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from search_space.errors import SpecError, said_by

LONGEST_ROW_BYTES = 64 << 20
"""Bytes of one row or line, which is held in memory; of a text file, whose sections are read one after another, any length is read."""
MOST_EXPANSION = 200
"""Times its size that a compressed file may have; text has a tenth of it, and what has more is the same over and over."""
FREE_BYTES = 8 << 20
"""Bytes that a file may have whatever its compressed size."""


@dataclass(frozen=True, slots=True)
class Compression:
    """A way in which whole files are compressed."""

    name: str
    open: Callable[[BinaryIO], Any]
    """What gives decompressed bytes by `read(count)`; it reads all members or frames of a file."""


def _open_zstandard(file: BinaryIO) -> Any:
    import pyarrow

    return pyarrow.input_stream(file, compression="zstd")


COMPRESSIONS = {
    ".gz": Compression("gzip", gzip.open),
    ".bz2": Compression("bzip2", bz2.open),
    ".zst": Compression("Zstandard", _open_zstandard),
}
"""Ways of compressing by the last suffix of a file's name."""


def compression_of(path: Path) -> Compression | None:
    """How a file is compressed, by its name; None where it is not."""
    return COMPRESSIONS.get(path.suffix.lower())


Watch = Callable[[Callable[[], float]], object]
"""What a reader hands a function that tells at any time which share of the file (0 to 1) has been read."""


def unwatched(_share: Callable[[], float]) -> None:
    """Nobody asks how far a reader is."""


@contextmanager
def opened(path: Path, watch: Watch = unwatched) -> Iterator[BinaryIO]:
    """The content of a file, while inside.

    Reading raises SpecError where a compressed file is damaged, is cut short or grows beyond `MOST_EXPANSION` times its size, OSError as
    `open` does.
    """
    compression = compression_of(path)
    with path.open("rb") as file:
        size = path.stat().st_size or 1
        watch(lambda: file.tell() / size)
        if compression is None or not file.peek(1):
            yield file
            return
        with compression.open(file) as inner:
            yield io.BufferedReader(_Decompressed(path, compression.name, inner), 1 << 18)


def bounded_lines(path: Path, watch: Watch = unwatched) -> Iterator[tuple[int, bytes]]:
    """The lines of a text file with their numbers from 1, without a mark of the byte order; raises SpecError where one is too long."""
    with opened(path, watch) as file:
        number = 0
        while line := file.readline(LONGEST_ROW_BYTES + 1):
            number += 1
            if len(line) > LONGEST_ROW_BYTES:
                raise too_long(f"corpus file {path}, line {number}")
            yield number, line.removeprefix(codecs.BOM_UTF8) if number == 1 else line


def too_long(where: str) -> SpecError:
    """The refusal of a row at a place."""
    return SpecError(
        f"{where} must have at most {LONGEST_ROW_BYTES >> 20} MiB, found more; cut the document, or put it into a .txt file of its own, "
        "which may have any length"
    )


class _Decompressed(io.RawIOBase):
    """What a decompressor gives, its errors as sentences."""

    def __init__(self, path: Path, compression: str, inner: Any) -> None:
        self._path, self._compression, self._inner = path, compression, inner
        self._left = max(FREE_BYTES, MOST_EXPANSION * path.stat().st_size)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._inner.read(len(buffer))
        except (EOFError, zlib.error, ValueError) as error:
            raise self._damaged(error) from None
        except OSError as error:
            if error.errno is not None:
                raise
            raise self._damaged(error) from None
        self._left -= len(data)
        if self._left < 0:
            raise SpecError(
                f"corpus file {self._path} must have at most {MOST_EXPANSION} times its compressed size, as any text has, found more; "
                "it is hardly anything but repetitions, so leave it out, or decompress it where it is meant"
            )
        buffer[: len(data)] = data
        return len(data)

    def _damaged(self, error: Exception) -> SpecError:
        return SpecError(
            f"corpus file {self._path} must be a whole {self._compression} file, found: {said_by(error)}; fetch or write it again, or "
            "name it by what it is"
        )
