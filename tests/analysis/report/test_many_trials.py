"""A page of a thousand trials in a real browser: its size, what overlaps, how soon it answers; and pages of records that are odd."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from analysis.fronts.doubts import LIKELY
from analysis.fronts.front import front_of
from analysis.fronts.membership import estimate_membership
from analysis.objectives.problem import problem_of
from analysis.records.checked import LARGEST_NUMBER, from_json
from analysis.records.files import write_whole
from analysis.records.record import Kind, TrialRecord
from analysis.report import study_page
from analysis.report.figures import curves_figure, front_figure
from analysis.report.study_page import report_page
from tests.support.browser import count, logged, show
from tests.support.needs import rest_is_more
from tests.support.sample_study import sample_finals, sample_records, sample_summary

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

NAMES = {"two": ["bits_per_byte", "total_ms"], "three": ["bits_per_byte", "total_ms", "kv_cache_bytes"]}
MOST_BYTES, MOST_ELEMENTS, MOST_MILLISECONDS = 7_000_000, 5_000, 100
TEXTS = """
const shown = [...document.querySelectorAll('.front .plot text')].filter(t => getComputedStyle(t).visibility !== 'hidden' && t.textContent);
return shown.map(t => { const b = t.getBoundingClientRect(); return [t.textContent, b.left, b.top, b.right, b.bottom]; })
            .filter(b => b[3] > b[1]);
"""
ANSWERS = """
const input = document.querySelector('.limits input[name=total_ms]'), times = [];
for (const limit of [9, 12, 15, 20, 25, 30, 40]) {
  input.value = limit;
  const since = performance.now();
  archfront.answer();
  document.querySelector('.front .plot').getBoundingClientRect();
  times.push(performance.now() - since);
}
return times;
"""


@cache
def thousand() -> list[TrialRecord]:
    return sample_records(1000)


@pytest.fixture(scope="module", params=rest_is_more(NAMES, "two"))
def page(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a thousand trials under two and under three objectives; some seconds each."""
    text = report_page(sample_summary(), thousand(), sample_finals(thousand()), problem=problem_of(NAMES[request.param]))
    return write_whole(tmp_path_factory.mktemp("many") / "report.html", text.encode())


def overlapping(boxes: Sequence[Sequence[Any]]) -> list[tuple[str, str]]:
    return [
        (a[0], b[0])
        for place, a in enumerate(boxes)
        for b in boxes[place + 1 :]
        if a[1] < b[3] and b[1] < a[3] and a[2] < b[4] and b[2] < a[4]
    ]


@pytest.mark.slow
@pytest.mark.needs
def test_a_thousand_trials_are_read_at_once(browser: Chrome, page: Path) -> None:
    assert page.stat().st_size <= MOST_BYTES
    for width, height in ((1280, 900), (390, 844)):
        show(browser, page, width=width, height=height)
        assert count(browser, "*") <= MOST_ELEMENTS
        texts = browser.execute_script(TEXTS)
        assert len(texts) > 15
        assert overlapping(texts) == []
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert min(browser.execute_script(ANSWERS)) <= MOST_MILLISECONDS
    assert [entry for entry in logged(browser, "browser") if entry["level"] == "SEVERE"] == []


def test_bars_of_many_trials_are_those_of_likely_members_and_their_curves_are_a_band() -> None:
    records = thousand()
    front = front_of(records, sample_finals(records))
    membership = estimate_membership(front)
    figure = front_figure(records, front, membership)
    [bars] = [trace for trace in figure.data if "interval" in (trace.name or "")]
    likely = [n for n, point in front.points.items() if membership.posteriors[n].on_front >= LIKELY or point.kind is Kind.REFERENCE]
    assert len(bars.x) == 3 * len(likely) < 3 * len(front.members)
    [beaten] = [trace for trace in figure.data if trace.name == "not on the front"]
    assert len(beaten.x) > 900
    assert beaten.error_x.array is None
    assert max(map(len, beaten.hovertext)) < 200
    curves = curves_figure(records, front)
    low, high, middle = (
        next(t for t in curves.data if t.name == n)
        for n in (None, *[t.name for t in curves.data if "of those" in (t.name or "") or "median" in (t.name or "")])
    )
    assert all(a <= b <= c for a, b, c in zip(low.y, middle.y, high.y, strict=True))
    assert {trace.name for trace in curves.data} >= {"on the front"}
    assert sum(len(trace.x) for trace in curves.data) < 1000


def odd_records() -> dict[str, TrialRecord]:
    """A finished record with one number of it as large, or as small, as a file may hold; every number of costs, latency and quality."""
    [base] = [record for record in sample_records() if record.number == 6]
    values: dict[str, Any] = base.as_dict()
    found: dict[str, TrialRecord] = {}
    extreme: float
    for part, name in [("costs", n) for n in values["costs"]] + [("latency", n) for n in ("load_ms", "first_prefill_ms", "repeats")]:
        for extreme in (1, 2**62):
            changed = {**values, part: {**values[part], name: extreme}}
            found[f"{part}.{name} of {extreme}"] = from_json(TrialRecord, changed)
    for name, extreme in [("median", LARGEST_NUMBER / 2), ("median", 1e-30), ("p90", LARGEST_NUMBER / 2), ("p10", 1e-30)]:
        spread = {**values["latency"]["total_ms"], name: extreme}
        found[f"latency of {name} {extreme:g}"] = from_json(TrialRecord, {**values, "latency": {**values["latency"], "total_ms": spread}})
    for name, extreme in [("bits_per_byte", 1e30), ("bits_per_byte", 1e-30), ("next_token_accuracy", 0), ("next_token_accuracy", 1)]:
        quality = {**values["training"]["validation"], name: extreme}
        found[f"{name} of {extreme:g}"] = from_json(TrialRecord, {**values, "training": {**values["training"], "validation": quality}})
    found["no curve"] = from_json(TrialRecord, {**values, "training": {**values["training"], "curve": []}})
    return found


ODD = odd_records()


@pytest.mark.parametrize("odd", ODD)
def test_one_odd_record_takes_no_page_down(odd: str) -> None:
    records = [ODD[odd] if record.number == 6 else record for record in sample_records(12)]
    for names in NAMES.values():
        text = report_page(sample_summary(), records, {}, problem=problem_of(names))
        assert "could not be made" not in text
        assert 'id="decision"' in text


def test_a_part_that_cannot_be_made_says_so_and_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ZeroDivisionError("a record that nobody thought of")

    for name in ("_front", "first_screen"):
        monkeypatch.setattr(study_page, name, refuse)
    text = report_page(sample_summary(), sample_records(), {})
    assert text.count("could not be made (ZeroDivisionError: a record that nobody thought of)") == 2
    assert "What it cost" in text


def test_a_curve_of_one_point_is_drawn_in_a_band() -> None:
    records = sample_records(150)
    short = [
        dataclasses.replace(r, training=dataclasses.replace(r.training, curve=r.training.curve[4:5])) if r.training else r for r in records
    ]
    assert curves_figure(short, front_of(short)).data
