"""Saved views in MLflow's own page: a real server on loopback, a real browser. About 40 s of the whole, MLflow's start most of it."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import sys
import urllib.request
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from analysis.records.record import Outcome
from tests.support.browser import headless
from tests.support.mlflow_here import TrackerHere
from tests.support.sample_study import sample_finals
from tests.trials.tracking.test_mlflow_tracker import STUDY_YAML, Store, records, study, track
from trials.study.load_study import parse_study
from trials.study.spec import StudySpec
from trials.tracking.mlflow_interface import _on_server
from trials.tracking.mlflow_location import DATABASE, location_of, view_paths
from trials.tracking.mlflow_views import (
    CURVES_VIEW,
    FAILURES_VIEW,
    FRONT_VIEW,
    LONGEST_VIEW,
    TABLE_VIEW,
    VIEW_TAG,
    saved_views,
    view_id,
)

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")  # MLflow's own use of SQLAlchemy

ROOT = Path(__file__).resolve().parents[3]
PATIENCE = 60
CUT_HEADINGS = """
const found = [];
for (const cell of document.querySelectorAll('.ag-header-cell')) {
  const letters = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT), range = document.createRange();
  while (letters.nextNode()) {
    range.selectNodeContents(letters.currentNode);
    if (range.getBoundingClientRect().right > cell.getBoundingClientRect().right) found.push(letters.currentNode.data);
  }
}
return found;
"""
THREE_YAML = STUDY_YAML.replace("name: sample", "name: three") + "objectives: [bits_per_byte, total_ms, peak_memory_bytes]\n"


def state_of(tag: str) -> dict[str, Any]:
    """What the page makes of a view's tag."""
    envelope = json.loads(tag)
    assert isinstance(envelope["createdAt"], int)
    state: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(envelope["state"].removeprefix("deflate;"))))
    return state


# --- the tags


def test_every_chart_is_in_a_section_and_every_other_metric_is_left_out() -> None:
    for kind in ("front", "curves"):
        views = saved_views(study(), "0123456789", "parent", 1, ["total_ms", "training_loss"])
        state = state_of(views[f"{VIEW_TAG}{view_id('0123456789', kind)}"])
        sections = {section["uuid"] for section in state["compareRunSections"]}
        assert {chart["metricSectionId"] for chart in state["compareRunCharts"]} <= sections
        assert [chart["metricKey"] for chart in state["compareRunCharts"] if chart["deleted"]] == ["total_ms"]
        assert len({chart["uuid"] for chart in state["compareRunCharts"]}) == len(state["compareRunCharts"])


@pytest.mark.parametrize("count", [0, 30, 300, 3_000])
def test_a_view_is_never_longer_than_a_tag_may_be(count: int) -> None:
    names = [f"bits_per_byte.{zlib.crc32(str(at).encode()):x}" for at in range(count)]
    views = saved_views(study(), "0123456789", "parent", 1, names)
    assert max(map(len, views.values())) <= LONGEST_VIEW
    hidden = [chart for chart in state_of(views[f"{VIEW_TAG}{view_id('0123456789', FRONT_VIEW)}"])["compareRunCharts"] if chart["deleted"]]
    assert len(hidden) == (count if count <= 300 else 0)


def of_three() -> StudySpec:
    """The study under three objectives."""
    import yaml

    return parse_study(yaml.safe_load(THREE_YAML))


def test_three_objectives_are_drawn_in_pairs() -> None:
    state = state_of(saved_views(of_three(), "0123456789", "parent", 1, [])[f"{VIEW_TAG}{view_id('0123456789', FRONT_VIEW)}"])
    drawn = [(chart["xaxis"]["key"], chart["yaxis"]["key"]) for chart in state["compareRunCharts"] if chart["type"] == "SCATTER"]
    assert drawn == [("total_ms", "bits_per_byte"), ("total_ms", "peak_memory_bytes")]


# --- in the page


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tracked")
    track(directory, records())
    (directory / "study.yaml").write_text(STUDY_YAML, encoding="utf-8")
    return directory


@pytest.fixture(scope="module")
def interface(tracked: Path) -> Iterator[dict[str, str]]:
    """Addresses that `archfront ui` prints, by kind, while it runs."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "archfront", "ui", str(tracked), "--port", str(port)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        assert first.startswith(f"MLflow is at http://127.0.0.1:{port}/#/experiments/"), first
        lines = [process.stderr.readline().split() for _ in range(3)]
        yield {TABLE_VIEW: first.split()[3]} | dict(lines)
        process.terminate()


@pytest.fixture(scope="module")
def browser() -> Iterator[Chrome]:
    with headless() as chrome:
        chrome.set_window_size(2600, 1000)  # the page makes no cell that is out of sight
        yield chrome


@pytest.fixture(scope="module")
def of_three_pages(tracked: Path, interface: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Addresses of the views of a study of three objectives in the same database, by kind."""
    directory, seen = tmp_path_factory.mktemp("three"), records()
    tracker = TrackerHere(directory, of_three(), THREE_YAML, f"sqlite:///{tracked / DATABASE}")
    tracker.start()
    tracker.catch_up(seen)
    tracker.finish(seen, sample_finals(seen))
    tracker.close()
    server = interface[TABLE_VIEW].partition("/#/")[0]
    paths = view_paths(tracked / DATABASE, location_of(directory, None).study_id)
    return {kind: f"{server}{path}" for kind, path in paths.items()}


def headings(browser: Chrome) -> list[str]:
    """Those of the table's columns that are in sight, from left to right."""
    cells = "[...document.querySelectorAll('.ag-header-cell')].map(cell => [cell.getBoundingClientRect().left, cell.innerText.trim()])"
    return [str(name) for _, name in sorted(browser.execute_script(f"return {cells}")) if name]


def opened(browser: Chrome, address: str, selector: str) -> str:
    """The page's text once it has what the selector names, and all runs of the study."""
    from selenium.webdriver.support.wait import WebDriverWait

    browser.get("about:blank")
    browser.get(address)
    WebDriverWait(browser, PATIENCE).until(lambda chrome: chrome.execute_script("return !!document.querySelector(arguments[0])", selector))
    WebDriverWait(browser, PATIENCE).until(lambda chrome: "matching runs" in chrome.execute_script("return document.body.innerText"))
    return text_of(browser)


def text_of(browser: Chrome) -> str:
    """All that is to be read, in one line."""
    return " ".join(str(browser.execute_script("return document.body.innerText")).split())


@pytest.mark.slow
def test_the_table_has_all_trials_as_rows_under_the_columns_that_matter(browser: Chrome, interface: dict[str, str]) -> None:
    text = opened(browser, interface[TABLE_VIEW], ".ag-header-cell")
    shown = headings(browser)
    columns = ["total_ms", "bits_per_byte", "front_probability", "parameters", "num_hidden_layers", "hidden_size", "num_attention_heads"]
    assert [name for name in shown if name in columns] == columns
    assert "sharing_strategy" in shown
    assert f"{len(records())} matching runs" in text
    assert "Sort: front_probability" in text
    assert "sample: trials" in text, "the view is not listed under Views"
    assert "Error loading" not in text
    assert not browser.execute_script(CUT_HEADINGS)
    assert "Agent versions" not in text, "the page stands among what is for agents"
    assert "Model registry" in text


@pytest.mark.slow
def test_mlflow_draws_the_front_and_no_chart_of_its_own(browser: Chrome, interface: dict[str, str]) -> None:
    from selenium.webdriver.support.wait import WebDriverWait

    opened(browser, interface[FRONT_VIEW], ".scatterlayer .point")
    points = "return document.querySelectorAll('.scatterlayer .point').length"
    finished = sum(record.finished for record in records())
    WebDriverWait(browser, PATIENCE).until(lambda chrome: chrome.execute_script(points) >= finished)
    WebDriverWait(browser, PATIENCE).until(lambda chrome: "Learning curves (2)" in text_of(chrome))
    text = text_of(browser)
    assert "Front (2)" in text
    assert "Learning curves (2)" in text
    assert "total_ms vs. bits_per_byte" in text
    assert "Model metrics" not in text, "the page adds charts of its own"
    assert not browser.execute_script("return document.querySelectorAll('.barlayer .point').length")


@pytest.mark.slow
def test_failures_stand_with_their_reasons(browser: Chrome, interface: dict[str, str]) -> None:
    text = opened(browser, interface[FAILURES_VIEW], ".ag-row")
    failed = [record for record in records() if record.outcome is not Outcome.FINISHED]
    assert f"{len(failed)} matching runs" in text
    assert all(record.outcome in text for record in failed)


@pytest.mark.more
@pytest.mark.slow
def test_each_view_of_a_study_of_three_objectives_opens(browser: Chrome, of_three_pages: dict[str, str]) -> None:
    from selenium.webdriver.support.wait import WebDriverWait

    problem, seen = of_three().problem, records()
    assert {*of_three_pages} == {TABLE_VIEW, FRONT_VIEW, CURVES_VIEW, FAILURES_VIEW}
    text = opened(browser, of_three_pages[TABLE_VIEW], ".ag-header-cell")
    columns = [*(problem.names[place] for place in problem.columns), "front_probability", "parameters"]
    assert [name for name in headings(browser) if name in columns] == columns
    assert f"{len(seen)} matching runs" in text
    assert "three: trials" in text, "the view is not listed under Views"
    opened(browser, of_three_pages[FRONT_VIEW], ".scatterlayer .point")
    points = "return [...document.querySelectorAll('.scatterlayer')].map(layer => layer.querySelectorAll('.point').length)"
    finished = sum(record.finished for record in seen)
    WebDriverWait(browser, PATIENCE).until(lambda chrome: sum(count >= finished for count in chrome.execute_script(points)) == 2)
    text = text_of(browser)
    assert "Front (3)" in text
    assert "total_ms vs. bits_per_byte" in text
    assert "total_ms vs. peak_memory_bytes" in text
    assert "Model metrics" not in text, "the page adds charts of its own"
    opened(browser, of_three_pages[CURVES_VIEW], ".scatterlayer .lines")
    assert "Learning curves (2)" in text_of(browser)
    text = opened(browser, of_three_pages[FAILURES_VIEW], ".ag-row")
    failed = [record for record in seen if record.outcome is not Outcome.FINISHED]
    assert f"{len(failed)} matching runs" in text
    assert "Error loading" not in text


@pytest.mark.more
@pytest.mark.slow
def test_a_view_of_the_largest_length_opens(browser: Chrome, interface: dict[str, str], tracked: Path) -> None:
    place, store = location_of(tracked, None), Store(tracked)
    count = 900
    while True:
        names = [f"bits_per_byte.{zlib.crc32(str(at).encode()):x}" for at in range(count)]
        views = saved_views(study(), place.study_id, store.parent.info.run_id, 1, names)
        tag = views[f"{VIEW_TAG}{view_id(place.study_id, FRONT_VIEW)}"]
        if len(tag) > 0.97 * LONGEST_VIEW:
            break
        count += 5 if len(tag) > 10_000 else -20
    key = f"{VIEW_TAG}{view_id(place.study_id, FRONT_VIEW)}"
    before = store.experiment.tags[key]
    store.client.set_experiment_tag(store.experiment.experiment_id, key, tag)
    try:
        assert "Front (2)" in opened(browser, interface[FRONT_VIEW], ".scatterlayer .point")
    finally:
        store.client.set_experiment_tag(store.experiment.experiment_id, key, before)


# --- where it is


def test_an_older_database_gives_the_plain_page(tracked: Path) -> None:
    place, store = location_of(tracked, None), Store(tracked)
    assert set(view_paths(tracked / DATABASE, place.study_id)) == {TABLE_VIEW, FRONT_VIEW, "curves", FAILURES_VIEW}
    assert view_paths(tracked / DATABASE, "another") == {}
    for name in list(store.experiment.tags):
        if name.startswith(VIEW_TAG):
            store.client.delete_experiment_tag(store.experiment.experiment_id, name)
    assert list(view_paths(tracked / DATABASE, place.study_id)) == [TABLE_VIEW]
    assert "viewStateShareKey" not in view_paths(tracked / DATABASE, place.study_id)[TABLE_VIEW]


@pytest.mark.parametrize(("version", "ending"), [("3.17.2", "viewStateShareKey="), ("3.14.0", "=machine_"), ("new", ""), (None, "")])
def test_a_servers_page_is_its_view_where_it_knows_views(
    version: str | None, ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "study.yaml").write_text(STUDY_YAML, encoding="utf-8")
    place = location_of(tmp_path, "http://host:5000")
    tags = [{"key": f"{VIEW_TAG}{view_id(place.study_id, TABLE_VIEW)}", "value": "{}"}]

    def asked(address: str) -> bytes:
        if version is None:
            raise urllib.error.URLError("refused")
        if address.endswith("/version"):
            return version.encode()
        assert address.endswith("experiment_name=sample")
        return json.dumps({"experiment": {"experiment_id": "7", "tags": tags}}).encode()

    monkeypatch.setattr("trials.tracking.mlflow_interface._asked", asked)
    found = _on_server(tmp_path, place)
    assert found.startswith("http://host:5000")
    assert ending in found
    assert ("viewStateShareKey=" in found) == (version == "3.17.2")
    assert (found == "http://host:5000") == (not ending)
