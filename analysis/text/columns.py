"""Rows of cells as text: columns that stand under each other in a terminal, and cells of a table in Markdown."""

from __future__ import annotations

from collections.abc import Collection, Sequence

ON_THE_LEFT = ("trial", "shape", "")
"""Columns whose cells stand on the left."""
INTERVAL_WORDS = "90 %"
"""Beginning of a heading whose cells are intervals of the column before."""
LONG_KEY = 0.5
"""Share of a terminal's width from which a row's name is long."""


def aligned(rows: Sequence[Sequence[str]], left: Collection[int]) -> list[str]:
    """One line a row, two blanks between cells; the columns at these places stand on the left, the others on the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if place in left else cell.rjust(width) for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def wrapped_table(rows: Sequence[Sequence[str]], left: Collection[int], width: int | None, keys: int = 1) -> list[str]:
    """The lines of `aligned`; where they are wider than `width`, that of a terminal, nothing is left out.

    As many columns as fit stand beside each other, and the others below, each time after the first `keys` columns; an interval stays with
    what it is of. Where one key is long and all else fits, it has a line of its own. Only a cell that is itself too wide is cut.
    """
    whole = aligned(rows, left)
    if width is None or len(rows[0]) <= keys or max(map(len, whole)) <= width:
        return whole
    if keys == 1 and max(len(row[0]) for row in rows) > LONG_KEY * width:
        beside = [f"  {line}" for line in aligned([row[1:] for row in rows], [place - 1 for place in left])]
        if max(map(len, beside)) <= width:
            return [cut(line, width) for row, line in zip(rows, beside, strict=True) for line in (row[0], line)]
    found: list[str] = []
    rest: list[list[int]] = []
    for place in range(keys, len(rows[0])):
        if rest and rows[0][place].startswith(INTERVAL_WORDS):
            rest[-1].append(place)
        else:
            rest.append([place])
    while rest:
        shown = [*range(keys), *rest.pop(0)]
        while rest and _wide(rows, [*shown, *rest[0]]) <= width:
            shown += rest.pop(0)
        lines = aligned([[row[place] for place in shown] for row in rows], [at for at, place in enumerate(shown) if place in left])
        found += [*([""] if found else []), *(cut(line, width) for line in lines)]
    return found


def cut(line: str, width: int) -> str:
    """The line, or its beginning with an ellipsis."""
    return line if len(line) <= width else f"{line[: width - 1]}…"


def _wide(rows: Sequence[Sequence[str]], places: Sequence[int]) -> int:
    """Letters of a line with these columns."""
    return sum(max(len(row[place]) for row in rows) for place in places) + 2 * (len(places) - 1)


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """The first row as the heading of the others."""
    heading, *others = rows
    lines = [heading, ("---",) * len(heading), *others]
    return "\n".join(f"| {' | '.join(line if line is lines[1] else map(markdown_cell, line))} |" for line in lines)


def markdown_cell(text: str) -> str:
    """Any text as one cell: what would end the cell or the row is escaped, or a blank."""
    return " ".join(text.replace("\\", "\\\\").replace("|", "\\|").split())
