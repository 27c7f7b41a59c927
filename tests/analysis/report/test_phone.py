"""Pages on a phone: no title, note or legend of a figure is cut, and what an axis says stands upright and apart."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from analysis.objectives.problem import problem_of
from analysis.records.files import write_whole
from analysis.report.study_page import report_page
from tests.support.browser import show, unfold
from tests.support.needs import rest_is_more
from tests.support.sample_study import sample_finals, sample_records, sample_summary

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

NAMES = {"two": ["bits_per_byte", "total_ms"], "three": ["bits_per_byte", "total_ms", "kv_cache_bytes"]}
CUT = """
const cut = [];
for (const plot of document.querySelectorAll('.plot.plotly-graph-div')) {
  const room = plot.getBoundingClientRect();
  for (const text of plot.querySelectorAll('.xtitle, .ytitle, .gtitle, .gtitle-subtitle, .legendtext')) {
    const box = text.getBoundingClientRect();
    const fits = box.left > room.left - 1 && box.right < room.right + 1 && box.top > room.top - 1 && box.bottom < room.bottom + 1;
    if (!fits) cut.push(text.textContent);
  }
}
return cut;
"""
OVER_EACH_OTHER = """
const over = [];
for (const plot of document.querySelectorAll('.plot.plotly-graph-div')) {
  const texts = [...plot.querySelectorAll('.xtitle, .gtitle, .gtitle-subtitle, .legendtext, .xtick text, .annotation-text')];
  const shown = texts.filter((text) => getComputedStyle(text).visibility !== "hidden");
  const boxes = shown.map((text) => [text.textContent, text.getBoundingClientRect()]);
  boxes.forEach(([a, one], place) => boxes.slice(place + 1).forEach(([b, other]) => {
    if (one.left < other.right && other.left < one.right && one.top < other.bottom - 1 && other.top < one.bottom - 1) over.push([a, b]);
  }));
}
return over;
"""


@pytest.mark.slow
@pytest.mark.needs
@pytest.mark.parametrize("problem", rest_is_more(NAMES, "three"))
@pytest.mark.parametrize("scheme", rest_is_more(["light", "dark"], "light"))
def test_no_title_of_a_figure_is_cut_or_lies_over_another_text(browser: Chrome, tmp_path: Path, problem: str, scheme: str) -> None:
    records = sample_records()
    text = report_page(sample_summary(), records, sample_finals(records), problem=problem_of(NAMES[problem]))
    show(browser, write_whole(tmp_path / "report.html", text.encode()), width=390, scheme=scheme, height=844)
    unfold(browser)
    assert browser.execute_script("return document.querySelectorAll('.plot.plotly-graph-div').length") >= 6
    assert browser.execute_script(CUT) == []
    assert browser.execute_script(OVER_EACH_OTHER) == []
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
