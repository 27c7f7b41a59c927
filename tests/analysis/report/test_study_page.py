from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Mapping
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from analysis.fronts.front import front_of
from analysis.fronts.membership import estimate_membership
from analysis.fronts.rows import front_rows
from analysis.law_report import law_study_page
from analysis.records.files import write_whole
from analysis.records.record import Kind, Outcome, TrialRecord
from analysis.records.summary import totals
from analysis.report import sections, study_page
from analysis.report.figures import front_figure
from analysis.report.html import Html, sections_page
from analysis.report.study_page import report_page
from analysis.text.words import duration, quantity
from tests.support.browser import count, logged, requests, show, unfold
from tests.support.sample_study import sample_finals, sample_records, sample_summary

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

RECORDS = sample_records()
FINALS = sample_finals(RECORDS)
STATES: dict[str, list[TrialRecord]] = {
    "nothing yet": [],
    "one trial": RECORDS[2:3],
    "one reference": RECORDS[:1],
    "failures only": [record for record in RECORDS if not record.finished],
    "whole": RECORDS,
}


class Page(HTMLParser):
    """The text of a page, its identities, and whether every element is closed in order."""

    VOID = ("meta", "br", "img", "link", "input")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.identities: list[str] = []
        self.texts: list[str] = []
        self.feed(re.sub(r"(<script[^>]*>).*?(</script>)", r"\1\2", text, flags=re.DOTALL))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.identities += [value for name, value in attrs if name == "id" and value]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.texts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.texts))


@pytest.mark.parametrize("state", STATES)
def test_a_report_of_any_state_is_a_whole_page(state: str) -> None:
    records = STATES[state]
    page = Page(report_page(sample_summary(), records, sample_finals(records)))
    assert page.open == []
    assert len(page.identities) == len(set(page.identities))
    assert "250,000 parameters within 1%" in page.text
    links = set(re.findall(r'href="#([^"]+)"', report_page(sample_summary(), records, {})))
    assert links <= set(page.identities)


def test_a_report_says_what_was_asked_found_and_spent() -> None:
    text = Page(report_page(sample_summary(), RECORDS, FINALS)).text
    for part in (
        "23 of 30 trials finished", "7 shapes stand on the front", "Against deep-thin", "No sampled shape beats wide-shallow",
        "3,630 feasible", "python-stdlib: 11.6 MB", "archfront-1: torch 2.13.0, float32 on cpu, 1 thread, held to processor 0",
        "RuntimeError: expected <4> heads & found '5'", "30 trials: 27 shapes, 2 references and 1 trained again; 28 shapes were asked for",
        "git f011134, clean", "30 trials: host sample",
    ):  # fmt: skip
        assert part in text, part


def test_every_member_of_the_front_can_be_taken_away_with_one_command() -> None:
    summary = sample_summary(directory="my runs/it's")
    commands = re.findall(r"archfront export .*? --format hf", unescape(report_page(summary, RECORDS, FINALS)))
    assert {command.split("--trial ")[1] for command in commands} == {f"{n} --format hf" for n in front_of(RECORDS, FINALS).members}
    assert all(command.startswith("archfront export 'my runs/it'\"'\"'s' --trial ") for command in commands)


def test_the_table_of_the_front_has_both_latencies_and_both_splits() -> None:
    rows = front_rows(RECORDS, FINALS, front_of(RECORDS, FINALS), estimate_membership(front_of(RECORDS, FINALS)))
    assert [row["trial"] for row in rows] == [1, 15, 6, 22, 12, 18, 10, 0]
    text = Page(report_page(sample_summary(), RECORDS, FINALS)).text
    first = rows[1]
    assert f"{first['final_total_ms']:.1f} {first['searched_total_ms']:.1f} {first['bits_per_byte']:.3f}" in text
    assert f"{first['test_bits_per_byte']:.3f}" in text


def test_the_report_says_how_sure_each_place_is_and_what_ties() -> None:
    front = front_of(RECORDS, FINALS)
    membership = estimate_membership(front)
    page, rows = Page(report_page(sample_summary(), RECORDS, FINALS)), front_rows(RECORDS, FINALS, front, membership)
    [recommended] = [row for row in rows if row["recommended"]]
    assert recommended["trial"] == membership.recommended == 18
    assert front.best(0) in recommended["ties"]
    interval = f"{recommended['credible_bits_per_byte_low']:.3f} to {recommended['credible_bits_per_byte_high']:.3f}"
    assert f"{interval} {recommended['front_probability']:.0%}" in page.text
    assert "#18 recommended tie" in page.text
    assert "9 other shapes tie with it: recommended is #18" in page.text
    assert "replicate of #5, finished" in page.text
    lines = next(trace for trace in front_figure(RECORDS, front).data if "interval" in trace.name)
    assert {recommended["credible_bits_per_byte_low"], recommended["credible_bits_per_byte_high"]} <= set(lines.y)


def test_what_was_not_measured_is_a_dash_and_never_a_zero() -> None:
    rows = front_rows(RECORDS, {}, front_of(RECORDS), estimate_membership(front_of(RECORDS)))
    assert {(row["final_total_ms"], row["test_bits_per_byte"]) for row in rows} == {(None, None)}
    text = Page(report_page(sample_summary(), RECORDS, {})).text
    assert re.search(r"– 12\.0 2\.185 2\.\d+ to 2\.\d+ \d+% – 41\.1% –", text)


def test_nothing_that_a_study_says_becomes_markup() -> None:
    evil = "<script>alert(1)</script>&\"'</pre>"
    records = [
        dataclasses.replace(RECORDS[2], kind=Kind.REFERENCE, name=evil, machine={evil: evil}),
        dataclasses.replace(RECORDS[13], reason=evil),
        *RECORDS[3:7],
    ]
    told = dict.fromkeys(("name", "study_yaml", "directory", "budget", "space", "corpus", "recipe", "latency", "search"), evil)
    page = report_page(sample_summary(**told, environment={evil: evil}), records, sample_finals(records))
    assert "<script>alert" not in page
    assert Page(page).open == []
    assert Page(page).text.count("<script>alert(1)") > 10, "it is shown as the text that it is"


def test_the_same_records_give_the_same_page(tmp_path: Path) -> None:
    path = write_whole(tmp_path / "report.html", report_page(sample_summary(), RECORDS, FINALS).encode())
    assert path == tmp_path / "report.html"
    assert path.read_text(encoding="utf-8") == report_page(sample_summary(), RECORDS, FINALS)
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"], "no draft is left behind"


def test_totals_count_unfinished_trials_too() -> None:
    spent = totals(RECORDS)
    assert (spent.trials, spent.trained) == (30, 28)
    trained = [record for record in RECORDS if record.training]
    assert spent.tokens == sum(record.training.tokens for record in trained if record.training)
    assert spent.flops == pytest.approx(
        sum(record.training.tokens * record.costs.training_flops_per_token for record in trained if record.training)
    )
    assert spent.elapsed_seconds == pytest.approx(29 * 11 + RECORDS[29].wall_seconds)
    assert totals([]).elapsed_seconds == 0.0


def test_numbers_are_written_for_people() -> None:
    assert [quantity(value) for value in (999, 12_345, 9.71e6, 2.73e13, 3.2e17)] == [
        "999", "12,345", "9.71 million", "27.3 trillion", "3.2 × 10^17",
    ]  # fmt: skip
    assert [duration(value) for value in (3.21, 41.2, 185.0, 7800.0, 8e9)] == ["3.2 s", "41 s", "3 min 5 s", "2 h 10 min", "254 years"]


@pytest.mark.slow
@pytest.mark.needs
@pytest.mark.parametrize("state", ["nothing yet", "whole"])
def test_a_browser_draws_every_finished_trial_without_errors_or_requests(browser: Chrome, tmp_path: Path, state: str) -> None:
    records = STATES[state]
    path = write_whole(tmp_path / "report.html", report_page(sample_summary(), records, sample_finals(records)).encode())
    show(browser, path)
    unfold(browser)
    finished = sum(record.outcome is Outcome.FINISHED and record.replicates is None for record in records)
    assert count(browser, "figure") == (8 if finished else 0)
    assert count(browser, "#plot-bits-per-byte-total-ms .point") == finished
    assert count(browser, "#plot-next-token-accuracy .point") == finished
    assert logged(browser, "browser") == []
    assert requests(browser) == [path.as_uri()]


@pytest.mark.slow
@pytest.mark.needs
def test_a_report_fits_a_narrow_screen_and_a_dark_one(browser: Chrome, tmp_path: Path) -> None:
    path = write_whole(tmp_path / "report.html", report_page(sample_summary(), RECORDS, FINALS).encode())
    show(browser, path, width=420, scheme="dark")
    unfold(browser)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 420
    brightness = "return getComputedStyle(arguments[0])[arguments[1]].match(/\\d+/g).slice(0, 3).reduce((sum, part) => sum + +part, 0)"
    axis = browser.execute_script("return document.querySelector('#plot-bits-per-byte-total-ms .xtick text')")
    page = browser.execute_script("return document.body")
    assert browser.execute_script(brightness, page, "backgroundColor") < 100
    assert browser.execute_script(brightness, axis, "fill") > 600


@pytest.mark.slow
@pytest.mark.needs
def test_hovering_a_point_names_its_shape(browser: Chrome, tmp_path: Path) -> None:
    show(browser, write_whole(tmp_path / "report.html", report_page(sample_summary(), RECORDS, FINALS).encode()))
    hover = "const p = document.getElementById('plot-bits-per-byte-total-ms'); const t = p.data.findIndex(t => t.name === 'on the front'); Plotly.Fx.hover(p, [{curveNumber: t, pointNumber: 0}]); return p.querySelector('.hoverlayer').textContent"  # noqa: E501
    assert re.search(r"#\d+ \d+x\d+ .* parameters.*bits per byte", browser.execute_script(hover))


def test_every_section_has_a_title_and_stands_on_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new section is a function of `sections`, a body and a title; this names the one that was left out."""
    said: dict[str, list[str]] = {}

    def note(title: str, lead: str, titles: Mapping[str, str], bodies: Mapping[str, object], head: str, first: str) -> str:
        said["titles"], said["bodies"] = [*titles], [*bodies]
        return ""

    monkeypatch.setattr(study_page, "sections_page", note)
    report_page(sample_summary(), RECORDS, FINALS)
    assert said["titles"] == said["bodies"], "SECTIONS and the bodies of `report_page` have the same sections in the same order"
    pages = "".join(inspect.getsource(page) for page in (study_page, law_study_page))
    made = [name for name, function in inspect.getmembers(sections, inspect.isfunction) if function.__module__ == sections.__name__]
    used = pages + inspect.getsource(sections)
    assert [name for name in made if not name.startswith("_") and len(re.findall(rf"(?<!def )\b{name}\(", used)) == 0] == []


def test_a_section_without_a_title_is_an_error_even_where_it_is_empty() -> None:
    with pytest.raises(KeyError, match="costs"):
        sections_page("title", "lead", {"found": "What was found"}, {"found": [Html("")], "costs": []}, Html(""))
