"""A scaling fit as a page and as MLflow's parent run: what is said, what is drawn, and what is missing."""

from __future__ import annotations

import json
import math
import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.law_report.law_figures import _count, _power, best_allocation, loss_figure, points_figure, scaling_figures
from analysis.law_report.law_page import AHEAD, expected_ahead, fit_page, write_page
from analysis.law_report.law_study_page import fitted, scaling_report
from analysis.laws.fit_result import FitResult, fit_runs
from analysis.laws.options import FitOptions, parse_point
from analysis.laws.runs import runs_from_records
from analysis.records.record import TrialRecord
from analysis.statistics.arrays import Array
from archfront import main
from search_space.errors import SpecError
from tests.analysis.report.test_study_page import Page
from tests.support.browser import count, logged, requests, show
from tests.support.mlflow_here import TrackerHere
from tests.support.sample_scaling import PLANTED, planted, sample_scaling, scaling_records, unfinished, write_scaling
from trials.reporting.stored_study import read_study, report_study, summarise
from trials.tracking.mlflow_law_content import law_metrics, law_note

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")  # MLflow's own use of SQLAlchemy

STUDY, TEXT = sample_scaling()
RECORDS = scaling_records(STUDY)


@pytest.fixture(autouse=True)
def few_refits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Studies' laws are fitted again as rarely as may be: what is shown and told here does not hang on how often."""
    monkeypatch.setattr("analysis.law_report.law_study_page.FitOptions", partial(FitOptions, refits=200))


@pytest.fixture(scope="module")
def answered() -> FitResult:
    """The ladder's law, with a prediction asked for."""
    point = parse_point("1e6,2.4e6")
    return fit_runs(runs_from_records(RECORDS), FitOptions(refits=300, predict=(point,)))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The ladder's study as its driver leaves it."""
    return write_scaling(tmp_path / "ladder", TEXT, RECORDS)


# --- the figures' data


def test_each_token_count_has_its_line_and_each_run_its_colour(answered: FitResult) -> None:
    assert answered.study is not None
    runs, *drawn = loss_figure(answered.study, "params").data
    lines = [trace for trace in drawn if trace.mode == "lines" and trace.fill is None]
    assert [line.name for line in lines] == ["D = 300k", "D = 600k", "D = 1.2M"]
    assert len(runs.x) == len(runs.marker.color) == 15
    colors = dict(zip(np.unique(answered.runs.variables["tokens"]), [line.line.color for line in lines], strict=True))
    assert list(runs.marker.color) == [colors[tokens] for tokens in answered.runs.variables["tokens"]]


def test_bands_hold_their_lines_and_go_ten_times_past_the_largest_run(answered: FitResult) -> None:
    assert answered.study is not None
    figure = loss_figure(answered.study, "flops")
    shade, line = figure.data[1:]
    half = len(line.x)
    high, low = np.array(shade.y[:half]), np.array(shade.y[half:][::-1])
    assert np.all((low <= line.y) & (line.y <= high))
    assert line.x[-1] == pytest.approx(10 * answered.runs.variables["flops"].max())
    [note] = figure.layout.annotations
    assert (note.text, 10**note.x) == ("largest run", pytest.approx(answered.runs.variables["flops"].max()))


def test_the_best_allocation_spends_flops_as_the_runs_do(answered: FitResult) -> None:
    assert answered.study is not None
    each: Array = answered.runs.variables["flops"] / answered.runs.variables["params"] / answered.runs.variables["tokens"]
    best = best_allocation(answered.study, np.array([1e13]))
    assert float(1e13 / best["params"][0] / best["tokens"][0]) == pytest.approx(np.median(each))
    assert abs(np.median(each) - 6) > 0.1, "attention and embeddings are counted, so the ladder tells 6 from its own"


def test_ticks_read_as_numbers() -> None:
    assert [_count(value) for value in (50_000, 1.2e6, 2.98e9, 1.4e12, 7.0)] == ["50k", "1.2M", "2.98B", "1.4T", "7"]
    assert (_power(5.5e18), _power(3e21)) == ("5.5 × 10<sup>18</sup>", "3 × 10<sup>21</sup>")
    assert list(points_figure(runs_from_records(RECORDS[:1])).layout.xaxis.ticktext)[:3] == ["100B", "150B", "200B"]


@pytest.mark.more
def test_a_law_of_shape_is_shown_at_each_run_and_as_contours() -> None:
    study, _ = sample_scaling(shapes={f"r{ratio}": {"like": "deep-thin", "aspect_ratio": ratio} for ratio in (8, 32, 64)}, form="shape")
    found = fitted(scaling_records(study), "shape")
    assert isinstance(found, FitResult)
    assert found.study is not None
    figures = scaling_figures(found.study)
    contour, points = figures["shape"].data
    assert (contour.type, len(points.x)) == ("contour", len(found.runs))
    crosses = points_figure(found.runs, found.study.refits.fit.predict(found.runs.variables)).data[1]
    assert np.log(found.runs.losses / np.array(crosses.y)) == pytest.approx(found.study.refits.fit.residuals)


# --- the page of a fit


def test_the_headline_of_a_page_is_its_backtest(answered: FitResult) -> None:
    page = Page(fit_page("runs.csv", answered))
    assert page.open == []
    assert len(page.identities) == len(set(page.identities))
    headline = answered.data["backtest"]["headline"]
    assert page.text.index(headline[1:]) < page.text.index("Parameter fitted")
    for row in answered.data["backtest"]["cuts"]:
        assert f"{row['hidden']} {row['mean_error']:+.2%} {row['mean_absolute_error']:.2%}" in page.text
    assert "R²" not in page.text


def test_a_page_has_every_parameter_its_interval_and_what_was_asked_for(answered: FitResult) -> None:
    text = Page(fit_page("runs.csv", answered)).text
    for name, (low, high) in answered.data["intervals"].items():
        assert re.search(rf"\b{name} [\d.,]+ {low:#,.4g}.* {high:#,.4g}", text), name
    [asked] = answered.data["predictions"]
    assert f"{asked['low']:#.4g} to {asked['high']:#.4g}" in text
    assert "1 million 2.4 million" in text


def test_what_larger_runs_should_reach_holds_the_planted_law(answered: FitResult) -> None:
    assert answered.study is not None
    ahead = expected_ahead(answered.study)
    assert len(ahead) == len(AHEAD)
    assert [found["at"]["flops"] / ahead[0]["at"]["flops"] for found in ahead] == pytest.approx(AHEAD)
    for found in ahead:
        assert found["low"] < planted(found["at"]["params"], found["at"]["tokens"]) < found["high"]


def test_runs_at_equal_flops_have_their_parabolas_whatever_the_form() -> None:
    study, _ = sample_scaling(budgets={"flops": [1e11, 3e11, 1e12]}, tokens=[100_000, 200_000, 400_000, 800_000, 1_600_000])
    runs = runs_from_records(scaling_records(study))
    for form in ("isoflop", "chinchilla"):
        text = Page(fit_page("runs", fit_runs(runs, FitOptions(form=form, refits=300)))).text
        assert "Sizes at equal FLOPs" in text, form
        assert "The minimum of each budget's parabola" in text, form


def test_the_command_writes_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str], directory: Path) -> None:
    path = tmp_path / "law.html"
    assert main(["fit", str(directory), "--refits", "300", "--predict", "1e6,2.4e6", "--html", str(path)]) == 0
    text = Page(path.read_text(encoding="utf-8")).text
    assert "fitted to 15 losses of 5 trainings" in text
    assert str(path) in capsys.readouterr().err
    assert not list(tmp_path.glob("*.part"))


def test_a_page_that_cannot_be_written_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"must be a file that can be written, found: No such file or directory; name another"):
        write_page(tmp_path / "nowhere" / "law.html", "")


# --- the report of a study


def test_a_scaling_study_is_reported_as_its_law_and_has_no_front(directory: Path) -> None:
    text = Page(report_study(read_study(directory)).read_text(encoding="utf-8")).text
    for part in (
        "5 trainings planned for the law chinchilla, 5 finished", "With the largest runs hidden in 6 ways", "Predictions for larger runs",
        "#4 balanced", "5 of 5 planned trainings", "50k 90k 160k 280k 500k parameters", "Environment",
    ):  # fmt: skip
        assert part in text, part
    for part in ("The front", "knee", "Hypervolume", "archfront export"):
        assert part not in text, part


def test_the_same_records_give_the_same_report(directory: Path) -> None:
    stored = read_study(directory)
    assert stored.law is not None
    law = fitted(stored.records, "chinchilla")
    pages = [re.sub(r"<script.*?</script>", "", scaling_report(summarise(stored), stored.records, each)) for each in (stored.law, law)]
    assert pages[0] == pages[1]


@pytest.mark.parametrize("records", [[], RECORDS[:1], [unfinished(RECORDS[0])]], ids=["nothing yet", "one training", "failures only"])
def test_too_few_trainings_are_said_and_their_losses_shown(tmp_path: Path, records: list[TrialRecord]) -> None:
    stored = read_study(write_scaling(tmp_path / "few", TEXT, RECORDS[:1]))
    page = scaling_report(summarise(stored), records, fitted(records, "chinchilla"))
    text, finished = Page(page).text, any(record.finished for record in records)
    assert "There is no law yet: " + ("chinchilla has 5 unknowns" if finished else "a law needs finished trials") in text
    assert ('id="plot-points"' in page) == finished
    assert "4 of 5 planned trainings have no record" in text
    assert "2x48 3/1x16 f184, not trained yet" in text
    assert ("the training loss became NaN" in text) == any(not record.finished for record in records)


def test_report_prints_the_law_or_what_is_missing(directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(directory), "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)["parameters"]) == set(PLANTED)
    few = write_scaling(tmp_path / "few", TEXT, RECORDS[:1])
    assert main(["report", str(few)]) == 0
    assert "\nThere is no law yet: chinchilla has 5 unknowns" in capsys.readouterr().out
    assert main(["report", str(few), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["form"] is None
    assert len(answer["losses"]) == 3


# --- MLflow's parent run


def track(directory: Path, records: list[TrialRecord]) -> Any:
    """Write a study's runs and return the parent with its client."""
    from mlflow.tracking import MlflowClient

    TrackerHere(directory, STUDY, TEXT).bring_up_to_date(records, {}, report_study(read_study(directory)))
    client = MlflowClient(tracking_uri=f"sqlite:///{directory / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(STUDY.name)
    [parent] = [run for run in client.search_runs([experiment.experiment_id]) if "mlflow.parentRunId" not in run.data.tags]
    return client, parent


def test_the_parent_run_has_the_pictures_the_answer_and_the_headline_figures(directory: Path, tmp_path: Path) -> None:
    client, parent = track(directory, RECORDS)
    run_id = parent.info.run_id
    files = {"report.html", "scaling.json", "study.yaml", "environment.json"}
    assert {file.path for file in client.list_artifacts(run_id)} == files
    page = Path(client.download_artifacts(run_id, "report.html", str(tmp_path))).read_text(encoding="utf-8")
    for name in ("loss-flops", "loss-params", "loss-tokens", "residuals", "intervals", "backtest"):
        assert f'id="plot-{name}"' in page, name
    answer = json.loads(Path(client.download_artifacts(run_id, "scaling.json", str(tmp_path))).read_text(encoding="utf-8"))
    assert parent.info.status == "FINISHED"
    metrics = parent.data.metrics
    assert metrics["law_backtest_mean_absolute_error"] == answer["backtest"]["mean_absolute_error"]
    assert metrics["law_backtest_covered"] == answer["backtest"]["covered"]
    assert (metrics["law_alpha_low"], metrics["law_alpha_high"]) == tuple(answer["intervals"]["alpha"])
    assert (metrics["trials"], metrics["finished_trials"], metrics["law_losses"]) == (5, 5, 15)
    assert "front_size" not in metrics
    assert "with the largest runs hidden in 6 ways" in parent.data.tags["mlflow.note.content"]
    client, again = track(directory, RECORDS)
    assert again.data.metrics == metrics
    assert len(client.get_metric_history(run_id, "law_alpha")) == 1, "a second catch-up adds nothing"


def test_a_parent_run_without_a_law_says_what_is_missing(tmp_path: Path) -> None:
    client, parent = track(write_scaling(tmp_path / "few", TEXT, RECORDS[:1]), RECORDS[:1])
    assert "chinchilla has 5 unknowns" in parent.data.tags["mlflow.note.content"]
    answer = json.loads(Path(client.download_artifacts(parent.info.run_id, "scaling.json", str(tmp_path))).read_text(encoding="utf-8"))
    assert answer["form"] is None
    assert set(parent.data.metrics) == {"trials", "finished_trials"}


def test_what_the_runs_do_not_determine_is_no_metric() -> None:
    found = fitted(RECORDS[:2], "chinchilla")
    assert isinstance(found, FitResult)
    unidentified = found.data["unidentified"]
    assert "alpha" in unidentified
    names = {point.name for point in law_metrics(RECORDS[:2], found)}
    assert not names & {f"law_{name}" for name in unidentified}
    assert all(math.isfinite(point.value) for point in law_metrics(RECORDS[:2], found))
    assert "not identified" in law_note(found)


# --- a real browser


@pytest.mark.slow
@pytest.mark.needs
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_draws_the_report_without_errors_or_requests(browser: Any, directory: Path, scheme: str) -> None:
    path = report_study(read_study(directory))
    show(browser, path, width=1200, scheme=scheme)
    assert count(browser, "figure") == 6
    assert count(browser, "#plot-loss-flops .point") == 15
    assert count(browser, "#plot-loss-params .js-fill") == 3
    assert count(browser, "#plot-residuals .point") == 15
    overlap = """return [...document.querySelectorAll('.plotly-graph-div')].filter(figure => {
        const legend = figure.querySelector('.legend'); if (!legend) return false;
        return legend.getBoundingClientRect().top < figure.querySelector('.nsewdrag').getBoundingClientRect().bottom - 1}).length"""
    assert browser.execute_script(overlap) == 0, "a legend lies over the data"
    ticks = browser.execute_script("return [...document.querySelectorAll('#plot-loss-params .xtick text')].map(tick => tick.textContent)")
    assert {"50k", "100k", "1M"} <= set(ticks)
    assert logged(browser, "browser") == []
    assert requests(browser) == [path.as_uri()]
