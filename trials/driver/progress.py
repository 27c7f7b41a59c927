"""Where a running study stands, kept up with each record: what it costs does not grow with the study."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from analysis.fronts.domination import non_dominated
from analysis.fronts.front import front_of
from analysis.objectives.problem import Problem
from analysis.records.record import Outcome, TrialRecord


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
        left = "" if self.seconds_left is None else f", about {self.seconds_left // 60:.0f}m {self.seconds_left % 60:02.0f}s left"
        return f"{self.done} of {self.of} trials{failed}, {self.front_size} on the front{left}"


class ProgressTally:
    """Counts a study's records as they come."""

    def __init__(self, records: Iterable[TrialRecord], problem: Problem) -> None:
        """`records` are those of an earlier run; the time of this one begins now."""
        self._problem = problem
        self._done = self._failed = self._stopped = 0
        self._shapes: dict[int, list[TrialRecord]] = {}
        """The trial of each shape and its replicates, by the trial's number."""
        self._costs: dict[int, tuple[float, ...]] = {}
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
        alone = front_of(shape, problem=self._problem)
        self._costs.pop(number, None)
        if alone.members:
            self._costs[number] = alone.costs(number)

    def progress(self, of: int) -> StudyProgress:
        """Where the study stands that comes to so many trials."""
        done_here = self._done - self._earlier
        return StudyProgress(
            done=self._done,
            of=of,
            failed=self._failed,
            stopped=self._stopped,
            front_size=len(non_dominated(list(self._costs.values()))),
            seconds_left=(time.monotonic() - self._begun) / done_here * max(0, of - self._done) if done_here else None,
        )
