"""Rows of cells as text: columns that stand under each other in a terminal, and cells of a table in Markdown."""

from __future__ import annotations

from collections.abc import Collection, Sequence

ON_THE_LEFT = ("trial", "shape", "")
"""Columns whose cells stand on the left."""


def aligned(rows: Sequence[Sequence[str]], left: Collection[int]) -> list[str]:
    """One line a row, two blanks between cells; the columns at these places stand on the left, the others on the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if place in left else cell.rjust(width) for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """The first row as the heading of the others."""
    heading, *others = rows
    lines = [heading, ("---",) * len(heading), *others]
    return "\n".join(f"| {' | '.join(line if line is lines[1] else map(markdown_cell, line))} |" for line in lines)


def markdown_cell(text: str) -> str:
    """Any text as one cell: what would end the cell or the row is escaped, or a blank."""
    return " ".join(text.replace("\\", "\\\\").replace("|", "\\|").split())
