"""The text of a corpus as a stream of pieces, in an order that is always the same and in bounded memory.

A piece is what is hashed, put into a split and encoded: a document, or, where a document is longer than a section, one of its
sections, cut at line ends. Sections let one long file fill all three splits while neighbouring lines stay together.
"""

from __future__ import annotations

import codecs
import io
import os
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from search_space.errors import SpecError, quoted, refused
from trials.corpus.arrow_rows import read_arrow, read_parquet
from trials.corpus.byte_stream import COMPRESSIONS, Watch, compression_of, opened, unwatched
from trials.corpus.json_rows import read_json_lines
from trials.corpus.separated_rows import read_separated
from trials.study.corpus_spec import CorpusSpec
from trials.study.files import globbed

SHORTEST_SECTION_BYTES, LONGEST_SECTION_BYTES = 4 << 10, 64 << 10
CORPUS_SECTIONS = 200
"""Least sections that a corpus of one document is cut into, where the shortest section allows it."""
NEW_LINE = b"\n"
NOT_IN_STDLIB = frozenset({"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__"})
"""Folders below the standard library that are tests or not part of it."""


@dataclass(frozen=True)
class Documents:
    """The files of a corpus, found but not read."""

    summary: str
    """The embedded corpus' name, or the first file's name and how many more there are; no folders."""
    files: tuple[Path, ...]
    """Files of the corpus in reading order."""
    embedded: bool
    """Whether they are the machine's own, so that one that is not UTF-8 is passed over; a user's is an error."""
    column: str = "text"
    """Key or column of the documents in files that have several."""

    @property
    def section_bytes(self) -> int:
        """Least bytes of a section: a share of the corpus between 4 KiB and 64 KiB; decided by the files' sizes alone."""
        total = sum(path.stat().st_size for path in self.files)
        return min(max(total // CORPUS_SECTIONS, SHORTEST_SECTION_BYTES), LONGEST_SECTION_BYTES)

    def documents(self, watch: Callable[[Path, Callable[[], float]], object] | None = None) -> Iterator[Iterator[str]]:
        """The pieces of each document, to be taken before the next document's; none of one that is null, empty or only white space.

        `watch` is handed each file as it is opened, and what tells the share of it that has been read. Raises SpecError with file and line
        where the text is not what its suffix says.
        """
        section = self.section_bytes
        for path in self.files:
            try:
                if self.embedded:
                    yield from _embedded(path, section)
                    continue
                told = unwatched if watch is None else partial(watch, path)
                yield from READERS[suffix_of(path)](path, section, self.column, told)
            except OSError as error:
                raise refused(error, f"corpus file {path}", "be readable", "check its permissions") from None

    def pieces(self) -> Iterator[str]:
        """The text, piece by piece; raises as `documents` does."""
        return chain.from_iterable(self.documents())


def find_documents(spec: CorpusSpec, key: str = "corpus.files") -> Documents:
    """The files that a corpus names under the key; raises SpecError where there are none or one has an unknown suffix."""
    if spec.files is None:
        root = Path(sysconfig.get_path("stdlib"))
        return Documents("python-stdlib", tuple(_standard_library(root)), embedded=True)
    if not spec.files:
        raise SpecError(f"{key} must name at least one file, found none; name {_one_of(READERS)} files, globs are allowed")
    found: dict[str, Path] = {}
    for pattern in spec.files:
        for real, path in _matches(pattern, key).items():
            found.setdefault(real, path)
    files = tuple(found.values())
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    return Documents(f"{files[0].name}{more}", files, embedded=False, column=spec.column)


def _standard_library(root: Path) -> list[Path]:
    """Sources below the root without tests and without the build's own settings, so that equal Pythons have equal corpora."""
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = set(folders) - NOT_IN_STDLIB
        found += [Path(folder, name) for name in names if name.endswith(".py") and not name.startswith("_sysconfigdata")]
    return sorted(found, key=Path.as_posix)


def _matches(pattern: str, key: str) -> dict[str, Path]:
    """The files of a pattern, each beside its real path."""
    files = globbed(Path(), pattern, key)
    if not files:
        is_folder = Path(pattern).is_dir()
        cure = f"name its files, such as {pattern}/**/*.txt" if is_folder else "check the path, which is relative to the study file"
        raise SpecError(f"{key} must name files, found none for {pattern}; {cure}")
    for file in files.values():
        if suffix_of(file) not in READERS:
            raise SpecError(
                f"corpus file {file} must end in {_one_of(READERS)}, those of text also in {_one_of(COMPRESSIONS)} after that, found "
                f"{quoted(''.join(file.suffixes[-2:]))}; convert it or leave it out"
            )
    return files


def suffix_of(path: Path) -> str:
    """The suffix that tells a file's reader, in small letters, without that of a compression; the whole end where none can be that way."""
    ending = path.suffix.lower()
    if compression_of(path) is None:
        return ending
    inner = Path(path.stem).suffix.lower()
    return inner if inner in COMPRESSIBLE else inner + ending


def _embedded(path: Path, section: int) -> Iterator[Iterator[str]]:
    data = path.read_bytes()
    try:
        data.decode()
    except UnicodeDecodeError:
        return
    if data:
        yield _sections(io.BytesIO(data), section, f"corpus file {path}", is_file=True)


def _plain(path: Path, section: int, _column: str, watch: Watch) -> Iterator[Iterator[str]]:
    with opened(path, watch) as file:
        yield _sections(file, section, f"corpus file {path}", is_file=True)


def _rows(read: Callable[[Path, str, Watch], Iterator[tuple[str, bytes | None]]]) -> ReadDocuments:
    """Documents as a reader of rows finds them."""

    def documents(path: Path, section: int, column: str, watch: Watch) -> Iterator[Iterator[str]]:
        for where, text in read(path, column, watch):
            yield iter(()) if text is None else _sections(io.BytesIO(text), section, where)

    return documents


def _one_of(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} or {last}"


def _sections(file: BinaryIO, section: int, where: str, *, is_file: bool = False) -> Iterator[str]:
    """Sections of at least so many bytes, to the next line end but at most twice as long; no character is cut.

    One of white space alone is left out. Of what is a whole file (`is_file`) the line is told, and a mark of the byte order is no text.
    """
    decoder = codecs.getincrementaldecoder("utf-8-sig" if is_file else "utf-8")()
    lines = 1
    try:
        while block := file.read(section):
            block += file.readline(section)
            text = decoder.decode(block)
            if text and not text.isspace():
                yield text
            lines += block.count(NEW_LINE)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        place = f", line {lines + error.object[: error.start].count(NEW_LINE)}" if is_file else ""
        found = f"byte 0x{error.object[error.start]:02x}"
        raise SpecError(f"{where}{place} must be UTF-8, found {found}; convert the file") from None


ReadDocuments = Callable[[Path, int, str, Watch], Iterator[Iterator[str]]]
READERS: dict[str, ReadDocuments] = {
    ".txt": _plain,
    ".jsonl": _rows(read_json_lines),
    ".ndjson": _rows(read_json_lines),
    ".json": _rows(read_json_lines),
    ".csv": _rows(read_separated),
    ".tsv": _rows(read_separated),
    ".parquet": _rows(read_parquet),
    ".arrow": _rows(read_arrow),
    ".feather": _rows(read_arrow),
}
"""What gives the pieces of each document of a file, by its suffix, for the least bytes of a section and the column of its documents."""
COMPRESSIBLE = frozenset({".txt", ".jsonl", ".ndjson", ".json", ".csv", ".tsv"})
"""Suffixes after which that of a compression may stand: of files that are read from beginning to end."""
