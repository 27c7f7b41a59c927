"""What a reader does with a page in a real browser: hovers a word, sorts and filters a table, looks at the picture of a shape."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from analysis.records.files import write_whole
from analysis.report.drawing import MOST_HEADS_DRAWN, WIDTH, shape_drawing
from analysis.report.html import Html, sections_page, table
from analysis.report.study_page import report_page
from analysis.report.terms import spelled_terms
from search_space.label import read_label
from tests.support.browser import show, unfold
from tests.support.sample_study import SPACE, sample_finals, sample_records, sample_summary

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

RECORDS = sample_records()
SHAPES = [shape for _, shape in SPACE.table()][::97]
TABLE = "[...document.querySelectorAll('#front details table')].at(-1)"
SORTED = f"""
const table = {TABLE}, heads = [...table.querySelectorAll('th')], column = heads.findIndex(h => h.textContent.startsWith(arguments[0]));
heads[column].click();
const cells = [...table.tBodies[0].rows].map(row => row.cells[column].textContent);
return [cells, heads[column].getAttribute('aria-sort')];
"""
FILTERED = f"""
const table = {TABLE}, input = table.closest('.scroll').previousElementSibling;
input.value = arguments[0]; input.dispatchEvent(new Event('input'));
return [...table.tBodies[0].rows].filter(row => !row.hidden).map(row => row.cells[0].textContent.split(' ')[0]);
"""
BARE = """
const explained = (e) => e.closest('[title]') || e.querySelector('title');
return [...document.querySelectorAll('th, h2, dt, .card .what, .card small, .card code, nav a, .tag:not(.reference), label')]
  .filter(e => e.textContent.trim() && !explained(e) && !e.querySelector('[title]') && !e.closest('#terms, #environment'))
  .map(e => e.textContent);
"""
PROSE = """
return [...document.querySelectorAll('p, figcaption')].filter(e => e.checkVisibility() && !e.closest('[title], #terms'))
  .map(e => [e.textContent, [...e.querySelectorAll('abbr')].map(a => [a.textContent, a.title])]);
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    text = report_page(sample_summary(), RECORDS, sample_finals(RECORDS))
    return write_whole(tmp_path_factory.mktemp("page") / "report.html", text.encode())


@pytest.mark.slow
@pytest.mark.needs
def test_every_label_and_term_is_explained_where_it_stands(browser: Chrome, page: Path) -> None:
    show(browser, page)
    unfold(browser)
    assert browser.execute_script(BARE) == []
    known = {word.casefold(): text for word, text in spelled_terms().items()}
    explained = 0
    for text, terms in browser.execute_script(PROSE):
        explained += len(terms)
        assert all(known[word.casefold()] == title for word, title in terms)
        if re.search(r"\bknee\b", text):
            assert "knee" in [word.casefold() for word, _ in terms], text
    assert explained > 30
    axis = "return document.querySelector('.front .xtitle title').textContent"
    assert browser.execute_script(axis) == known["latency"]
    assert browser.execute_script("return document.querySelector('#terms').previousElementSibling.tagName") == "SECTION"
    assert browser.execute_script("return document.querySelectorAll('#terms ~ section').length") == 0, "the glossary is the end"


@pytest.mark.slow
@pytest.mark.needs
def test_a_table_sorts_by_numbers_both_ways_with_what_is_absent_last(browser: Chrome, page: Path) -> None:
    show(browser, page)
    unfold(browser)
    for heading in ("latency", "Parameters", "Trial"):
        for direction in ("ascending", "descending"):
            cells, said = browser.execute_script(SORTED, heading)
            assert said == direction
            there = [cell for cell in cells if cell != "–"]
            assert cells == there + ["–"] * (len(cells) - len(there))
            numbers = [float(re.sub(r"[#,]", "", cell).split()[0]) for cell in there]
            assert numbers == sorted(numbers, reverse=direction == "descending")
            assert len(numbers) > 20
    cells, _ = browser.execute_script(SORTED, "Outcome")
    assert cells == sorted(cells, key=str.casefold) or cells == sorted(cells)


@pytest.mark.slow
@pytest.mark.needs
def test_signs_and_prefixes_are_sorted_by_what_they_say_and_a_total_stays_last(browser: Chrome, tmp_path: Path) -> None:
    written = ["+0.1% (+0.0% to +0.2%)", "-2.0% (-3.0% to -1.0%)", "+12.5%", "500 mJ", "1.2 J", "3 billion", "45,678", "–"]
    rows = [(text,) for text in written]
    body = [table({"Sorted": False}, rows, "One."), table({"Kept": False}, rows, "Two.", is_sortable=False)]
    text = sections_page("Tables", "", {"front": "Front"}, {"front": body}, Html(""))
    show(browser, write_whole(tmp_path / "page.html", text.encode()))
    click = """
const table = [...document.querySelectorAll('#front table')][arguments[0]];
table.querySelector('th').click();
return [...table.tBodies[0].rows].map(row => row.cells[0].textContent);
"""
    assert browser.execute_script(click, 0) == [written[place] for place in (1, 0, 3, 4, 2, 6, 5, 7)]
    assert browser.execute_script(click, 1) == written


@pytest.mark.slow
@pytest.mark.needs
def test_a_table_is_filtered_by_words_and_by_numbers(browser: Chrome, page: Path) -> None:
    show(browser, page)
    unfold(browser)
    everything = browser.execute_script(FILTERED, "")
    assert len(everything) == len(RECORDS)
    fast = {f"#{r.number}" for r in RECORDS if r.latency is not None and r.latency.total_ms.median < 14}
    assert abs(len(set(browser.execute_script(FILTERED, "latency<14")) ^ fast)) <= 2, "finals are measured again"
    swiglu = {f"#{r.number}" for r in RECORDS if "relu" in r.architecture.label}
    assert set(browser.execute_script(FILTERED, "relu")) == swiglu
    both = set(browser.execute_script(FILTERED, "RELU latency<14"))
    assert both == swiglu & set(browser.execute_script(FILTERED, "latency<14"))
    assert browser.execute_script(FILTERED, "nothing such") == []


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.label)
def test_a_drawing_has_every_block_its_sharing_and_its_heads(shape: object) -> None:
    [a] = [each for each in SHAPES if each is shape]
    drawn = ET.fromstring(shape_drawing(a))
    paths = [path for path in drawn if path.tag == "path"]
    columns, heads = paths[:-1], paths[-1]
    assert sum(path.attrib["d"].count("M") for path in columns) == 2 * a.num_hidden_layers
    assert len(columns) == a.sharing.stored("mlp", a.num_unique_layers) + a.sharing.stored("attention", a.num_unique_layers)
    assert heads.attrib["d"].count("M") == min(a.num_attention_heads, MOST_HEADS_DRAWN)
    right = max(float(x) for path in columns for x in re.findall(r"M([\d.]+)", path.attrib["d"]))
    assert right < WIDTH
    assert drawn.find("title") is not None
    assert len(shape_drawing(a)) < 4000
    assert read_label(a.label)
