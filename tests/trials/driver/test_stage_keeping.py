"""What the machine's table learns from a run: rows from which the next plan foretells that same run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from analysis.records.record import TrialRecord
from search_space import cost
from tests.support.fakes import small_study
from tests.support.sample_scaling import sample_scaling
from tests.support.sample_study import as_rounded, sample_records
from trials.driver.run_study import run_study
from trials.driver.stage_keeping import keep_taken
from trials.plans.pace_table import (
    LatencyPace,
    OverheadPace,
    TrainingPace,
    kept_rows,
    latency_file,
    machine_of,
    overhead_file,
    training_file,
)
from trials.plans.stage_estimate import ROUNDED_EVALUATION
from trials.progress.stages import JUDGED, MEASURED, Stages
from trials.tracking.mlflow_tracker import Tracker

STUDY, _ = small_study(workers={"count": 2})
RECORDS = [record for record in sample_records() if record.finished and record.training is not None and record.latency is not None][:5]


def taken(tmp_path: Path, records: list[TrialRecord], single: dict[str, list[float]] | None = None) -> Stages:
    """Stages of a run that made these records, kept."""
    stages = Stages()
    stages.end("search")
    stages.single = single or {}
    keep_taken(STUDY, tmp_path, records, stages, here=True)
    return stages


def timed(record: TrialRecord, evaluation: float, latency: float) -> TrialRecord:
    """The record with seconds of its own for both, on a machine of its own."""
    assert record.training is not None
    training = replace(record.training, evaluation_seconds=evaluation, process_seconds=record.training.wall_seconds + evaluation)
    return replace(record, training=training, wall_seconds=training.wall_seconds + evaluation + latency)


def test_an_evaluation_has_the_price_of_those_that_were_made(tmp_path: Path) -> None:
    """Those on the curve, and a dearer one where the network was judged as it is deployed."""
    record = timed(RECORDS[0], 4.0, 1.0)
    assert record.training is not None
    made = sum(point.validation_loss is not None for point in record.training.curve)
    judged = STUDY.proxy.evaluation_tokens * cost.decode_flops(record.architecture, STUDY.proxy.context_tokens)
    taken(tmp_path, [record, as_rounded(record, 0.01)])
    rows = kept_rows(training_file(STUDY, machine_of(STUDY)), TrainingPace)
    assert [row.evaluation_flops_per_second for row in rows] == pytest.approx(
        [made * judged / 4.0, (made + ROUNDED_EVALUATION) * judged / 4.0]
    )


def test_the_trials_that_a_run_begins_with_are_told_apart(tmp_path: Path) -> None:
    taken(tmp_path, [timed(record, 1.0, latency) for record, latency in zip(RECORDS, (3.0, 4.0, 1.5, 1.0, 1.2), strict=True)])
    rows = kept_rows(latency_file(STUDY, machine_of(STUDY)), LatencyPace)
    assert [(round(row.seconds, 6), row.is_first) for row in rows] == [(3.0, True), (4.0, True), (1.5, False), (1.0, False), (1.2, False)]


def test_finals_say_what_a_latency_alone_and_the_judges_start_take(tmp_path: Path) -> None:
    taken(tmp_path, [timed(record, 1.0, 1.0) for record in RECORDS], {MEASURED: [0.8, 0.9], JUDGED: [2.5, 0.4, 0.6]})
    rows = [row for row in kept_rows(latency_file(STUDY, machine_of(STUDY)), LatencyPace) if row.origin == "final"]
    assert [row.seconds for row in rows] == [0.8, 0.9]
    (overhead,) = kept_rows(overhead_file(machine_of(STUDY)), OverheadPace)
    assert overhead.seconds["examiner"] == pytest.approx(2.0)


def test_what_one_process_did_is_kept_by_the_share_that_one_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials had half of their processors, beside two others; one alone then has two thirds, and a quiet machine's seconds are kept."""
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    halved = [timed(record, 1.0, 1.0) for record in RECORDS]
    halved = [replace(r, training=replace(r.training, process_seconds=r.training.process_seconds / 2)) for r in halved if r.training]
    stages = Stages()
    for name in ("search", "tracking"):
        stages.end(name)
    stages.single = {MEASURED: [0.9], JUDGED: [2.4, 0.6]}
    keep_taken(STUDY, tmp_path, halved, stages, here=True)
    (final,) = (row for row in kept_rows(latency_file(STUDY, machine_of(STUDY)), LatencyPace) if row.origin == "final")
    (overhead,) = kept_rows(overhead_file(machine_of(STUDY)), OverheadPace)
    assert final.seconds == pytest.approx(0.6)
    assert overhead.seconds["examiner"] == pytest.approx(1.2)
    assert overhead.seconds["tracking"] == pytest.approx(2 / 3 * stages.seconds["tracking"])


@pytest.mark.parametrize("was_open", [False, True])
def test_a_grids_pace_is_kept_where_nothing_else_was_settled_beside_it(was_open: bool, tmp_path: Path) -> None:
    study, _ = sample_scaling()
    stages = Stages()
    for name in ("calibration", "search"):
        stages.end(name)
    keep_taken(study, tmp_path, [timed(RECORDS[0], 1.0, 1.0)], stages, here=True, was_open=was_open)
    (overhead,) = kept_rows(overhead_file(machine_of(study)), OverheadPace)
    assert ("grid_pace" in overhead.seconds) is not was_open


def test_a_run_looks_for_others_work_before_its_own_processes_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow's process and Ray's are busy while they start, and would halve the share that trials then have."""
    seen: list[str] = []

    class Starting(Tracker):
        def start(self) -> None:
            seen.append("MLflow")
            raise KeyboardInterrupt

    monkeypatch.setattr("trials.tracking.mlflow_tracker.Tracker", Starting)
    monkeypatch.setattr("trials.driver.run_study.share_here", lambda study: seen.append("share"))
    study, text = small_study()
    with pytest.raises(KeyboardInterrupt):
        run_study(study, tmp_path / "run", study_text=text)
    assert seen == ["share", "MLflow"]


def test_what_fails_is_no_piece_of_work() -> None:
    stages = Stages()
    with pytest.raises(ValueError, match="it"), stages.clock(JUDGED):
        raise ValueError("it")
    assert stages.single == {}
