"""What MLflow says of a trial beside the others is what the report says: latency, probability, interval, picks."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from analysis.fronts.front import front_of
from analysis.fronts.membership import estimate_membership
from analysis.fronts.picks import picked
from analysis.fronts.rows import front_rows, trial_row
from analysis.objectives.problem import problem_of
from analysis.records.task_score import TaskFigures, TaskScore
from analysis.records.training import CurvePoint
from tests.support.mlflow_here import TrackerHere
from tests.support.sample_study import sample_finals
from tests.trials.tracking.test_mlflow_tracker import COUNT, STUDY_YAML, Store, records, study, track
from trials.tracking.mlflow_curves import MOST_POINTS
from trials.tracking.mlflow_location import DATABASE
from trials.tracking.mlflow_study_content import front_note
from trials.tracking.mlflow_trial_content import trial_run

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")  # MLflow's own use of SQLAlchemy

MOST_BYTES = 18_500
"""Of a trial; with the tables of an empty database 1,000 trials are below 20 MB then."""


@pytest.fixture(scope="module", params=["as it ran", "caught up"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A study whose trials were written as they ended and stood on fronts since, and one that was written at once."""
    directory = tmp_path_factory.mktemp("study")
    if request.param == "as it ran":
        for count in (5, COUNT):
            TrackerHere(directory, study(), STUDY_YAML).bring_up_to_date(records(count), {})
    track(directory, records())
    return Store(directory)


def test_latency_probability_interval_and_picks_are_those_of_the_report(store: Store) -> None:
    seen, finals = records(), sample_finals(records())
    front = front_of(seen, finals, study().problem)
    membership = estimate_membership(front)
    assert finals
    for record in seen:
        run, row = store.children[record.number].data, trial_row(record, finals.get(record.number), front, membership)
        for name in ("total_ms", "front_probability"):
            assert run.metrics.get(name) == row[name], name
        for end in ("low", "high"):
            assert run.metrics.get(f"bits_per_byte_{end}") == row[f"credible_bits_per_byte_{end}"]
        assert run.tags["archfront.on_front"] == str(row["on_front"]).lower()
        words = {word for word, number in picked(front, membership).items() if number == record.number}
        assert set(run.tags.get("archfront.picks", "").split(", ")) - {""} == words
    for word, number in picked(front, membership).items():
        assert store.parent.data.tags[f"archfront.pick.{word}"] == str(number)


def test_a_measurement_that_went_is_the_searchs_again(tmp_path: Path) -> None:
    track(tmp_path, records())
    TrackerHere(tmp_path, study(), STUDY_YAML).bring_up_to_date(records(), {})
    for record in records():
        if record.latency is not None:
            assert Store(tmp_path).children[record.number].data.metrics["total_ms"] == record.latency.total_ms.median


def test_what_a_shape_fixes_or_a_training_took_is_a_parameter() -> None:
    usual, memory = trial_run(records()[5]), trial_run(records()[5], problem_of(["bits_per_byte", "weight_bytes"]))
    metrics = {point.name for point in usual.metrics}
    assert {"weight_bytes", "kv_cache_bytes", "training_flops", "trained_tokens", "tokens_per_second"} <= set(usual.parameters)
    assert not metrics & set(usual.parameters)
    assert not {name for name in metrics if name.startswith("check_") or name.endswith("_seconds")}
    assert {point.name for point in memory.metrics} - metrics == {"weight_bytes"}


def test_a_curve_has_few_points_and_ends_where_the_training_did() -> None:
    record = records()[5]
    assert record.training is not None
    long = [CurvePoint(tokens=512 * at, seconds=float(at), training_loss=9 / at, learning_rate=0.01) for at in range(1, 400)]
    long[200] = replace(long[200], validation_loss=3.0)
    training = replace(record.training, curve=tuple(long), planned_tokens=512 * 399)
    run = trial_run(replace(record, training=training))
    drawn = [point for point in run.metrics if point.name == "training_loss"]
    assert 8 < len(drawn) <= MOST_POINTS + 1
    assert [point.step for point in drawn] == sorted(point.step for point in drawn)
    assert drawn[-1].step == 512 * 399
    assert next(point.step for point in run.metrics if point.name == "validation_loss") == long[200].tokens
    assert run.parameters["peak_learning_rate"] == "0.01"


@pytest.mark.more
def test_a_thousand_trials_are_below_20_megabytes(tmp_path: Path) -> None:
    few, many = 30, 60
    sizes = []
    for count in (few, many):
        track(tmp_path, records(count))
        with closing(sqlite3.connect(tmp_path / DATABASE)) as database:
            database.execute("VACUUM")
        sizes.append((tmp_path / DATABASE).stat().st_size)
    assert (sizes[1] - sizes[0]) / (many - few) < MOST_BYTES


@pytest.mark.parametrize("name", ["bits_per_byte", "accuracy.piqa", "bits_per_byte.code", "answer_bits_per_byte.piqa"])
def test_a_studys_note_has_a_column_of_the_test_split_where_rows_have_it(name: str) -> None:
    training = next(record.training for record in records() if record.finished)
    assert training is not None
    assert training.validation is not None
    figures = TaskFigures(accuracy=0.5, normalised_accuracy=0.5, answer_bits_per_byte=2.0)
    score = TaskScore(questions=100, questions_sha256="0" * 64, chance=0.1, in_float32=figures)
    judged = [
        replace(
            record, training=record.training and replace(record.training, validations={"code": training.validation}, tasks={"piqa": score})
        )
        for record in records()
    ]
    problem = problem_of([name, "total_ms"])
    found = front_of(judged, sample_finals(records()), problem)
    rows = front_rows(judged, sample_finals(records()), found, estimate_membership(found))
    heading = front_note(rows, problem).splitlines()[0]
    assert name in heading
    assert (f"test_{name}" in heading) == (f"test_{name}" in rows[0]) == (name == "bits_per_byte")
