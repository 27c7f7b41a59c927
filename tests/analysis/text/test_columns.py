"""Tables in a terminal that is narrower than they are, and cells of tables in Markdown."""

from __future__ import annotations

import re

import pytest

from analysis.text.columns import aligned, markdown_cell, wrapped_table


@pytest.mark.parametrize("text", ["a|b", "a\\|b", "|", "a\nb", "a\r\nb | c", "ends\\", "a\u2028b", "plain, with `code`"])
def test_any_text_is_one_cell_of_one_row(text: str) -> None:
    row = f"| chosen | {markdown_cell(text)} |"
    assert len(row.splitlines()) == 1
    cells = re.findall(r"\|((?:\\.|[^|\\])*)(?=\|)", row)
    assert len(cells) == 2
    assert re.sub(r"\\(.)", r"\1", cells[1]).strip() == " ".join(text.split())


TABLE = [
    ("row", "model", "way", *(f"column {number}" for number in range(8))),
    *((f"{row}", "runs/quickstart, trial 7", "prune50+int8", *(f"{row}.{number}" for number in range(8))) for row in range(1, 4)),
]


@pytest.mark.parametrize("width", [30, 40, 60, 80, 120, 400])
def test_no_line_of_a_table_is_wider_than_the_terminal_and_no_cell_is_lost(width: int) -> None:
    lines = wrapped_table(TABLE, [1, 2], width)
    assert max(map(len, lines)) <= width
    assert [cell for row in TABLE for cell in row if not any(cell in line for line in lines)] == []
    parts = "\n".join(lines).split("\n\n")
    assert [[line.split()[0] for line in part.splitlines()] for part in parts] == [["row", "1", "2", "3"]] * len(parts)
    assert (len(parts) == 1) == (max(map(len, aligned(TABLE, [1, 2]))) <= width)


def test_a_table_that_goes_elsewhere_is_whole_and_a_cell_that_is_too_wide_is_cut() -> None:
    assert wrapped_table(TABLE, [1, 2], None) == aligned(TABLE, [1, 2])
    lines = wrapped_table([("row", "model"), ("1", "m" * 50)], [1], 40)
    assert lines[1] == f"  1  {'m' * 34}…"
