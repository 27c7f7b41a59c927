"""Documents in files of separated values: a column of text below a line of names."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from analysis.tables.long_cells import long_cells
from search_space.errors import SpecError, shortened
from trials.corpus.byte_stream import LONGEST_ROW_BYTES, Watch, bounded_lines

CELL_MARKS = (",", ";", "\t", "|")
"""The first that gives the first line a cell of the column's name."""
SEPARATOR_STATED = re.compile(r'sep=([^"\r\n])\s*')
"""A spreadsheet's first line that says what separates cells."""


def read_separated(path: Path, column: str, watch: Watch) -> Iterator[tuple[str, bytes]]:
    """The column's cells with their places, row by row; a quoted cell may have line ends. Empty lines are passed over.

    Raises SpecError where there is no such column, or a row has more or fewer cells than the first line.
    """
    lines = _decoded(path, watch)
    first = next(lines, "")
    stated = SEPARATOR_STATED.fullmatch(first)
    before = 0 if stated is None else 1
    first = first if stated is None else next(lines, "")
    separator = next((mark for mark in CELL_MARKS if column in _cells(first, mark)), ",") if stated is None else stated[1]
    with long_cells(LONGEST_ROW_BYTES):
        rows = csv.reader(chain([first], lines), delimiter=separator, strict=True)
        try:
            names = next(rows, [])
            place = _place(path, column, names)
            for row in rows:
                where = f"corpus file {path}, line {before + rows.line_num}"
                if not row:
                    continue
                if len(row) != len(names):
                    raise SpecError(
                        f"{where} must have a cell for each of the {len(names)} names of the first line, found {len(row)}; "
                        "put text with separators, quotes or line ends into quotes"
                    )
                yield where, row[place].encode()
        except csv.Error as error:
            if str(error).startswith("new-line character"):
                raise SpecError(
                    f"corpus file {path} must end its lines in a line feed, found carriage returns alone; convert the file"
                ) from None
            raise SpecError(
                f"corpus file {path}, line {before + rows.line_num} must end a row of separated values, found: {error}; "
                "put text with separators, quotes or line ends into quotes, and write a quote inside as two"
            ) from None


def _decoded(path: Path, watch: Watch) -> Iterator[str]:
    for number, line in bounded_lines(path, watch):
        try:
            yield line.decode()
        except UnicodeDecodeError as error:
            found = f"byte 0x{error.object[error.start]:02x}"
            raise SpecError(f"corpus file {path}, line {number} must be UTF-8, found {found}; convert the file") from None


def _cells(line: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=separator), [])
    except csv.Error:
        return []


def _place(path: Path, column: str, names: list[str]) -> int:
    """Where in a row the column is."""
    places = [place for place, name in enumerate(names) if name == column]
    if len(places) == 1:
        return places[0]
    if places:
        raise SpecError(
            f"corpus file {path} must have a column `{column}` once, found it as columns {places[0] + 1} and {places[1] + 1}; rename one"
        )
    found = shortened(", ".join(names)) or "none"
    raise SpecError(
        f"corpus file {path} must have a column `{column}` in its first line, found {found}; name one of them with corpus.column, "
        "or add a line of names"
    )
