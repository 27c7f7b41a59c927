"""Cells of tables in Markdown."""

from __future__ import annotations

import re

import pytest

from analysis.text.columns import markdown_cell


@pytest.mark.parametrize("text", ["a|b", "a\\|b", "|", "a\nb", "a\r\nb | c", "ends\\", "a\u2028b", "plain, with `code`"])
def test_any_text_is_one_cell_of_one_row(text: str) -> None:
    row = f"| chosen | {markdown_cell(text)} |"
    assert len(row.splitlines()) == 1
    cells = re.findall(r"\|((?:\\.|[^|\\])*)(?=\|)", row)
    assert len(cells) == 2
    assert re.sub(r"\\(.)", r"\1", cells[1]).strip() == " ".join(text.split())
