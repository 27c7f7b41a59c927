"""The text of a corpus as a stream of pieces, in an order that is always the same and in bounded memory.

A piece is what is hashed, put into a split and encoded: a document, or, where a document is longer than a section, one of its
sections, cut at line ends. Sections let one long file fill all three splits while neighbouring lines stay together.
"""

from __future__ import annotations

import codecs
import glob
import io
import os
import re
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from analysis.records.json_text import parse_json
from search_space.errors import SpecError, quoted, refused
from trials.corpus.parquet import read_column
from trials.study.corpus_spec import CorpusSpec

SHORTEST_SECTION_BYTES, LONGEST_SECTION_BYTES = 4 << 10, 64 << 10
CORPUS_SECTIONS = 200
"""Least sections that a corpus of one document is cut into, where the shortest section allows it."""
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

    def documents(self) -> Iterator[Iterator[str]]:
        """The pieces of each document, to be taken before the next document's.

        Raises SpecError with file and line where the text is not what its suffix says.
        """
        section = self.section_bytes
        for path in self.files:
            try:
                yield from _embedded(path, section) if self.embedded else READERS[path.suffix](path, section, self.column)
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
    files = tuple(dict.fromkeys(path for pattern in spec.files for path in _matches(pattern, key)))
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    return Documents(f"{files[0].name}{more}", files, embedded=False, column=spec.column)


def _standard_library(root: Path) -> list[Path]:
    """Sources below the root without tests and without the build's own settings, so that equal Pythons have equal corpora."""
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = set(folders) - NOT_IN_STDLIB
        found += [Path(folder, name) for name in names if name.endswith(".py") and not name.startswith("_sysconfigdata")]
    return sorted(found, key=Path.as_posix)


def _matches(pattern: str, key: str) -> list[Path]:
    path = Path(pattern)
    paths = [path] if path.is_file() else [Path(name) for name in sorted(glob.glob(pattern, recursive=True))]
    files = [path for path in paths if path.is_file()]
    if not files:
        cure = f"name its files, such as {pattern}/**/*.txt" if path.is_dir() else "check the path, which is relative to the study file"
        raise SpecError(f"{key} must name files, found none for {pattern}; {cure}")
    for file in files:
        if file.suffix not in READERS:
            raise SpecError(f"corpus file {file} must end in {_one_of(READERS)}, found {quoted(file.suffix)}; convert it or leave it out")
    return files


def _embedded(path: Path, section: int) -> Iterator[Iterator[str]]:
    data = path.read_bytes()
    try:
        data.decode()
    except UnicodeDecodeError:
        return
    yield _sections(io.BytesIO(data), section, path)


def _plain(path: Path, section: int, _column: str) -> Iterator[Iterator[str]]:
    with path.open("rb") as file:
        yield _sections(file, section, path)


def _json_lines(path: Path, section: int, column: str) -> Iterator[Iterator[str]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.isspace():
                yield _sections(io.BytesIO(_json_text(line, column, f"corpus file {path}, line {number}")), section, path)


def _json_text(line: bytes, column: str, where: str) -> bytes:
    try:
        value = parse_json(line.removeprefix(codecs.BOM_UTF8).decode().strip())
    except UnicodeDecodeError as error:
        raise SpecError(f"{where} must be UTF-8, found {_found(error)}; convert the file") from None
    except ValueError as error:
        said = re.sub(r"line 1, (column \d+): (.*)", r"\2 at \1", str(error))
        found = said[:1].lower() + said[1:]
        raise SpecError(f"{where} must be one JSON object, found {found}; correct the line") from None
    if not isinstance(value, dict):
        raise SpecError(f'{where} must be a JSON object with `{column}`, found {type(value).__name__}; write {{"{column}": ...}}')
    text = value.get(column)
    if not isinstance(text, str):
        found = type(text).__name__ if column in value else f"keys {', '.join(value) or 'none'}"
        raise SpecError(f"{where} must have a string `{column}`, found {found}; put the document there, or name its key with corpus.column")
    try:
        return text.encode()
    except UnicodeEncodeError:  # JSON can spell half a surrogate pair, which no UTF-8 text has
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def _parquet(path: Path, section: int, column: str) -> Iterator[Iterator[str]]:
    for text in read_column(path, column):
        yield _sections(io.BytesIO(text), section, path)


def _one_of(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} or {last}"


def _found(error: UnicodeDecodeError) -> str:
    return f"byte 0x{error.object[error.start]:02x}"


def _sections(file: BinaryIO, section: int, path: Path) -> Iterator[str]:
    """Sections of at least so many bytes, to the next line end but at most twice as long; no character is cut."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    lines = 1
    try:
        while block := file.read(section):
            block += file.readline(section)
            if text := decoder.decode(block):
                yield text
            lines += block.count(b"\n")
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        line = lines + error.object[: error.start].count(b"\n")
        raise SpecError(f"corpus file {path}, line {line} must be UTF-8, found {_found(error)}; convert the file") from None


READERS: dict[str, Callable[[Path, int, str], Iterator[Iterator[str]]]] = {".txt": _plain, ".jsonl": _json_lines, ".parquet": _parquet}
