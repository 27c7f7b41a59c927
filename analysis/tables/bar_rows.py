"""Rows of cells between bars: Markdown's, with bars at both ends or at none and a rule below the names, and those of other programs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

from search_space.errors import SpecError, quoted

RULE = re.compile(r":?-+:?")
"""What the cells below the names of a table of Markdown are."""

Cells = Sequence[str | None]
LineOfCells = tuple[int, Cells]
"""The number of the line on which it ends, and its cells."""


def rows_between_bars(path: Path, rows: Iterator[LineOfCells]) -> Iterator[LineOfCells]:
    """The names and then the rows of a table whose lines were parted at each bar, without padding and rules.

    Where a rule stands below the names it is Markdown: a bar at either end of a line parts nothing, and each line may go without. Elsewhere
    what is in front of the first bar is a cell. Raises SpecError with its line where such a table has text in front of the bar with which
    the line of names begins in some rows and not in others, or in a row that is too short for it: its cells may be those of other columns.
    """
    padless = ((line, [(cell or "").strip() for cell in row]) for line, row in rows)
    begin = list(islice(padless, 2))
    rest = ((line, row) for line, row in chain(begin, padless) if not _is_rule(row))
    if len(begin) == 2 and _is_rule(begin[1][1]):
        yield from ((line, _without_outer_bars(row)) for line, row in rest)
        return
    names: list[str] = []
    has_text: bool | None = None
    for line, row in rest:
        if names and not names[0] and any(row):
            has_text = bool(row[0]) if has_text is None else has_text
            if bool(row[0]) != has_text or (has_text and len(row) < len(names)):
                found = f"{quoted(row[0])} in front of the first" if row[0] else "one at the beginning, unlike those above"
                raise SpecError(
                    f"{path}:{line} must have its bars where the line of names and the other rows have them, found {found}; put bars at "
                    "both ends of each line, or a rule (|---|) below the names"
                )
        names = names or row
        yield line, row


def _is_rule(row: Sequence[str]) -> bool:
    return any(row) and all(RULE.fullmatch(cell) for cell in row if cell)


def _without_outer_bars(row: list[str]) -> list[str]:
    """The cells of a line of Markdown: nothing stands in front of a bar that begins it, and nothing behind one that ends it."""
    return row[not row[0] : len(row) - (len(row) > 1 and not row[-1])]
