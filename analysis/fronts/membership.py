"""How sure it is that a shape stands on the front: intervals, probabilities, ties, and which shapes are worth a second seed.

Every objective is drawn as it may truly be: what a seed moves by `analysis.statistics.seed_noise`, what is measured from its repeats and
from repeated measurements, while a closed form stays as it is. The front is taken in each draw: a shape's probability of being on the
front is the share of draws in which it is. The same front gives the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.fronts.domination import non_dominated_draws
from analysis.fronts.front import Front, ObjectivePoint, ObjectiveReading
from analysis.objectives.problem import Problem
from analysis.statistics.arrays import Array
from analysis.statistics.seed_noise import DRAWS, SeedNoise, draw_true_qualities, estimate_seed_noise

LEVEL = 0.9
"""Of the intervals."""
TIE = 0.05
"""Two shapes tie where the chance that the one which measured worse is truly the better one is at least this."""
BETWEEN_FREEDOM = 2
"""Degrees of freedom that an objective's prior of the noise between two measurements is worth."""
QUANTILES = 2.5631
"""Standard deviations between the tenth and the ninetieth percentile of a normal distribution."""
MEDIAN = 1.2533
"""Standard deviation of the median of many, over that of their mean."""


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
    """Of each objective, in the study's order; None where no seed moves it."""
    on_front: float
    """Probability that no other tried shape truly beats it."""
    best: float
    """Probability that it is truly the best of all in the study's first objective."""
    ties: tuple[int, ...]
    """Other shapes that cannot be told from it in the study's first objective, in the order in which a front is listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """How sure a front is."""

    noises: tuple[SeedNoise | None, ...]
    """Of one training, in the unit of each objective, in the study's order; None where no seed moves it."""
    posteriors: Mapping[int, ShapePosterior]
    """By trial, all places of the front."""
    recommended: int | None
    """Of the members that tie with the best in the first objective the one that is best in another; None where nothing finished."""

    def interval(self, number: int, place: int) -> Interval | None:
        """What the objective at this place of the study's order may truly be of a shape."""
        return self.posteriors[number].intervals[place]


def estimate_membership(front: Front, deviations: Mapping[int, Mapping[int, float]] | None = None) -> Membership:
    """Intervals and probabilities of all places of a front.

    `deviations` are those of an objective's logarithm, by its place in the study's order and then by trial, where it is predicted: a
    prediction knows its own, a measurement's noise included, and repeats and replicates say nothing of it.
    """
    problem = front.problem
    if not front.places:
        return Membership(noises=(None,) * len(problem.objectives), posteriors={}, recommended=None)
    points = sorted(front.places.values(), key=lambda point: point.number)
    random = np.random.default_rng(0)
    draws = draw_costs(points, problem, random, deviations).costs
    feasible = np.array([point.infeasible is None for point in points])
    on_front = np.zeros(len(points))
    if feasible.any():
        on_front[feasible] = front_probabilities([draws[column][:, feasible] for column in problem.columns])
    first = draws[0]
    best = np.bincount(first.argmin(axis=1), minlength=len(points)) / len(first)
    tied = ties(first)
    listed = sorted(range(len(points)), key=lambda i: front.costs(points[i].number)[problem.ordering])
    intervals = [_intervals(front, place, draws[place]) for place in range(len(problem.objectives))]
    posteriors = {
        point.number: ShapePosterior(
            intervals=tuple(column[i] for column in intervals),
            on_front=float(on_front[i]),
            best=float(best[i]),
            ties=tuple(points[j].number for j in listed if tied[i, j]),
        )
        for i, point in enumerate(points)
    }
    noises = tuple(
        estimate_seed_noise(_seeds(points, place, problem)) if objective.noise == "seed" else None
        for place, objective in enumerate(problem.objectives)
    )
    return Membership(noises=noises, posteriors=posteriors, recommended=_recommended(front, posteriors))


def _recommended(front: Front, posteriors: Mapping[int, ShapePosterior]) -> int | None:
    top = front.best(0)
    if top is None:
        return None
    other = next(place for place in front.problem.columns if place != 0)
    alike = [number for number in front.members if number == top or number in posteriors[top].ties]
    return min(alike, key=lambda number: front.costs(number)[other])


def _intervals(front: Front, place: int, draws: Array) -> list[Interval | None]:
    objective = front.objectives[place]
    if objective.noise != "seed":
        return [None] * draws.shape[1]
    ends = np.quantile(draws, ((1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2), axis=0)
    values = [[objective.cost(float(cost)) for cost in costs] for costs in ends.T]
    return [Interval(min(low, high), expected, max(low, high)) for low, expected, high in values]


def picks(front: Front, membership: Membership | None = None) -> dict[int, list[str]]:
    """The front's chosen trials and what each was chosen for: recommended, best in an objective, knee; one may be all of them."""
    first, *others = ((objective.words.best, front.best(place)) for place, objective in enumerate(front.objectives))
    chosen: dict[int, list[str]] = {}
    for what, number in (("recommended", membership.recommended if membership else None), first, ("knee", front.knee), *others):
        if number is not None:
            chosen.setdefault(number, []).append(what)
    return chosen


@dataclass(frozen=True, slots=True)
class CostDraws:
    """What the objectives of some shapes may truly be, each in the study's order."""

    costs: tuple[Array, ...]
    """Shape [draws, shapes], or [1, shapes] of a closed form; of what no seed moves it is the logarithm."""
    noises: tuple[Array | None, ...]
    """The noise that each draw takes for true, a standard deviation between seeds; [draws]. None where no seed moves the objective."""


def draw_costs(
    points: Sequence[ObjectivePoint],
    problem: Problem,
    random: np.random.Generator,
    deviations: Mapping[int, Mapping[int, float]] | None = None,
) -> CostDraws:
    """Draw all objectives; `deviations` are those of `estimate_membership`.

    They are drawn apart: that one seed may have been lucky in two of them at once is left out.
    """
    places = range(len(problem.objectives))
    logs = {place: _log_values(points, place, problem) for place in places if problem.objectives[place].noise != "seed"}
    along = logs.get(problem.ordering, np.zeros(len(points)))
    by_seed = {place: draw_true_qualities(_seeds(points, place, problem), along, random) for place in places if place not in logs}
    costs = {place: qualities for place, (qualities, _) in by_seed.items()}
    for place, values in logs.items():
        objective = problem.objectives[place]
        if objective.noise == "none":
            costs[place] = values[None]
            continue
        spread = measurement_deviations([point.readings[place] for point in points], objective.between)
        if deviations is not None and place in deviations:
            spread = np.array([deviations[place][point.number] for point in points])
        costs[place] = values + spread * random.standard_normal((DRAWS, len(points)))
    return CostDraws(
        costs=tuple(costs[place] for place in places), noises=tuple(by_seed[place][1] if place in by_seed else None for place in places)
    )


def front_probabilities(draws: Sequence[Array]) -> Array:
    """In which share of the draws each shape is on the front; an objective has [draws, shapes], better where smaller."""
    share: Array = non_dominated_draws(draws).mean(axis=0)
    return share


def ties(true_qualities: Array) -> npt.NDArray[np.bool_]:
    """Which pairs of shapes cannot be told apart; [shapes, shapes], false on the diagonal."""
    better = np.array([(true_qualities < true_qualities[:, [i]]).mean(axis=0) for i in range(true_qualities.shape[1])])
    found: npt.NDArray[np.bool_] = np.minimum(better, better.T) >= TIE
    np.fill_diagonal(found, False)
    return found


def measurement_deviations(readings: Sequence[ObjectiveReading], prior: float) -> Array:
    """Of the logarithm of each measured value: of the median of its repeats, and between measurements; shape [shapes].

    `prior` is the objective's own `between`.
    """
    within = [
        0.0 if reading.spread is None else np.log(reading.spread.p90 / reading.spread.p10) / QUANTILES * MEDIAN / reading.repeats**0.5
        for reading in readings
    ]
    deviations: Array = np.hypot(within, deviation_between(readings, prior))
    return deviations


def deviation_between(readings: Iterable[ObjectiveReading], prior: float) -> float:
    """Standard deviation of a logarithm between measurements of one shape: replicates and second measurements, shrunk to the prior.

    What the quiet machine saves every shape alike is no noise and is taken out of the second measurements.
    """
    readings = list(readings)
    again = [np.log(reading.value / reading.searched) for reading in readings if reading.again]
    groups = [np.log(reading.trials) for reading in readings]
    freedom = max(0, len(again) - 1) + sum(len(group) - 1 for group in groups)
    squares = len(again) * np.var(again) / 2 if again else 0.0
    squares += sum(len(group) * np.var(group) for group in groups)
    return float(np.sqrt((BETWEEN_FREEDOM * prior**2 + squares) / (BETWEEN_FREEDOM + freedom)))


def contenders(on_front: Mapping[int, float], tries: Mapping[int, int]) -> list[int]:
    """Trials worth a repetition, first the one whose membership is the least sure: p(1-p) is the variance of being on the front or not.

    `tries` counts the repetitions of a shape that have told nothing yet, because they run or because they failed: it is halved by
    the first, so that they spread.
    """
    return sorted(on_front, key=lambda number: (-on_front[number] * (1 - on_front[number]) / (1 + tries.get(number, 0)), number))


def _seeds(points: Sequence[ObjectivePoint], place: int, problem: Problem) -> list[list[float]]:
    """Costs of every seed of each shape."""
    return [[problem.objectives[place].cost(value) for value in point.readings[place].trials] for point in points]


def _log_values(points: Sequence[ObjectivePoint], place: int, problem: Problem) -> Array:
    """Logarithms of the costs."""
    return np.log([problem.objectives[place].cost(point.values[place]) for point in points])
