"""A running study counted with each record: what it costs does not grow with the study."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from analysis.fronts.domination import non_dominated
from analysis.fronts.front import ObjectivePoint, PointReader, front_of
from analysis.objectives.problem import Problem
from analysis.records.record import FinalRecord, Outcome, TrialRecord
from trials.progress.standing import MOST_IN_FILE, Failure, FrontMember, TimeLeft, shown_reason


class ProgressTally:
    """Counts a study's records as they come."""

    def __init__(self, records: Iterable[TrialRecord], problem: Problem, workers: int = 1) -> None:
        """`records` are those of an earlier run; those that are added later tell how long a trial takes on one of the `workers`."""
        self._objectives, self._columns, self._workers = problem.objectives, problem.columns, workers
        self._done = self._failed = self._stopped = 0
        self._failures: deque[Failure] = deque(maxlen=MOST_IN_FILE)
        self._shapes: dict[int, list[TrialRecord]] = {}
        """The trial of each shape and its replicates, by the trial's number."""
        self._reader = PointReader(problem)
        self._costs: dict[int, tuple[float, ...]] = {}
        """Costs of the shapes that may stand on the front, by the trial's number."""
        self._front: dict[int, tuple[float, ...]] = {}
        """Costs of the shapes that no other beats, by the trial's number."""
        self._timed, self._mean_seconds, self._squares = 0, 0.0, 0.0
        """Trials of this run, the mean of their seconds, and the sum of squares about it (Welford, Technometrics 4, 1962)."""
        for record in records:
            self._count(record)

    def add(self, record: TrialRecord) -> None:
        """One more trial of this run is done."""
        self._count(record)
        if record.training is not None and record.training.reused_from is not None:
            return  # a training that was taken over says nothing of how long one takes
        self._timed += 1
        off = record.wall_seconds - self._mean_seconds
        self._mean_seconds += off / self._timed
        self._squares += off * (record.wall_seconds - self._mean_seconds)

    def _count(self, record: TrialRecord) -> None:
        self._done += 1
        self._failed += record.failed
        self._stopped += record.outcome is Outcome.STOPPED
        if record.failed:
            reason = None if record.reason is None else shown_reason(record.reason)
            label = record.architecture.label
            self._failures.append(Failure(number=record.number, shape=label, outcome=str(record.outcome), reason=reason))
        number = record.number if record.replicates is None else record.replicates
        shape = self._shapes.setdefault(number, [])
        shape.append(record)
        self._costs.pop(number, None)
        for point in self._reader.points(shape):
            if point.infeasible is None:
                self._costs[number] = self._costs_of(point)
        beside = self._costs if number in self._front else self._front  # what a member beat may come back where the member changes
        costs = beside | {number: self._costs[number]} if number in self._costs else beside
        self._front = {each: costs[each] for each in _front_of(costs)}

    def measured_again(self, finals: Mapping[int, FinalRecord]) -> None:
        """Have the front as a report has it, by what was measured after the search."""
        problem = self._reader.problem
        front = front_of((record for shape in self._shapes.values() for record in shape), finals, problem)
        self._front = {number: self._costs_of(front.points[number]) for number in front.members}

    def _costs_of(self, point: ObjectivePoint) -> tuple[float, ...]:
        return tuple(objective.cost(value) for objective, value in zip(self._objectives, point.values, strict=True))

    def fields(self) -> dict[str, Any]:
        """Fields of a `RunStanding` that the records tell."""
        known = {
            number: {self._objectives[place].name: self._objectives[place].cost(costs[place]) for place in self._columns}
            for number, costs in self._front.items()
        }
        listed = sorted(known, key=lambda number: self._front[number][self._columns[0]])[:MOST_IN_FILE]
        return {
            "done": self._done,
            "finished": self._done - self._failed - self._stopped,
            "failed": self._failed,
            "stopped": self._stopped,
            "failures": tuple(self._failures),
            "front_size": len(self._front),
            "front": tuple(
                FrontMember(number=number, shape=self._shapes[number][0].architecture.label, values=known[number]) for number in listed
            ),
        }

    def left(self, of: int, running_seconds: Iterable[float] = ()) -> TimeLeft | None:
        """Time until so many trials are done, from the trials of this run; None before the first is back, and where none is to come.

        The trials to come are taken for draws from the population that those of this run were drawn from, and `running_seconds`, how long
        the running ones have run, for time that they need no more. The interval is Student's for a sum of further draws, which counts the
        doubt in the mean as well (Geisser, Predictive Inference, 1993, section 2.2.1); it needs two trials.
        """
        to_come, known, mean = max(0, of - self._done), self._timed, self._mean_seconds
        if not to_come or not known:
            return None
        busy = min(self._workers, to_come)
        spent = sum(min(each, mean) for each in running_seconds)
        expected = max(0.0, to_come * mean - spent) / busy
        if known < 2:
            return TimeLeft(seconds=expected, low=None, high=None)
        from scipy.special import stdtrit

        deviation = (self._squares / (known - 1) * (to_come + to_come**2 / known)) ** 0.5
        either_way = float(stdtrit(known - 1, 0.95)) * deviation / busy
        return TimeLeft(seconds=expected, low=max(0.0, expected - either_way), high=expected + either_way)


def _front_of(costs: Mapping[int, tuple[float, ...]]) -> list[int]:
    """Numbers of the trials whose costs no other's dominate."""
    numbers = list(costs)
    return [numbers[place] for place in non_dominated(list(costs.values()))]
