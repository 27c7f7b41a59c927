"""Importance of dimensions: Optuna's numbers, intervals that hold the planted order, and modesty where nothing decides."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import TrialState, create_trial

from analysis.fronts.front import front_of
from analysis.fronts.importance import best_share, importance, importances, levels_of
from analysis.statistics.arrays import Array
from tests.support.sample_study import sample_records

AXES: dict[str, BaseDistribution] = {
    "depth": IntDistribution(0, 7),
    "width": IntDistribution(0, 19),
    "mlp": CategoricalDistribution(["relu", "swiglu", "gelu"]),
}


def planted(trials: int, seed: int = 0, noise: float = 0.05) -> tuple[list[dict[str, Any]], Array]:
    """Points of which the depth decides most, the width a little and the MLP nothing."""
    random = np.random.default_rng(seed)
    points: list[dict[str, Any]] = [
        {"depth": int(depth), "width": int(width), "mlp": str(mlp)}
        for depth, width, mlp in zip(
            np.r_[0, 7, random.integers(8, size=trials - 2)],
            np.r_[0, 19, random.integers(20, size=trials - 2)],
            np.r_[["relu", "gelu", "swiglu"], random.choice(["relu", "swiglu", "gelu"], size=trials - 3)],
            strict=True,
        )
    ]
    costs = [abs(int(p["depth"]) - 2) / 8 + abs(int(p["width"]) - 15) / 60 for p in points]
    return points, np.array(costs) + random.normal(0, noise, trials)


@pytest.mark.parametrize("trials", [12, 40, 300])
def test_importances_are_those_of_optuna(trials: int) -> None:
    points, costs = planted(trials)
    for name, axis in AXES.items():  # every level is there, so that the observed ones are the declared ones
        values = (
            axis.choices if isinstance(axis, CategoricalDistribution) else range(axis.high + 1) if isinstance(axis, IntDistribution) else ()
        )
        points += [{**points[0], name: value} for value in values]
    costs = np.r_[costs, np.linspace(0.3, 0.6, len(points) - trials)]
    study = optuna.create_study()
    study.add_trials(
        [
            create_trial(state=TrialState.COMPLETE, params=point, distributions=AXES, values=[cost])
            for point, cost in zip(points, costs.tolist(), strict=True)
        ]
    )
    evaluator = PedAnovaImportanceEvaluator(target_quantile=best_share(len(points)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = get_param_importances(study, evaluator=evaluator)
    found = {each.dimension: each.share for each in importance(levels_of(points), costs)}
    assert found == pytest.approx(wanted, abs=1e-6)


def test_what_decides_stands_out_and_what_does_not_does_not() -> None:
    first, *others = importance(levels_of(planted(120)[0]), planted(120)[1])
    assert first.dimension == "depth"
    assert first.low <= first.share <= first.high
    assert first.stands_out
    assert next(each for each in others if each.dimension == "mlp").stands_out is False


def test_intervals_hold_what_many_trials_say_and_narrow_with_them() -> None:
    truth = {each.dimension: each.share for each in importance(levels_of(planted(4000)[0]), planted(4000)[1])}
    held, widths = [], {60: 0.0, 240: 0.0}
    for seed in range(20):
        for trials in widths:
            (found,) = (
                each for each in importance(levels_of(planted(trials, seed)[0]), planted(trials, seed)[1]) if each.dimension == "depth"
            )
            widths[trials] += found.high - found.low
            held.append(found.low <= truth["depth"] <= found.high)
    assert np.mean(held) > 0.7
    assert widths[240] < widths[60]


def test_chance_makes_nothing_stand_out_more_often_than_it_says() -> None:
    points = planted(60)[0]
    drawn = [importance(levels_of(points), np.random.default_rng(seed).normal(size=60)) for seed in range(60)]
    assert np.mean([each.stands_out for found in drawn for each in found]) < 0.12


def test_a_study_says_it_for_each_objective_and_few_shapes_say_nothing() -> None:
    records = sample_records()
    found = importances(records, front_of(records))
    assert set(found) == {"bits_per_byte", "total_ms"}
    for rows in found.values():
        assert sum(each.share for each in rows) == pytest.approx(1)
        assert [each.share for each in rows] == sorted((each.share for each in rows), reverse=True)
    assert importances(records[:6], front_of(records[:6])) == {}
    assert importances([], front_of([])) == {}
