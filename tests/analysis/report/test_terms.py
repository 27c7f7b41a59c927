"""The glossary: what pages and terminals show has an entry; a new heading, column, objective or part of a label without one is named."""

from __future__ import annotations

import ast
import re
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from analysis.fidelity.promotion import Promotion
from analysis.fronts.device_front import transfer_to_device
from analysis.fronts.front import front_of
from analysis.law_report import law_text
from analysis.law_report.law_page import FIT_SECTIONS
from analysis.law_report.law_study_page import LAW_SECTIONS, fitted, scaling_report
from analysis.objectives.problem import problem_of
from analysis.objectives.registry import OBJECTIVES
from analysis.report.device_page import DEVICE_SECTIONS, transfer_page
from analysis.report.study_page import SECTIONS, report_page
from analysis.report.terms import groups, meanings
from analysis.tasks.comparison import ComparedModel, TextEstimate
from analysis.tasks.pairwise import Preference
from analysis.tasks.published import published_figures
from analysis.tasks.task_result import Estimate, TaskResult
from analysis.terminal import comparison_text, device_text, experiment_text, front_text, pairwise_text, task_text, tuning_text
from archfront import main
from search_space.fields import FIELDS
from search_space.label import read_label
from tests.analysis.fronts.test_device_front import write_table
from tests.analysis.report.test_study_page import Page
from tests.support.browser import show
from tests.support.planted_forecast import looked, planted
from tests.support.sample_scaling import sample_scaling, scaling_records
from tests.support.sample_study import sample_finals, sample_records, sample_summary
from trials.plans import plan_scaling

ROOT = Path(__file__).resolve().parents[3]
RECORDS = sample_records()
FINALS = sample_finals(RECORDS)


def columns_of_tables() -> set[str]:
    """Headings that stand in the code as a table's: the keys of mappings to nothing but yes and no."""
    found = set()
    for path in [*(ROOT / "analysis" / "report").glob("*.py"), *(ROOT / "analysis" / "law_report").glob("*.py")]:
        dicts = (node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Dict))
        for node in dicts:
            if all(isinstance(value, ast.Constant) and isinstance(value.value, bool) for value in node.values):
                found |= {str(key.value) for key in node.keys if isinstance(key, ast.Constant)}
    return found - {""}


SHARE = Estimate(0.5, 0.4, 0.6)


def compared(way: str) -> ComparedModel:
    """A row with text and a task."""
    text = TextEstimate(1.0, 0.9, 1.1)
    task = TaskResult("piqa", 10, 0.5, SHARE, SHARE, 1.0, {})
    return ComparedModel("a model", "1x32", way, 100, 200, None, True, text, text, [task], {"piqa": SHARE}, SHARE)


def unexplained(headings: Any) -> list[str]:
    return sorted({heading for heading in headings if heading and not meanings(heading)})


def test_every_heading_of_a_page_and_column_of_a_table_has_an_entry() -> None:
    assert len(columns_of_tables()) > 40
    assert unexplained(columns_of_tables()) == []
    assert unexplained([*SECTIONS.values(), *FIT_SECTIONS.values(), *LAW_SECTIONS.values(), *DEVICE_SECTIONS.values()]) == []
    assert unexplained(["a word that nobody explained", "latency sideways, ms"]) == ["a word that nobody explained", "latency sideways, ms"]


def test_every_column_of_a_terminal_has_an_entry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[str] = [*experiment_text.ABLATION_COLUMNS]

    def note(rows: list[tuple[str, ...]], *_: object, **__: object) -> list[str]:
        seen.extend(rows[0])
        return []

    for room in (front_text, device_text, experiment_text, law_text, comparison_text, pairwise_text, task_text, tuning_text):
        for table in ("aligned", "wrapped_table"):
            monkeypatch.setattr(room, table, note, raising=False)
    monkeypatch.setattr(experiment_text, "promotion_sentences", lambda found: [])
    names = [*OBJECTIVES]
    for place, name in enumerate(names):
        problem = problem_of([name, names[place - 1], names[place - 2]])
        front_text.front_text(RECORDS, FINALS, front_of(RECORDS, FINALS, problem))
    forecast, _ = planted(0)
    front_text.forecast_text(looked(forecast), forecast)
    device_text.transfer_text(transfer_to_device(RECORDS, write_table(tmp_path / "phone.jsonl")))
    experiment_text.promotion_text(Promotion(times=4.0, shapes=(), not_forecast=None))
    law_text.losses_text(RECORDS)
    task_text.published_text(published_figures())
    task_text.harness_text("a model", [])
    task_text.tasks_text("a model", [], {"piqa": SHARE})
    pairwise_text.preference_text([("a model against itself", Preference(pairs=1, unread=0, preferred=SHARE, placed_first=SHARE))])
    tuning_text.scores_text([])
    comparison_text.comparison_text([compared("float16"), compared("w8a8")])
    for hardware in (None, "a GPU"):
        plan: Any = SimpleNamespace(hardware=hardware, by_budget={})
        seen += [*plan_scaling._head(plan), *plan_scaling._summary(plan)[0]]
    assert len(set(seen)) > 40
    assert unexplained(seen) == []


def test_a_page_takes_a_word_as_pages_mean_it(pages: dict[str, str]) -> None:
    told = dict(re.findall(r"<dt[^>]*>(.*?)</dt><dd[^>]*>(.*?)</dd>", pages["two"]))
    assert "question" not in told, "the column of an ablation's table"
    assert "reader of a paper" in told["Question"]
    assert "accuracy" not in told, "that of tasks"
    assert "next_token_accuracy" in told
    assert [entry.name for entry in meanings("accuracy")] == ["next_token_accuracy", "accuracy"]


def test_every_objective_has_an_entry_under_every_name_of_it() -> None:
    for objective in OBJECTIVES.values():
        shown = (objective.words.label, objective.words.title, objective.words.short or objective.words.label)
        headings = [objective.heading(which) for which in ("", " after", " in search", ", validation", ", test")]
        assert unexplained([objective.name, *shown, *headings]) == []


def test_every_part_of_a_label_has_an_entry_and_entries_are_sentences_of_their_own() -> None:
    found = groups()
    assert [read_label(f"30x576 9/3x64 f1536 {entry.name}") for entry in found["The label of a shape"][3:]]
    assert len(found["The label of a shape"]) == sum(row.label is not None for row in FIELDS)
    for entries in found.values():
        assert len({entry.name for entry in entries}) == len(entries)
        assert [entry.name for entry in entries if not entry.text.endswith(".") or not entry.text[0].isupper()] == []


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A page of each kind."""
    study, _ = sample_scaling()
    scaling = scaling_records(study)
    summary: Any = sample_summary(law="chinchilla")
    three = problem_of(["bits_per_byte", "total_ms", "kv_cache_bytes"])
    return {
        "two": report_page(sample_summary(), RECORDS, FINALS),
        "three": report_page(sample_summary(), RECORDS, FINALS, problem=three),
        "law": scaling_report(summary, scaling, fitted(scaling, "chinchilla")),
        "device": transfer_page("sample", transfer_to_device(RECORDS, write_table(tmp_path_factory.mktemp("devices") / "phone.jsonl"))),
    }


def test_pages_explain_their_headings_and_only_the_terms_that_they_use(pages: dict[str, str]) -> None:
    for name, page in pages.items():
        heads = re.findall(r"<(?:h2|th)((?:\s[^>]*)?)>(.*?)</(?:h2|th)>", page, re.DOTALL)
        assert len(heads) >= 10
        assert [unescape(text) for attributes, text in heads if text and "title=" not in attributes] == [], name
        listed = re.search(r'<section id="terms">.*?</section>', page, re.DOTALL)
        assert listed is not None
        assert listed[0].startswith('<section id="terms">')
        assert "<details><summary>" in listed[0], "it is folded"
        told = re.findall(r"<dt[^>]*>(.*?)</dt>", listed[0])
        assert ("rung" in told, "yardstick" in told) == (False, False), "neither is named on these pages"
        assert ("knee" in told, "scaling law" in told, "backtest" in told) == (name in ("two", "three"), name == "law", name == "law")
        assert Page(page).open == []


def test_the_caption_of_two_objectives_names_no_plane(pages: dict[str, str]) -> None:
    assert ("the straight line between" in pages["two"], "the plane between" in pages["two"]) == (True, False)
    assert ("the straight line between" in pages["three"], "the plane between" in pages["three"]) == (False, True)


@pytest.mark.slow
@pytest.mark.needs
def test_terms_are_read_on_a_phone(browser: Any, tmp_path: Path, pages: dict[str, str]) -> None:
    (tmp_path / "page.html").write_text(pages["two"], encoding="utf-8")
    show(browser, tmp_path / "page.html", width=420)
    browser.execute_script("document.querySelector('#terms details').open = true")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 420
    assert browser.execute_script("return document.querySelector('#terms dd').offsetWidth") > 250


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("credible interval", "90 % probability"),
        ("Latency after, ms", "total_ms: "),
        ("kv_cache_bytes", "cached keys and values"),
        ("30x576 9/3x64 f1536 reverse x2", "each stored block runs 2 times"),
        ("", "Terms: Pareto front; "),
    ],
)
def test_a_newcomer_has_a_word_explained(words: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", *words.split()]) == 0
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(("words", "said"), [("hypervolum", "did you mean `hypervolume`"), ("30x576 9/3x64 f1536 twice", "found 'twice'")])
def test_a_word_without_an_entry_is_refused_with_the_cure(words: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", *words.split()]) == 2
    assert said in capsys.readouterr().err
