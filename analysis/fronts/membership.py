"""How sure it is that a shape stands on the front: intervals, probabilities, ties, and which shapes are worth a second seed.

Every objective is drawn as it may truly be (`analysis.fronts.cost_posteriors`), and the front is taken in each draw: a shape's probability
of being on the front is the share of draws in which it is. The same front gives the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.fronts.cost_posteriors import CostPosteriors
from analysis.fronts.domination import non_dominated, non_dominated_draws
from analysis.fronts.front import Front, ObjectivePoint
from analysis.fronts.recommendation import recommended
from analysis.objectives.objective import Objective
from analysis.objectives.problem import Problem
from analysis.records.record import Kind
from analysis.statistics.arrays import Array, Flags
from analysis.statistics.intervals import LEVEL
from analysis.statistics.seed_noise import DRAWS, SeedNoise

TIE = 0.05
"""Two shapes tie where the chance that the one which measured worse is truly the better one is at least this."""
NORMAL = 1.6449
"""Deviations beyond which a normal distribution has `TIE`, and half of what `LEVEL` leaves out."""
WHOLE = 300
"""Shapes up to which all are in every draw and all pairs are compared; of more the results are approximate (`estimate_membership`)."""
FAR_FROM_FRONT = 2.0
"""Deviations of the difference by which another shape is better in every objective than one that is far from the front."""
FEWEST_DRAWS, CHOICE_DRAWS = 1_000, (64, 250)
"""Draws of more than `WHOLE` shapes: at least, and the fewest and the most where only the choice of a replicate hangs on them."""
CHOSEN_FROM = 100_000
"""Draws times shapes near the front that such a choice is made from, within `CHOICE_DRAWS`."""


@dataclass(frozen=True, slots=True)
class Interval:
    """What one objective of a shape may truly be, selection bias taken out."""

    low: float
    """Lower end of the 90 % interval."""
    expected: float
    """The median."""
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapePosterior:
    """How sure the place of one shape is."""

    intervals: tuple[Interval | None, ...]
    """Credible interval of each objective, in the study's order; None where no seed moves it."""
    on_front: float
    """Probability that no other tried shape truly beats it."""
    best: float
    """Probability that it is truly the best of all in the study's first objective."""
    ties: tuple[int, ...] | None
    """Other shapes that cannot be told from it in the study's first objective, in the order in which a front is listed.

    None where that was not asked: of more than `WHOLE` shapes it is of members of the front and of references only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """How sure a front is."""

    noises: tuple[SeedNoise | None, ...]
    """Seed noise of one training, in the unit of each objective, in the study's order; None where no seed moves it."""
    posteriors: Mapping[int, ShapePosterior]
    """How sure the place of each shape is, by trial, all points of the front."""
    recommended: int | None
    """The member that is best in another objective, of those that tie with the best in the first; None where nothing finished."""

    def interval(self, number: int, place: int) -> Interval | None:
        """What the objective at this place of the study's order may truly be of a shape."""
        return self.posteriors[number].intervals[place]


def estimate_membership(front: Front, deviations: Mapping[int, Mapping[int, float]] | None = None) -> Membership:
    """Intervals and probabilities of all points of a front.

    `deviations` are those of an objective's logarithm, by its place in the study's order and then by trial, where it is predicted: a
    prediction knows its own, a measurement's noise included, and repeats and replicates say nothing of it.

    Of more than `WHOLE` shapes those far from the front, by `FAR_FROM_FRONT`, are in no draw: their probabilities are 0 in place of
    less than 4.5 % (6.7 % of three objectives), and their intervals those of a normal distribution. The others have fewer draws,
    `FEWEST_DRAWS` or more. Ties are those of normal distributions.
    """
    if not front.points:
        return Membership(noises=(None,) * len(front.objectives), posteriors={}, recommended=None)
    points = sorted(front.points.values(), key=lambda point: point.number)
    costs = CostPosteriors(points, front.problem, deviations)
    drawn = draw_points(points, costs)
    found = _of_few(points, drawn, front) if drawn.moments is None else _of_many(points, drawn, front, drawn.moments)
    listed = np.argsort([front.costs(point.number)[front.problem.ordering] for point in points], kind="stable")
    numbers = np.array([point.number for point in points])
    intervals = [
        _intervals(objective, ends) if objective.noise == "seed" else [None] * len(points)
        for objective, ends in zip(front.objectives, found.ends, strict=True)
    ]
    posteriors = {
        point.number: ShapePosterior(
            intervals=tuple(column[i] for column in intervals),
            on_front=float(found.on_front[i]),
            best=float(found.best[i]),
            ties=tuple(numbers[listed[found.tied[i][listed]]].tolist()) if i in found.tied else None,
        )
        for i, point in enumerate(points)
    }
    pick, _ = recommended(front, front.members, lambda number: posteriors[number].ties)
    return Membership(noises=costs.seed_noises, posteriors=posteriors, recommended=pick)


def membership_probabilities(points: Sequence[ObjectivePoint], problem: Problem) -> dict[int, float]:
    """Each shape's probability of being on the front, by trial, from points in the order of their numbers.

    They are those of `estimate_membership`, or, of more than `WHOLE` shapes, from fewer draws: `CHOICE_DRAWS`.
    """
    if not points:
        return {}
    costs, random = CostPosteriors(points, problem), np.random.default_rng(0)
    feasible, on_front = _feasible(points), np.zeros(len(points))
    if len(points) <= WHOLE:
        on_front = _on_front(costs.draw(random).costs, feasible, problem)
    else:
        near = near_front(*costs.moments(random), feasible)
        fewest, most = CHOICE_DRAWS
        draws = max(fewest, min(most, CHOSEN_FROM // int(near.sum())))
        on_front[near] = _on_front(costs.draw(random, draws, near).costs, feasible[near], problem)
    return {point.number: chance for point, chance in zip(points, on_front.tolist(), strict=True)}


@dataclass(frozen=True, slots=True)
class _Found:
    """What draws say of shapes."""

    on_front: Array
    """Shape [shapes]."""
    best: Array
    """Share of the draws in which each shape is the best in the first objective, shape [shapes]."""
    ends: list[Array]
    """Lower end of the interval, median and upper end of each objective's costs; shape [3, shapes]."""
    tied: Mapping[int, Flags]
    """Which others tie with a shape, [shapes], by the index of each shape of which that is asked."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """The draws that a front's probabilities are shares of."""

    among: Flags
    """Which of the points are in them, [points]."""
    costs: tuple[Array, ...]
    """What those points may truly have, in the form of `CostDraws`."""
    moments: tuple[Array, Array] | None
    """Means and deviations of all points; None where all points are drawn."""


def draw_points(points: Sequence[ObjectivePoint], costs: CostPosteriors) -> Drawn:
    """Every one of few points, and of more than `WHOLE` those near the front; the same points give the same draws."""
    random = np.random.default_rng(0)
    if len(points) <= WHOLE:
        return Drawn(np.ones(len(points), dtype=bool), costs.draw(random).costs, None)
    means, deviations = costs.moments(random)
    near = near_front(means, deviations, _feasible(points))
    fewer = max(FEWEST_DRAWS, min(DRAWS, DRAWS * WHOLE // int(near.sum())))
    return Drawn(near, costs.draw(random, fewer, near).costs, (means, deviations))


def _of_few(points: Sequence[ObjectivePoint], drawn: Drawn, front: Front) -> _Found:
    """Everything drawn, all pairs compared."""
    draws = drawn.costs
    return _Found(
        on_front=_on_front(draws, _feasible(points), front.problem),
        best=_best(draws[0]),
        ends=[_ends(costs) for costs in draws],
        tied=dict(enumerate(ties(draws[0]))),
    )


def _of_many(points: Sequence[ObjectivePoint], drawn: Drawn, front: Front, moments: tuple[Array, Array]) -> _Found:
    """What draws say of more than `WHOLE` shapes, in the approximation that `estimate_membership` states."""
    on_front, best = np.zeros((2, len(points)))
    (means, deviations), near, draws = moments, drawn.among, drawn.costs
    on_front[near], best[near] = _on_front(draws, _feasible(points)[near], front.problem), _best(draws[0])
    ends = [mean + np.outer((-NORMAL, 0.0, NORMAL), deviation) for mean, deviation in zip(means.T, deviations.T, strict=True)]
    for whole, some in zip(ends, draws, strict=True):
        whole[:, near] = _ends(some)
    asked = [i for i, point in enumerate(points) if point.number in front.members or point.kind is Kind.REFERENCE]
    mean, variance = means[:, 0], deviations[:, 0] ** 2
    tied = {i: (np.abs(mean - mean[i]) <= NORMAL * np.sqrt(variance + variance[i])) & (np.arange(len(points)) != i) for i in asked}
    return _Found(on_front, best, ends, tied)


def near_front(means: Array, deviations: Array, feasible: Flags) -> Flags:
    """Which shapes no feasible one beats in every objective by `FAR_FROM_FRONT` deviations; [shapes], the others [shapes, objectives]."""
    sure, variances = means + FAR_FROM_FRONT * deviations, deviations**2
    near, left, own, noise = np.ones(len(means), dtype=bool), np.arange(len(means)), means.T, variances.T
    for member in np.flatnonzero(feasible)[non_dominated(sure[feasible], distinct=True)]:
        beaten = np.ones(len(left), dtype=bool)
        for values, spread, best, variance in zip(own, noise, means[member], variances[member], strict=True):
            beaten &= values - best > FAR_FROM_FRONT * np.sqrt(spread + variance)
        if beaten.any():
            near[left[beaten]] = False
            left, own, noise = left[~beaten], own[:, ~beaten], noise[:, ~beaten]
    return near


def _feasible(points: Iterable[ObjectivePoint]) -> Flags:
    return np.array([point.infeasible is None for point in points])


def _on_front(draws: Sequence[Array], feasible: Flags, problem: Problem) -> Array:
    """Share of the draws in which each shape is on the front; [shapes]."""
    on_front = np.zeros(len(feasible))
    if feasible.any():
        on_front[feasible] = front_probabilities([draws[column][:, feasible] for column in problem.columns])
    return on_front


def front_probabilities(draws: Sequence[Array]) -> Array:
    """Share of the draws in which each shape is on the front; an objective has [draws, shapes], better where smaller."""
    share: Array = non_dominated_draws(draws).mean(axis=0)
    return share


def _best(costs: Array) -> Array:
    """Share of the draws in which each shape is the best; [shapes]."""
    share: Array = np.bincount(costs.argmin(axis=1), minlength=costs.shape[1]) / len(costs)
    return share


def _ends(costs: Array) -> Array:
    ends: Array = np.quantile(costs, ((1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2), axis=0)
    return ends


def _intervals(objective: Objective, ends: Array) -> list[Interval | None]:
    """Intervals in the objective's values, from the ends of those of its costs."""
    values = [[objective.cost(cost) for cost in costs] for costs in ends.T.tolist()]
    return [Interval(min(low, high), expected, max(low, high)) for low, expected, high in values]


def ties(true_qualities: Array) -> Flags:
    """Which pairs of shapes cannot be told apart; [shapes, shapes], false on the diagonal."""
    by_shape = np.ascontiguousarray(true_qualities.T)
    better = np.array([np.count_nonzero(by_shape < own, axis=1) for own in by_shape]) / by_shape.shape[1]
    found: Flags = np.minimum(better, better.T) >= TIE
    np.fill_diagonal(found, False)
    return found


def picks(front: Front, membership: Membership | None = None) -> dict[int, list[str]]:
    """The front's chosen trials and what each was chosen for: recommended, best in an objective, knee; one may be all of them."""
    first, *others = ((objective.words.best, front.best(place)) for place, objective in enumerate(front.objectives))
    chosen: dict[int, list[str]] = {}
    for what, number in (("recommended", membership.recommended if membership else None), first, ("knee", front.knee), *others):
        if number is not None:
            chosen.setdefault(number, []).append(what)
    return chosen


def contenders(on_front: Mapping[int, float], tries: Mapping[int, int]) -> list[int]:
    """Trials worth a repetition, first the one whose membership is the least sure: p(1-p) is the variance of being on the front or not.

    `tries` counts the repetitions of a shape that have told nothing yet, because they run or because they failed: it is halved by
    the first, so that they spread.
    """
    return sorted(on_front, key=lambda number: (-on_front[number] * (1 - on_front[number]) / (1 + tries.get(number, 0)), number))
