"""A person's table as named columns of cells: separated values, JSON or Parquet, plain or gzipped, in bounded memory."""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from analysis.records.json_text import parse_json
from analysis.records.json_writer import json_of
from analysis.tables.bar_rows import Cells, LineOfCells, rows_between_bars
from analysis.tables.long_cells import long_cells
from search_space.errors import SpecError, quoted, refused, require_reachable, value_kind

MOST_CHARACTERS = 32 << 20
"""Characters of a whole table, decompressed."""
MOST_CELLS = 4_000_000
NAMED_LINES = 10
SEPARATORS = (",", ";", "\t", "|")
ENCODINGS = {b"\xff\xfe\0\0": "utf-32", b"\0\0\xfe\xff": "utf-32", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
"""What a text is written in that begins so, as spreadsheets write it; UTF-8 otherwise."""
SEPARATOR_LINE = ["sep=", ""]
"""What is left of a spreadsheet's first line that says what separates cells, such as `sep=;`."""
LINE_END = re.compile(r"\r\n?|\n")
OBJECT_LINE = re.compile(r"\s*\{.*\}\s*")
"""A line with a whole object of JSON, whatever is in it."""
WRITTEN_NUMBER = re.compile(r"[-+]?[\d.,]*\d[\d.,]*([eE][-+]?\d+)?")
NAMELESS = re.compile(r"\s*|Unnamed: \d+")
"""A column without a name, such as pandas writes for its index."""

MAGIC_KINDS: tuple[tuple[bytes, str, str], ...] = (
    (b"PK\x03\x04", "a workbook or another zip archive", "export the table as CSV"),
    (b"\xd0\xcf\x11\xe0", "a workbook of an old kind", "export the table as CSV"),
    (b"\x1f\x8b", "a gzip file", "end its name in .gz, after what is in it"),
    (b"\x28\xb5\x2f\xfd", "a zstd file", "decompress it"),
    (b"BZh", "a bzip2 file", "decompress it"),
    (b"PAR1", "a Parquet file", "end its name in .parquet"),
    (b"ARROW1", "an Arrow file", "save it as Parquet"),
    (b"SQLite format 3", "a database", "export the table as CSV"),
    (b"%PDF", "a PDF", "export the table as CSV"),
    (b"<!DOCTYPE", "a web page", "export the table as CSV"),
    (b"<html", "a web page", "export the table as CSV"),
    (b"\x93NUMPY", "an array of NumPy's", "save the table as CSV"),
    (b"\x89HDF", "an HDF5 file", "save the table as CSV"),
)
"""How files begin that are no text, what they are, and what to do about it."""


@dataclass(frozen=True)
class CellTable:
    """Rows of text under names, each name once."""

    path: Path
    names: tuple[str, ...]
    """Names of the columns that have one."""
    lines: tuple[int, ...]
    """Where each row ends in the file; for Parquet the row's number."""
    columns: tuple[Cells, ...]
    """A column's cells in the order of `names`; None where the row has no such cell."""
    may_have_decimal_commas: bool = False
    """Whether something else than commas stands between the cells, so that one in a number may be a decimal one."""

    def __len__(self) -> int:
        return len(self.lines)

    def __getitem__(self, name: str) -> Cells:
        return self.columns[self.names.index(name)]

    def at(self, row: int) -> str:
        """Where a row stands, as the beginning of a sentence."""
        return f"{self.path}:{self.lines[row]}"

    def rows(self, kept: Sequence[bool]) -> CellTable:
        """The rows for which `kept` is true."""
        columns = tuple([cell for cell, keep in zip(cells, kept, strict=True) if keep] for cells in self.columns)
        return replace(self, lines=tuple(line for line, keep in zip(self.lines, kept, strict=True) if keep), columns=columns)

    def named_lines(self, rows: Sequence[int]) -> str:
        """The lines of some rows, for a sentence."""
        return lines_text([self.lines[row] for row in rows])

    def without_repeated(self, keys: Iterable[tuple[object, ...]]) -> tuple[list[bool], list[str]]:
        """Which rows are the first with their key, and the note on the others."""
        seen: set[tuple[object, ...]] = set()
        first = [not (key in seen or seen.add(key)) for key in keys]  # type: ignore[func-returns-value]
        repeated = [row for row, is_first in enumerate(first) if not is_first]
        return first, [
            f"rows that repeat another count once: {len(repeated):,} left out ({self.named_lines(repeated)})"
        ] if repeated else []


def read_cells(path: Path) -> CellTable:
    """The table in a file, by its suffix; other than `.json`, `.jsonl` and `.parquet` it is separated by commas, semicolons, tabs or bars.

    Raises SpecError where it is no such file, has two columns of one name or a row with too many cells, or is too large.
    """
    require_reachable(path, "a table's file")
    if not path.is_file():
        raise SpecError(f"{path} is not a file; name a table (CSV, JSON lines or Parquet) with one row a run or shape")
    suffix = Path(path.stem if path.suffix.lower() == ".gz" else path).suffix.lower()
    _require_text_file(path)
    separator = ""
    if suffix == ".parquet":
        from analysis.tables.parquet_rows import parquet_rows

        rows: Iterator[LineOfCells] = parquet_rows(path, as_cell)
    elif suffix in (".jsonl", ".ndjson"):
        rows = _json_rows(path, _listed_in_lines(path))
    elif suffix == ".json":
        rows = _json_rows(path, _listed(path))
    else:
        separator = _separator(path)
        rows = _separated_rows(path, separator)
        rows = rows_between_bars(path, rows) if separator == "|" else rows
    header: Cells = next(rows, (0, ()))[1]
    if not any(map(str.strip, filter(None, header))):
        raise SpecError(f"{path} must begin with a line of column names, found nothing; name a table with one row a run or shape")
    names = [(name or "").strip() for name in header]
    _require_names(path, names)
    lines: list[int] = []
    cells: list[list[str | None]] = []
    characters = 0
    for line, row in rows:
        characters += sum(len(cell) for cell in row if cell)
        if separator and len(row) > len(names) == 1:
            raise _undivided(path, names)
        if len(row) > len(names):
            raise SpecError(
                f"{path}:{line} must have a cell for each of the {len(names)} column names, found more; put a cell with commas in quotes"
            )
        if characters > MOST_CHARACTERS or len(names) * len(lines) > MOST_CELLS:
            raise _too_large(path)
        if not any(cell and cell.strip() for cell in row):
            continue
        lines.append(line)
        cells.append([*row, *[None] * (len(names) - len(row))])
    if separator and len(names) == 1:
        raise _undivided(path, names)
    kept = [place for place, name in enumerate(names) if not NAMELESS.fullmatch(name)]
    columns = tuple([row[place] for row in cells] for place in kept)
    return CellTable(path, tuple(names[place] for place in kept), tuple(lines), columns, bool(separator) and separator != ",")


def _require_text_file(path: Path) -> None:
    """Raise SpecError for a file of a well-known kind that its name does not say."""
    try:
        with path.open("rb") as file:
            begin = file.read(16).lstrip()
    except OSError as error:
        raise refused(error, path, "be readable", "check its permissions") from None
    for mark, kind, cure in MAGIC_KINDS:
        if begin.startswith(mark) and path.suffix.lower() not in (".gz", ".parquet"):
            raise SpecError(f"{path} must be a table as text, found {kind}; {cure}")


def _undivided(path: Path, names: Sequence[str]) -> SpecError:
    return SpecError(
        f"{path} must begin with names of columns and have commas, semicolons, tabs or bars between them, found {quoted(names[0])}; write "
        "it so, and remove what stands before the names"
    )


def _require_names(path: Path, names: Sequence[str]) -> None:
    if all(WRITTEN_NUMBER.fullmatch(name) for name in names if name):
        raise SpecError(f"{path} must begin with a line of column names, found numbers alone; add one")
    for place, name in enumerate(names):
        if not NAMELESS.fullmatch(name) and name in names[:place]:
            positions = f"{names.index(name) + 1} and {place + 1}"
            raise SpecError(f"{path} must have each column once, found `{name}` as columns {positions}; rename or remove one")


def _lines(path: Path) -> Iterator[str]:
    """The lines of a text file that is not too large."""
    opened = gzip.open if path.suffix.lower() == ".gz" else open
    left = MOST_CHARACTERS
    try:
        with opened(path, "rb") as file:
            begin = file.read(4)
        encoding = next((encoding for mark, encoding in ENCODINGS.items() if begin.startswith(mark)), "utf-8-sig")
        with opened(path, "rt", newline="", encoding=encoding) as file:
            for number in count(1):
                line = file.readline(left + 1)
                left -= len(line)
                if left < 0:
                    raise _too_large(path)
                if not line:
                    return
                if "\0" in line:
                    raise _no_text(path, f"the byte 0x00 in line {number}")
                yield line
    except UnicodeDecodeError as error:
        if encoding != "utf-8-sig":
            raise _no_text(path, f"{encoding.upper()} that is cut or damaged") from None
        raise _no_text(path, f"the byte 0x{error.object[error.start]:02x} in line {_undecodable_line(path, opened)}") from None
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise SpecError(f"{path} must be a whole gzip file, found a damaged one; write it again") from None
    except OSError as error:
        raise refused(error, path, "be readable", "check its permissions") from None


def _no_text(path: Path, found: str) -> SpecError:
    return SpecError(f"{path} must be text in UTF-8, found {found}; save it as UTF-8, or export the table as CSV")


def _undecodable_line(path: Path, opened: Callable[..., Any]) -> int:
    """The first line that is no UTF-8, which a decoder that reads ahead does not tell."""
    count = 1
    with opened(path, "rb") as file:
        for line in file:
            try:
                text = line.decode()
            except UnicodeDecodeError as error:
                return count + len(LINE_END.findall(line[: error.start].decode()))
            count += len(LINE_END.findall(text))
    return count


def _separator(path: Path) -> str:
    """What separates most names in the first line that has any."""
    first = next((line for line in _lines(path) if line.strip()), "")
    return max(SEPARATORS, key=lambda mark: sum(mark in part for part in re.sub(r'"[^"]*"', "", first)))


def _separated_rows(path: Path, separator: str) -> Iterator[LineOfCells]:
    reader = csv.reader(_lines(path), delimiter=separator, strict=True)
    try:
        with long_cells(MOST_CHARACTERS):
            for row in reader:
                if row and row != SEPARATOR_LINE:
                    yield reader.line_num, row
    except csv.Error as error:
        if str(error).endswith("expected after '\"'"):
            raise SpecError(
                f"{path}:{reader.line_num} must have a separator after a quote that closes a cell, found other text; write a quote inside "
                "a cell as two"
            ) from None
        raise SpecError(
            f"{path}:{reader.line_num} must end a row of separated values, found: {error}; close quotes where they were opened, and write "
            "one inside as two"
        ) from None


def _json_rows(path: Path, objects: Iterable[tuple[int, dict[str, str | None]]]) -> Iterator[LineOfCells]:
    """Objects as rows under all the keys that there are; what lies deeper has the keys on its way, with slashes."""
    found = list(objects)
    names = list(dict.fromkeys(name for _, row in found for name in row))
    if len(names) * len(found) > MOST_CELLS:
        raise _too_large(path)
    yield 0, names
    for number, row in found:
        yield number, [row.get(name) for name in names]


def _listed_in_lines(path: Path) -> Iterator[tuple[int, dict[str, str | None]]]:
    """The objects of a file that has one in each line, flat, each with the line's number."""
    return ((number, _object(path, number, line)) for number, line in enumerate(_lines(path), 1) if line.strip())


def _listed(path: Path) -> Iterator[tuple[int, dict[str, str | None]]]:
    """The objects of a file that is one list of them, or has one in each line, flat, each with its place."""
    try:
        values = parse_json("".join(_lines(path)), has_nan=True)
    except ValueError as error:
        if OBJECT_LINE.match(next((line for line in _lines(path) if line.strip()), "")):
            yield from _listed_in_lines(path)
            return
        raise SpecError(f"{path} must be JSON, found no such text ({error}); correct it, or save the table as CSV") from None
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        found = "something else" if isinstance(values, list) else value_kind(values)
        raise SpecError(f"{path} must be a list of objects, one a run or shape, found {found}; save it so, or as JSON lines or CSV")
    yield from ((place, dict(_flat(value))) for place, value in enumerate(values, 1))


def _object(path: Path, number: int, line: str) -> dict[str, str | None]:
    """A line's object, flat."""
    try:
        value = parse_json(line.strip(), has_nan=True)
        if isinstance(value, dict):
            return dict(_flat(value))
        found = value_kind(value)
    except RecursionError:
        found = "brackets within brackets without end"
    except ValueError as error:
        found = str(error).removeprefix("line 1, ")
    raise SpecError(f"{path}:{number} must be one JSON object, found {found}; correct the line")


def _flat(value: dict[str, Any], before: str = "") -> Iterator[tuple[str, str | None]]:
    for key, inner in value.items():
        if isinstance(inner, dict):
            yield from _flat(inner, f"{before}{key}/")
        else:
            yield before + key, as_cell(inner)


def as_cell(value: object) -> str | None:
    """A value of JSON or Parquet as the text that a CSV would have."""
    if value is None or isinstance(value, str):
        return value
    return json_of(value) if isinstance(value, list) else str(value)


def _too_large(path: Path) -> SpecError:
    return SpecError(
        f"{path} must have at most {MOST_CELLS:,} cells and {MOST_CHARACTERS >> 20} MiB of text, found more; "
        "export the columns and rows that are asked about"
    )


def lines_text(lines: Sequence[int]) -> str:
    """`line 7`, `lines 7, 9 and 12`, and how many more there are after ten."""
    shown = [str(line) for line in lines[:NAMED_LINES]]
    if len(lines) > NAMED_LINES:
        return f"lines {', '.join(shown)} and {len(lines) - NAMED_LINES:,} more"
    return f"line {shown[0]}" if len(shown) == 1 else f"lines {', '.join(shown[:-1])} and {shown[-1]}"
