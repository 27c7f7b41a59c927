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

from analysis.tables.cell_table import ENCODINGS, MAGIC_KINDS
from search_space.errors import SpecError, said_by

LONGEST_ROW_BYTES = 64 << 20
"""Bytes of one row or line, which is held in memory; of a text file, whose sections are read one after another, any length is read."""
MOST_EXPANSION = 200
"""Times its size that a compressed file may have; text has a tenth of it, and what has more is the same over and over."""
FREE_BYTES = 8 << 20
"""Bytes that a file may have whatever its compressed size."""
FIRST_LOOK_BYTES = 4096
"""Bytes at a file's beginning that tell whether it is of text."""
MOST_NULS = 0.01
"""Share of NULs in these that a text may have, where a stray one stays a byte like another; UTF-16 has 0.5 of Latin letters and, at spaces
and line ends, some hundredths of any others, and binary files have many."""
ENDS_OF_KINDS = {
    "a gzip file": ".gz", "a zstd file": ".zst", "a bzip2 file": ".bz2", "a Parquet file": ".parquet", "an Arrow file": ".arrow",
}  # fmt: skip
"""What the name of a file of such a kind ends in, where it can be read."""


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
            _require_text(path, file)
            yield file
            return
        with compression.open(file) as inner, io.BufferedReader(_Decompressed(path, compression.name, inner), 1 << 18) as stream:
            _require_text(path, stream)
            yield stream


def _require_text(path: Path, stream: Any) -> None:
    """Raise SpecError where a file begins as none of text does: with the mark of another encoding, many NULs, or as one of another kind."""
    begin, cure = stream.peek(FIRST_LOOK_BYTES)[:FIRST_LOOK_BYTES], "convert the file, or leave it out"
    found = next((encoding.upper() for mark, encoding in ENCODINGS.items() if begin.startswith(mark)), None)
    if found is None and not _is_text(begin):
        found = next((kind for mark, kind, _ in MAGIC_KINDS if begin.startswith(mark)), None)
        cure = f"end its name in {ENDS_OF_KINDS[found]}" if found in ENDS_OF_KINDS else cure
    if found is None and _has_many_nuls(begin):
        found = f"{begin.count(0):,} of its first {len(begin):,} bytes 0x00, as binary files and UTF-16 have them"
        cure = "convert the file, leave it out, or remove them where it is text"
    if found is not None:
        raise SpecError(f"corpus file {path} must be text in UTF-8, found {found}; {cure}")


def _has_many_nuls(begin: bytes) -> bool:
    return begin.count(0) > MOST_NULS * len(begin)


def _is_text(begin: bytes) -> bool:
    try:
        return not _has_many_nuls(begin) and bool(codecs.getincrementaldecoder("utf-8")().decode(begin) or not begin)
    except UnicodeDecodeError:
        return False


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
