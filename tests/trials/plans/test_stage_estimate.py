"""The stages of a plan: what they are made of, that they add up, and how they follow a study's keys."""

from __future__ import annotations

from typing import Any

import pytest

from analysis.records.stages import STAGES
from tests.support.fakes import small_study
from tests.support.planted_pace import planted_row
from trials.machine.contention import share_of_fewer
from trials.plans.check_study import check
from trials.plans.foretell import ExpectedTrials, foretold
from trials.plans.known_paces import of_rows
from trials.plans.pace_table import LatencyPace
from trials.plans.plan_study import plan_study
from trials.plans.stage_estimate import SOLITARY_STAGES, USUAL_OVERHEAD, _makespan

COUNTED = ("training", "evaluation", "latency", "finals", "retraining")


def stages(**changes: Any) -> dict[str, float]:
    """Seconds by stage of the small study with changes, on the planted machine."""
    study, _ = small_study(**{"finals": {"fresh_seed": True, "learning_rate_bracket": True}, **changes})
    expected = ExpectedTrials(study, check(study))
    rows = [planted_row(shape, study.proxy) for shape in expected.shapes[:12]]
    known = of_rows(rows, [LatencyPace(label="", parameters=1, seconds=2.0, origin="timed")])
    return dict(foretold(expected, known).seconds)


def test_every_stage_has_its_seconds_and_they_add_up() -> None:
    study, _ = small_study()
    plan = plan_study(study)
    assert plan.time.stage_seconds is not None
    assert set(plan.time.stage_seconds) == set(STAGES)
    assert plan.time.estimated_seconds == pytest.approx(sum(plan.time.stage_seconds.values()))
    made = plan.as_dict()
    assert made["estimated_seconds"] == plan.time.estimated_seconds
    assert made["price"] is None
    assert {name: plan.time.stage_seconds[name] for name in USUAL_OVERHEAD} == pytest.approx(
        {name: 2.5 / 4.0 * seconds for name, seconds in USUAL_OVERHEAD.items()}
    )


@pytest.mark.parametrize(
    ("changes", "grows", "factor"),
    [
        ({"proxy": {"tokens": 200_000}}, "training", 10.0),
        ({"proxy": {"evaluations": 8}}, "evaluation", 2.0),
        ({"proxy": {"evaluation_tokens": 8_192}}, "evaluation", 4.0),
        ({"corpus": {"name": "python-stdlib"}, "proxy": {"evaluations": 12}}, "evaluation", 3.0),
        ({"search": {"trials": 40}}, "latency", 3.0),
        ({"finals": {"fresh_seed": True, "learning_rate_bracket": False}}, "retraining", 1 / 3),
        ({"finals": {"fresh_seed": False, "learning_rate_bracket": False}}, "retraining", 0.0),
        ({"search": {"trials": 33}}, "finals", 6 / 5),
        ({"proxy": {"cooldowns": [0.5]}}, "training", 1.15),
    ],
)
def test_a_stage_follows_what_it_is_made_of(changes: dict[str, Any], grows: str, factor: float) -> None:
    before, after = stages(), stages(**changes)
    assert after[grows] == pytest.approx(factor * before[grows], rel=0.1)
    for name in COUNTED:
        assert after[name] >= before[name] - 1e-9 or name == grows or "search" in changes


def test_trials_that_may_stop_early_take_less() -> None:
    kept = {}
    for trials in (10, 63, 126):
        early, whole = (stages(search={"trials": trials, **more})["training"] for more in ({"early_stopping": "front"}, {}))
        kept[trials] = early / whole
    assert kept == pytest.approx({10: 1.0, 63: 0.463, 126: 0.346}, rel=0.1)  # as the benchmark of stopping measured


def test_other_work_on_the_machine_makes_every_stage_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside two other busy processes on two processors two trials have a half each, and one process alone two thirds."""
    alone = plan_study(small_study()[0]).time
    monkeypatch.setattr("trials.plans.known_paces.processor_share", lambda processes: 0.5)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    beside = plan_study(small_study()[0]).time
    assert alone.stage_seconds is not None
    assert beside.stage_seconds is not None
    count = small_study()[0].workers.count
    for name, seconds in alone.stage_seconds.items():
        assert beside.stage_seconds[name] == pytest.approx(seconds / (share_of_fewer(0.5, count) if name in SOLITARY_STAGES else 0.5)), name
    assert "beside what else is at work here now; a machine of its own would take about" in "\n".join(beside.lines(2))
    assert "what else is at work" not in "\n".join(alone.lines(2))


def test_workers_share_the_trials_and_the_longest_ends_last() -> None:
    assert _makespan([1.0] * 6, 2) == 3.0
    assert _makespan([5.0, 1.0, 1.0], 2) == 5.0
    assert _makespan([], 2) == 0.0


def test_money_is_hours_times_their_price() -> None:
    plan = plan_study(small_study()[0], price_per_hour=3.6)
    assert plan.time.estimated_seconds is not None
    assert plan.time.price == pytest.approx(plan.time.estimated_seconds / 1000)
    assert "at 3.6 an hour of this machine" in str(plan)


def test_energy_is_of_the_arithmetic_alone_and_less_in_bfloat16() -> None:
    full, half = (plan_study(small_study(proxy={"precision": name})[0]).time.training_joules for name in ("float32", "bfloat16"))
    assert full / half == pytest.approx(2.3 / 0.75)


def test_what_a_gpu_elsewhere_takes_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trials.plans.known_paces.has_gpu", lambda: False)
    plan = plan_study(small_study(workers={"gpus": 1})[0], price_per_hour=2)
    assert (plan.time.estimated_seconds, plan.time.stage_seconds, plan.time.price) == (None, None, None)
    assert plan.samples[0].training_seconds is None
    assert plan.training_flops > 0
    assert "not known: the study trains on a GPU, and this machine has none" in str(plan)
