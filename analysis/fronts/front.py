"""Which finished trials nothing else beats in all objectives together, and what that front looks like in numbers.

A value that was measured again on the quiet machine counts in place of the search's; a quality is the validation split's. What the test
split says is never used to choose.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from analysis.fronts.domination import hypervolume, knee, non_dominated
from analysis.objectives.objective import Known, Objective
from analysis.objectives.observed import Observed
from analysis.objectives.problem import STANDARD, Problem
from analysis.records.latency import Latency, Spread
from analysis.records.record import FinalRecord, Kind, TrialRecord
from analysis.records.replicates import mean_record, repetitions
from analysis.statistics.arrays import Array

REFERENCE_MARGIN = 1.1
"""The hypervolume's reference point lies this much beyond the worst reference shape in each objective."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveReading:
    """One objective of one shape."""

    value: float
    """The value that counts: the mean of the shape's seeds, or what was measured last."""
    searched: float
    """What the search saw of the shape's own trial."""
    remeasured: bool
    """Whether it was measured again after the search."""
    trials: tuple[float, ...]
    """What the search saw of each of the shape's trials, its own first and then its replicates."""
    spread: Spread | None
    """Spread of the repeats of the measurement that counts; None where there are none."""
    repeats: int
    """Number of repeats of the measurement that counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectivePoint:
    """Where one shape stands: a finished trial with its replicates."""

    number: int
    """Number of the shape's first trial."""
    kind: Kind
    readings: tuple[ObjectiveReading, ...]
    """One for each objective, in the study's order."""
    latency: Latency | None
    """The measurement that counts; None where there is none."""
    infeasible: str | None
    """Which limit it passes, as the beginning of a sentence; None where it may stand on the front."""

    @property
    def values(self) -> tuple[float, ...]:
        """Value of each objective, in the study's order."""
        return tuple(reading.value for reading in self.readings)


@dataclass(frozen=True, kw_only=True)
class Front:
    """The trials that nothing beats, and where all finished trials stand."""

    problem: Problem
    points: Mapping[int, ObjectivePoint]
    """Every shape that has all of the objectives, by the number of its first trial."""
    members: tuple[int, ...]
    """Numbers of the trials on the front, the best in `problem.ordering` first; equal points are all members, lower number first."""
    reference_point: tuple[float, ...] | None
    """Values in the study's order that the hypervolume is measured from; None where nothing finished."""
    hypervolume: float
    """Share, 0 to 1, of the box between zero costs and the reference point that the front dominates."""
    knee: int | None
    """The member where giving up one objective for the others stops paying; None where nothing finished."""

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """Objectives of the problem, in order."""
        return self.problem.objectives

    def best(self, place: int) -> int | None:
        """The member that is best in the objective at this place of the study's order, the first listed of equals."""
        costs = [self.costs(number)[place] for number in self.members]
        return self.members[costs.index(min(costs))] if costs else None

    def costs(self, number: int) -> tuple[float, ...]:
        """A point's values as numbers that are better where smaller, in the study's order."""
        return self._costs[number]

    @cached_property
    def _costs(self) -> Mapping[int, tuple[float, ...]]:
        pairs = ((number, zip(self.objectives, point.values, strict=True)) for number, point in self.points.items())
        return {number: tuple(objective.cost(value) for objective, value in values) for number, values in pairs}


def front_of(
    records: Iterable[TrialRecord],
    finals: Mapping[int, FinalRecord] | None = None,
    problem: Problem = STANDARD,
    known: Sequence[Known] = ("training",),
) -> Front:
    """The front of a study.

    Limits are asked of what is `known` at these moments; those that are known before a training were asked before it.

    A measurement after the search may move a member off the front and let a trial without one onto it: whoever measures should
    repeat until every member has its final record.
    """
    points = {point.number: point for point in _points(records, finals or {}, problem, known)}
    costs = np.array([_costs(point, problem) for point in points.values()])
    corner = reference_costs(costs, [point.kind for point in points.values()])
    feasible = [point for point in points.values() if point.infeasible is None]
    numbers, found = [point.number for point in feasible], [_costs(point, problem) for point in feasible]
    logarithmic = [problem.objectives[place].scale == "log" for place in problem.columns]
    return Front(
        problem=problem,
        points=points,
        members=tuple(numbers[index] for index in non_dominated(found)),
        reference_point=None if corner is None else _values(corner, problem),
        hypervolume=0.0 if corner is None else hypervolume(found, corner) / float(np.prod(corner)),
        knee=numbers[knee(found, logarithmic)] if found else None,
    )


def reference_costs(costs: Array, kinds: Sequence[Kind]) -> tuple[float, ...] | None:
    """The corner that the hypervolume is measured from: 1.1 times the worst cost among the finished references, in each objective.

    `costs` has shape [shapes, objectives]. References come first in a study, so the corner stands still while the search goes on and the
    hypervolume can only grow. Where no reference finished it is 1.1 times the worst of all shapes, and moves with them; None without
    shapes.
    """
    if not len(costs):
        return None
    chosen = np.array([kind is Kind.REFERENCE for kind in kinds])
    return tuple(map(float, np.max(costs[chosen] if chosen.any() else costs, axis=0) * REFERENCE_MARGIN))


def _points(
    records: Iterable[TrialRecord], finals: Mapping[int, FinalRecord], problem: Problem, known: Sequence[Known]
) -> Iterable[ObjectivePoint]:
    points = (_point(shape, finals.get(shape[0].number), problem, known) for shape in repetitions(records))
    return (point for point in points if point is not None)


class PointReader:
    """Reads the shapes of a study that grows: one whose records are the same objects as before is not read again."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self._read: dict[int, tuple[list[TrialRecord], ObjectivePoint | None]] = {}

    def points(self, records: Iterable[TrialRecord]) -> list[ObjectivePoint]:
        """The points that a front of these records has, in the order of their numbers."""
        found = [self._point(shape) for shape in repetitions(records)]
        return sorted((point for point in found if point is not None), key=lambda point: point.number)

    def _point(self, shape: list[TrialRecord]) -> ObjectivePoint | None:
        number = shape[0].number
        known = self._read.get(number)
        if known is None or len(known[0]) != len(shape) or any(old is not new for old, new in zip(known[0], shape, strict=True)):
            known = self._read[number] = (shape, _point(shape, None, self.problem))
        return known[1]


def _point(
    shape: Sequence[TrialRecord], final: FinalRecord | None, problem: Problem, known: Sequence[Known] = ("training",)
) -> ObjectivePoint | None:
    """Point of a shape's trials, its own first; None where one of the objectives is not known."""
    tried, mean = [Observed.of(record) for record in shape], Observed.of(mean_record(shape))
    last = Observed.of(shape[0], final) if final is not None and final.latency is not None else None
    readings = [_reading(objective, tried, mean, last) for objective in problem.objectives]
    if None in readings:
        return None
    return ObjectivePoint(
        number=shape[0].number,
        kind=shape[0].kind,
        readings=tuple(reading for reading in readings if reading is not None),
        latency=(tried[0] if last is None else last).latency,
        infeasible=problem.passed_limit(mean, *known),
    )


def _reading(objective: Objective, tried: Sequence[Observed], mean: Observed, last: Observed | None) -> ObjectiveReading | None:
    """Reading of a shape that was tried so often, its own trial first; None where that has no such number.

    `mean` has the means of its seeds, `last` what was measured after the search.
    """
    searched = objective.value(tried[0])
    if searched is None:
        return None
    after = objective.value(last) if last is not None and objective.noise == "measurement" else None
    counts = tried[0] if last is None or after is None else last
    seeds = objective.value(mean) if objective.noise == "seed" else None
    return ObjectiveReading(
        value=next(value for value in (seeds, after, searched) if value is not None),
        searched=searched,
        remeasured=after is not None,
        trials=tuple(value for seen in tried if (value := objective.value(seen)) is not None),
        spread=objective.spread(counts),
        repeats=counts.latency.repeats if counts.latency is not None else 1,
    )


def _costs(point: ObjectivePoint, problem: Problem) -> tuple[float, ...]:
    """Costs in the order of `problem.columns`, the one by which a front is listed first."""
    return tuple(problem.objectives[column].cost(point.values[column]) for column in problem.columns)


def _values(costs: Sequence[float], problem: Problem) -> tuple[float, ...]:
    """The reverse of `_costs`: values in the study's order."""
    by_place = dict(zip(problem.columns, costs, strict=True))
    return tuple(objective.cost(by_place[place]) for place, objective in enumerate(problem.objectives))
