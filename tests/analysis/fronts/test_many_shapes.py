"""Of many shapes, membership is approximate: how far off it may be, and that its time grows with the shapes and not with their square."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from analysis.fronts import membership
from analysis.fronts.front import PointReader, front_of
from analysis.fronts.membership import contenders, estimate_membership, membership_probabilities
from analysis.objectives.problem import STANDARD, Problem, problem_of
from analysis.records.record import TrialRecord
from tests.support.needs import rest_is_more
from tests.support.planted_front import planted
from trials.driver.agenda import contender

THREE = problem_of(["bits_per_byte", "total_ms", "kv_cache_bytes"])
PLANTED = [(0.005, 0.02), (0.01, 0.005), (0.0025, 0.1)]
"""Noise of a seed over the quality, and spread of the shapes' own differences: as in a study, within the noise, and far beyond it."""


@pytest.mark.parametrize("problem", [pytest.param(STANDARD, id="two"), pytest.param(THREE, id="three", marks=pytest.mark.more)])
@pytest.mark.parametrize(("noise", "spread"), rest_is_more(PLANTED, PLANTED[0]))
def test_of_many_shapes_every_number_and_choice_is_near_that_of_all_draws(
    problem: Problem, noise: float, spread: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    front = front_of(planted(400, noise, spread, replicates=20), problem=problem)
    found = estimate_membership(front)
    monkeypatch.setattr(membership, "WHOLE", 10_000)
    exact = estimate_membership(front)
    assert found.noises == exact.noises
    pairs = [(found.posteriors[number], exact.posteriors[number]) for number in front.points]
    off = np.array([[abs(one.on_front - other.on_front), abs(one.best - other.best)] for one, other in pairs])
    assert off.max() < 0.05, "draws of draws, and shapes that are in none"
    assert off.mean() < 0.005
    assert max((other.on_front for one, other in pairs if one.on_front == 0), default=0.0) < 0.05
    widths = np.array([other.intervals[0].high - other.intervals[0].low for _, other in pairs if other.intervals[0]])
    for end in ("low", "expected", "high"):
        ends = [(getattr(one.intervals[0], end), getattr(other.intervals[0], end)) for one, other in pairs]
        assert (np.abs(np.subtract(*zip(*ends, strict=True))) < 0.1 * widths).all()
    differ = together = 0
    for number in front.members:
        few, every = (set(each.posteriors[number].ties or ()) for each in (found, exact))
        differ, together = differ + len(few ^ every), together + len(few | every)
    assert differ < 0.1 * together, "ties of normal distributions are others than those of draws at the border only"
    doubt = {number: posterior.on_front * (1 - posterior.on_front) for number, posterior in exact.posteriors.items()}
    monkeypatch.undo()
    points = sorted(front.points.values(), key=lambda point: point.number)
    assert doubt[contenders(membership_probabilities(points, problem), {})[0]] > 0.8 * max(doubt.values()), "a replicate's choice"


def seconds(work: Callable[[Sequence[TrialRecord]], object], records: Sequence[TrialRecord]) -> float:
    """Least processor time of two calls."""
    times = []
    for _ in range(2):
        begun = time.process_time()
        work(records)
        times.append(time.process_time() - begun)
    return min(times)


@pytest.mark.more
@pytest.mark.parametrize(("noise", "spread"), PLANTED[:1])
def test_eight_times_the_shapes_take_no_sixty_times_as_long(noise: float, spread: float) -> None:
    few, many, reader = planted(400, noise, spread), planted(3200, noise, spread), PointReader(STANDARD)
    for work in (lambda records: estimate_membership(front_of(records)), lambda records: contender(records, [], reader)):
        assert seconds(work, many) < 20 * seconds(work, few)
