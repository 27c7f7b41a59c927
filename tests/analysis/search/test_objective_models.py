"""Models of a study with many failures: what a proposal costs stays bounded, and few failures are all seen."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.search import objective_models
from analysis.search.axes import Axes, Axis, FeatureGroups
from analysis.search.objective_models import MODELLED, Batch, ObjectiveModels, Observations
from analysis.search.surrogate import Surrogate, Variances
from analysis.statistics.arrays import Array

LEVELS = 40
AXES = Axes((Axis("width", LEVELS, True), Axis("depth", LEVELS, True), Axis("kind", 3, False)))


def batch(count: int, seed: int, narrowest: int = 0) -> Batch:
    rows = np.random.default_rng(seed).integers([narrowest, 0, 0], [LEVELS, LEVELS, 3], size=(count, 3))
    places = rows / np.array([LEVELS - 1, LEVELS - 1, 1])
    costs = np.stack([np.full(count, math.nan), places[:, 0] + places[:, 1]], axis=1)
    return Batch(rows, places, np.ones(rows.shape, bool), costs, np.zeros((count, 0)), np.ones(count, bool))


def models_after(failures: int) -> ObjectiveModels:
    """Trials of which those with the upper half of the widths fail."""
    finished = batch(60, 0)
    finished = finished[finished.rows[:, 0] < LEVELS // 2]
    values = np.stack([3 - finished.places[:, 0] - 0.5 * finished.places[:, 1], finished.costs[:, 1]], axis=1)
    none = finished[[]]
    failed = batch(failures, 1, narrowest=LEVELS // 2)
    told = Observations(finished, values, none, np.empty((0, 2)), np.empty((0, 2)), none, failed, none)
    return ObjectiveModels(AXES, told, {})


@pytest.mark.parametrize("failures", [1, MODELLED, 2000])
def test_of_many_failures_the_model_of_success_sees_a_bounded_part(failures: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    class Watched(Surrogate):
        def __init__(self, features: FeatureGroups, values: Array, variances: Variances, *others: Array | FeatureGroups | None) -> None:
            if variances.mean == 1.0 and variances.scale == 0.5:
                seen.append(int((values == 0).sum()))
            super().__init__(features, values, variances, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(objective_models, "Surrogate", Watched)
    models_after(failures)
    assert seen == [min(failures, MODELLED)]


def test_a_bounded_part_of_the_failures_still_tells_where_they_are() -> None:
    models = models_after(2000)
    points = batch(400, 2)
    chance = models._lookahead(points)[1]
    wide = points.rows[:, 0] >= LEVELS // 2
    assert chance[~wide].mean() > 0.7
    assert chance[wide].mean() < 0.3
