"""Trials that stop early, or never start: through Ray, with a fake evaluator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from analysis.fronts.findings import outcome_sentence
from analysis.fronts.front import front_of
from analysis.records.record import Kind, Outcome, TrialRecord
from search_space.errors import SpecError
from tests.support import fakes
from tests.support.noted import Noted
from trials.driver.run_study import run_study
from trials.progress.watch import RunWatch
from trials.reporting.stored_study import read_study, report_study
from trials.tracking.mlflow_study_content import study_metrics
from trials.trial.task import TrialTask

pytestmark = pytest.mark.filterwarnings("default::ResourceWarning", "ignore::DeprecationWarning:ray", "ignore::FutureWarning:ray")


def run(directory: Path, tracking: str, trials: int, replicates: float = 0.1) -> list[TrialRecord]:
    study, text = fakes.small_study(search={"trials": trials, "early_stopping": "front", "sampler": "random", "replicates": replicates})
    return list(run_study(study, directory, study_text=text, tracking_uri=tracking, evaluate=fakes.with_a_curve).records)


def told(records: list[TrialRecord]) -> list[tuple[Any, ...]]:
    return [(r.number, r.architecture, r.outcome, r.reason, r.training and r.training.tokens) for r in records]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, ray_here: None, tracking: str) -> list[TrialRecord]:
    """A study that nobody disturbed."""
    return run(tmp_path_factory.mktemp("whole") / "study", tracking, 30)


@pytest.mark.slow
def test_trials_without_hope_stop_at_a_rung_and_never_stand_on_the_front(whole: list[TrialRecord]) -> None:
    stopped = [record for record in whole if record.outcome is Outcome.STOPPED]
    assert len(whole) == 35
    assert 5 < len(stopped) < 30
    for record in stopped:
        assert record.kind is Kind.SAMPLED
        assert record.training is not None
        assert record.training.tokens < record.training.planned_tokens
        assert record.training.curve[-1].tokens <= record.training.tokens
        assert f"after {record.training.tokens:,} tokens its chance of adding to the front was" in (record.reason or "")
    assert not {record.number for record in stopped} & set(front_of(whole).members)
    everyone = [fakes.with_a_curve(TrialTask.of(record)) for record in whole]
    assert set(front_of(everyone).members) == set(front_of(whole).members)


@pytest.mark.more
@pytest.mark.slow
def test_a_study_that_is_continued_stops_the_same_trials(whole: list[TrialRecord], tmp_path: Path, ray_here: None, tracking: str) -> None:
    first = run(tmp_path / "study", tracking, 13, replicates=0)
    assert told(first) == told(whole[:15])
    assert told(run(tmp_path / "study", tracking, 30, replicates=0)) == told(whole[:32])


@pytest.mark.slow
def test_a_shape_over_a_limit_is_recorded_with_its_latency_alone(tmp_path: Path, ray_here: None, tracking: str) -> None:
    study, text = fakes.small_study(search={"trials": 16, "sampler": "front"}, limits={"total_ms": 30})
    result = run_study(study, tmp_path / "study", study_text=text, tracking_uri=tracking, evaluate=fakes.with_a_limit)
    over = [record for record in result.records if record.outcome is Outcome.OVER_LIMIT]
    assert over
    assert all(record.training is None and record.latency is not None for record in over)


@pytest.mark.more
@pytest.mark.slow
def test_a_study_of_three_objectives_may_stop_early_and_is_reported(tmp_path: Path, ray_here: None, tracking: str) -> None:
    limit, names = 100_000, ["bits_per_byte", "total_ms", "kv_cache_bytes"]
    search = {"trials": 24, "early_stopping": "front", "sampler": "front", "replicates": 0.1}
    study, text = fakes.small_study(search=search, objectives=names, limits={"kv_cache_bytes": limit})
    result = run_study(study, tmp_path / "study", study_text=text, tracking_uri=tracking, evaluate=fakes.with_a_curve)
    sampled = [record for record in result.records if record.kind is Kind.SAMPLED]
    assert len(sampled) == 24
    assert all(record.costs.kv_cache_bytes <= limit for record in sampled)
    assert {record.outcome for record in sampled} <= {Outcome.FINISHED, Outcome.STOPPED}
    stopped = [record.reason or "" for record in sampled if record.outcome is Outcome.STOPPED]
    assert all("bits per byte were expected of it" in reason and "of KV cache" in reason for reason in stopped)
    stored = read_study(tmp_path / "study")
    assert stored.front.problem.names == tuple(names)
    assert len(stored.front.members) > len(front_of(result.records).members), "a third objective keeps shapes on the front"
    page = report_study(stored).read_text(encoding="utf-8")
    assert all(
        f'id="plot-{name}"' in page for name in ("bits-per-byte-total-ms", "kv-cache-bytes-total-ms", "bits-per-byte-kv-cache-bytes")
    )
    assert "best_kv_cache_bytes" in {point.name for point in study_metrics(stored.records, stored.front)}


@pytest.mark.more
@pytest.mark.slow
def test_a_stopped_trial_is_told_apart_while_a_study_runs(tmp_path: Path, ray_here: None, tracking: str) -> None:
    lines: list[str] = []
    study, text = fakes.small_study(search={"trials": 24, "early_stopping": "front", "sampler": "random"})
    run_study(
        study, tmp_path / "study", study_text=text, tracking_uri=tracking, evaluate=fakes.with_a_curve,
        watch=RunWatch(display=Noted(lambda standing: lines.append(standing.counts))),
    )  # fmt: skip
    assert " stopped early, " in lines[-1]
    assert "failed" not in lines[-1]


@pytest.mark.slow
def test_a_report_says_what_stopping_spared(whole: list[TrialRecord]) -> None:
    said = outcome_sentence(whole)
    trained = [record.training for record in whole if record.training is not None]
    spared = 1 - sum(training.tokens for training in trained) / sum(training.planned_tokens for training in trained)
    assert 0.1 < spared < 0.9
    assert f"stopped early. Stopping early spared {spared:.0%} of the tokens." in said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"search": {"trials": 3, "early_stopping": "front"}, "proxy": {"tokens": None, "flops": 1e9}},
            "needs proxy.tokens, found another budget",
        ),
        ({"search": {"trials": 3, "rungs": [0.5, 0.25]}}, "rungs must be at least one share, ascending"),
        ({"limits": {"total_ms": 0}}, "limits.total_ms"),
    ],
)
def test_what_cannot_be_judged_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        fakes.small_study(**changes)
