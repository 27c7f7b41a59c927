"""Where a running study stands, kept up with each record: what it costs does not grow with the study."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from analysis.fronts.domination import non_dominated
from analysis.fronts.front import PointReader
from analysis.objectives.problem import Problem
from analysis.records.record import Outcome, TrialRecord
from analysis.text import words


@dataclass(frozen=True, slots=True)
class StudyProgress:
    """Where a running study stands."""

    done: int
    of: int
    failed: int
    """Number of the done trials that came to nothing."""
    stopped: int
    """Number of the done trials that were stopped early."""
    front_size: int
    seconds_left: float | None
    """Estimated from the trials of this run; None before the first is back."""

    def __str__(self) -> str:
        failed = f", {self.stopped} stopped early" if self.stopped else ""
        failed += f", {self.failed} failed" if self.failed else ""
        left = "" if self.seconds_left is None else f", about {words.duration(self.seconds_left)} left"
        return f"{self.done} of {self.of} trials{failed}, {self.front_size} on the front{left}"


class ProgressTally:
    """Counts a study's records as they come."""

    def __init__(self, records: Iterable[TrialRecord], problem: Problem) -> None:
        """`records` are those of an earlier run; the time of this one begins now."""
        self._objectives = problem.objectives
        self._done = self._failed = self._stopped = 0
        self._shapes: dict[int, list[TrialRecord]] = {}
        """The trial of each shape and its replicates, by the trial's number."""
        self._reader = PointReader(problem)
        self._costs: dict[int, tuple[float, ...]] = {}
        """Costs of the shapes that may stand on the front, by the trial's number."""
        self._front: dict[int, tuple[float, ...]] = {}
        """Costs of the shapes that no other beats, by the trial's number."""
        for record in records:
            self.add(record)
        self._begun, self._earlier = time.monotonic(), self._done

    def add(self, record: TrialRecord) -> None:
        """One more trial is done."""
        self._done += 1
        self._failed += record.failed
        self._stopped += record.outcome is Outcome.STOPPED
        number = record.number if record.replicates is None else record.replicates
        shape = self._shapes.setdefault(number, [])
        shape.append(record)
        self._costs.pop(number, None)
        for point in self._reader.points(shape):
            if point.infeasible is None:
                self._costs[number] = tuple(o.cost(value) for o, value in zip(self._objectives, point.values, strict=True))
        beside = self._costs if number in self._front else self._front  # what a member beat may come back where the member changes
        costs = beside | {number: self._costs[number]} if number in self._costs else beside
        self._front = {each: costs[each] for each in _front_of(costs)}

    def progress(self, of: int) -> StudyProgress:
        """Where the study stands that comes to so many trials."""
        done_here = self._done - self._earlier
        return StudyProgress(
            done=self._done,
            of=of,
            failed=self._failed,
            stopped=self._stopped,
            front_size=len(self._front),
            seconds_left=(time.monotonic() - self._begun) / done_here * max(0, of - self._done) if done_here else None,
        )


def _front_of(costs: Mapping[int, tuple[float, ...]]) -> list[int]:
    """Numbers of the trials whose costs no other's dominate."""
    numbers = list(costs)
    return [numbers[place] for place in non_dominated(list(costs.values()))]
