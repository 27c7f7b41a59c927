"""What trainings beside a study look like as runs: names that MLflow takes, figures that are there, a verdict, a table, a page."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.fidelity.promotion import promotion_sentences
from analysis.fidelity.rank_validity import VALIDITY
from analysis.records.json_text import parse_json
from analysis.records.json_writer import json_of
from tests.support.beside import check_rates_of, promote, validate
from tests.support.fakes import small_study
from tests.support.sample_study import sample_finals, sample_records
from trials.experiments.promote import read_promotions
from trials.reporting.beside_run import BesideRun
from trials.reporting.beside_study import beside_runs

SEEN = sample_records(14)
FINALS = sample_finals(SEEN)
STUDY, _ = small_study()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Two promotions, a validation and a check of rates stand beside a study."""
    there = tmp_path / "study"
    there.mkdir()
    promote(there, SEEN, 2.0)
    promote(there, SEEN[:6], 4.0, lost=0.5)
    validate(there, SEEN, 3.0)
    check_rates_of(there, SEEN)
    return there


def told(directory: Path) -> dict[str, BesideRun]:
    return {run.name: run for run in beside_runs(directory, STUDY, SEEN, FINALS)}


def test_each_is_a_run_of_its_own_name_with_verdict_table_and_page(directory: Path) -> None:
    runs = told(directory)
    assert [(run.kind, name) for name, run in runs.items()] == [
        ("promotion", "promotion, 2 times longer"),
        ("promotion", "promotion, 4 times longer"),
        ("validation", "validation, 3 times longer"),
        ("lr-check", "lr-check 0123456789ab"),
    ]
    for run in runs.values():
        assert run.study == STUDY.name
        page = run.page()
        assert "<script src" not in page
        for sentence in run.verdict:
            assert sentence in run.markdown
            assert sentence.split("'")[0].split(" (")[0] in page
        [rows] = run.tables.values()
        assert len({len(row) for row in rows}) == 1
        assert all(f"| {row[0]} |" in run.markdown for row in rows)
        assert parse_json(json_of(run.data)), "it is data as --json prints it"


def test_figures_are_metrics_of_names_that_mlflow_takes(directory: Path) -> None:
    from mlflow.utils.validation import _validate_metric_name, _validate_param_name

    for run in told(directory).values():
        for name in run.metrics:
            _validate_metric_name(name)
        for name in run.parameters:
            _validate_param_name(name)


def test_a_promotions_figures_are_those_of_its_answer(directory: Path) -> None:
    run = told(directory)["promotion, 4 times longer"]
    [found] = [each for each in read_promotions(directory, SEEN, FINALS, STUDY.problem) if each.times == 4]
    assert run.verdict == tuple(promotion_sentences(found))
    assert run.metrics["promoted_shapes"] == len(found.shapes) > 0
    assert run.metrics["front_members_held"] == sum(shape.on_front_before and shape.on_front_after for shape in found.shapes)
    for shape in found.shapes:
        assert run.metrics[f"bits_per_byte_before/trial {shape.number}"] == shape.before
        assert run.metrics[f"bits_per_byte_after/trial {shape.number}"] == shape.after


def test_a_validations_figures_are_those_of_its_answer(directory: Path) -> None:
    run = told(directory)["validation, 3 times longer"]
    assert run.metrics["kendall_tau"] == pytest.approx(1.0)
    assert run.metrics["kendall_tau_low"] <= 1.0
    assert len([name for name in run.metrics if name.startswith("bits_per_byte_after/")]) == run.metrics["finished_shapes"]
    assert "can be trusted" in run.verdict[0]


def test_a_check_of_rates_says_what_the_common_one_costs(directory: Path) -> None:
    run = told(directory)["lr-check 0123456789ab"]
    assert (run.metrics["shapes"], run.metrics["rates"], run.metrics["shapes_near_the_common_rate"]) == (2, 3, 2)
    assert run.metrics["better_rate_factor"] == 1.0
    assert "gain_bits_per_byte" in run.metrics


def test_nothing_stands_beside_a_study_of_its_own_and_a_damaged_file_costs_what_it_holds_alone(directory: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    assert beside_runs(tmp_path / "other", STUDY.model_copy(update={"name": "other"}), SEEN, FINALS) == []
    with (directory / VALIDITY).open("a") as file:
        file.write('{"number": "no"}\n')
    assert {run.kind for run in told(directory).values()} == {"promotion", "lr-check"}
