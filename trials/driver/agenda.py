"""What a study tries, in which order, and from how much knowledge; no Ray."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING

from analysis.fronts.front import front_of
from analysis.fronts.membership import contenders, estimate_membership
from analysis.objectives.problem import STANDARD, Problem
from analysis.records.record import Kind, TrialRecord
from search_space.architecture import Architecture
from trials.study.spec import StudySpec
from trials.trial.task import TrialTask, plain

if TYPE_CHECKING:
    from trials.search.proposer import Proposer  # Optuna and SciPy, which are imported beside Ray's start

HOPELESS = 5
"""A study whose first so many trials all fail, with none that finished, stops and says why."""


class NoTask(Enum):
    """What `Agenda.next` says where it has no task."""

    WAIT = "wait"
    """A record is needed first."""
    END = "end"
    """There is nothing left to try."""


class Agenda:
    """References first, then proposals, then replicates of contenders, each chosen in sight of a fixed part of the records; or a plan.

    Proposal k knows the records up to number k - lag and takes the trials after that for pending, whether or not they are back. So
    neither the order in which trials end nor an interruption changes what is tried. `lag` is twice the workers, so that a slow trial
    does not hold up the others at once. The first replicate waits for every shape's record. A study that is continued with more
    trials tries them after the replicates that it has.
    """

    def __init__(
        self,
        study: StudySpec,
        references: Sequence[tuple[str, Architecture]],
        records: Iterable[TrialRecord],
        proposer: Callable[[], Proposer],
        planned: Sequence[TrialTask] = (),
    ) -> None:
        """`records` are those of an interrupted run; `proposer` is called once, when the first proposal is due.

        `planned` are the tasks of a study that proposes nothing.
        """
        self.records = {record.number: record for record in records}
        self._search, self.problem = study.search, study.problem
        self._given = [*planned, *(_reference(number, *named, study.search.seed) for number, named in enumerate(references))]
        self._lag = 2 * study.search.workers
        self._shapes = len(self._given) + study.search.trials
        self._replicates = study.search.replicates_of(study.search.trials)
        self._make_proposer = proposer
        self._proposer: Proposer | None = None
        self._tasks: list[TrialTask] = []
        self._again: list[TrialTask] = []
        self._failed: list[TrialRecord] = []
        self.stopped: dict[int, str] = {}
        """Trials that stop where they are, and why; their records are not back yet."""
        self.interrupted = False
        """Set by Ctrl-C: nothing more is handed out."""

    @property
    def count(self) -> int:
        """How many trials the study comes to; fewer than asked for once the space turned out to hold no more shapes."""
        return max(self._shapes + self._replicates, len(self._tasks))

    @property
    def finished(self) -> bool:
        """Whether every trial has its record."""
        given = {task.number for task in self._given}
        return given <= self.records.keys() and all(number in self.records for number in range(len(given), self.count))

    @property
    def in_flight(self) -> int:
        """Tasks handed out whose records are not back."""
        return sum(task.number not in self.records for task in self._tasks) - len(self._again)

    @property
    def hopeless(self) -> bool:
        """Whether everything that this run tried failed, and there is no finished trial from an earlier one."""
        return len(self._failed) >= HOPELESS and not any(record.finished for record in self.records.values())

    def add(self, record: TrialRecord) -> None:
        """A trial is back."""
        self.records[record.number] = record
        if record.failed:
            self._failed.append(record)

    def known_to(self, number: int) -> list[TrialRecord]:
        """The records that a sampled trial's proposal knew, in their order: all that may decide what becomes of it."""
        return [self.records[earlier] for earlier in range(self._seen_by(number)) if earlier in self.records]

    def leave_out(self, numbers: Container[int]) -> None:
        """Hand out none of these planned tasks; those that have a record stay. To be called before any task is handed out."""
        self._given = [task for task in self._given if task.number not in numbers or task.number in self.records]
        self._shapes = len(self._given) + self._search.trials

    def give_back(self) -> None:
        """Nobody works any more: hand out again what has no record."""
        self._again = [task for task in self._tasks if task.number not in self.records]

    def next(self) -> TrialTask | NoTask:
        """The next task that has no record yet."""
        if self.interrupted:
            return NoTask.END
        if self._again:
            return self._again.pop(0)
        while True:
            number = len(self._tasks)
            if number >= self.count or self.hopeless:
                return NoTask.END
            if number < len(self._given):
                self._tasks.append(self._given[number])
                if self._tasks[-1].number in self.records:
                    continue
                return self._tasks[-1]
            if number in self.records:
                self._tasks.append(TrialTask.of(self.records[number]))
                continue
            task = self._task(number)
            if isinstance(task, TrialTask):
                self._tasks.append(task)
            if task is not NoTask.END:
                return task

    def _task(self, number: int) -> TrialTask | NoTask:
        """The task of that number; END where there are no more of its kind, which lowers `count`."""
        shapes = [task.number for task in self._tasks if task.replicates is None]
        return self._sampled(number) if len(shapes) < self._shapes else self._replicate(number, shapes[-1] + 1)

    def _sampled(self, number: int) -> TrialTask | NoTask:
        seen = self._seen_by(number)
        if not self._knows(seen):
            return NoTask.WAIT
        if self._proposer is None:
            self._proposer = self._make_proposer()
        proposal = self._proposer.propose(number, [self.records[earlier] for earlier in range(seen)], self._tasks[seen:])
        if proposal is None:
            self._shapes = sum(task.replicates is None for task in self._tasks)
            self._replicates = self._search.replicates_of(self._shapes - len(self._given))
            return NoTask.END
        point, shape = proposal
        return TrialTask(number=number, kind=Kind.SAMPLED, point=plain(point), architecture=shape, seed=self._search.seed)

    def _replicate(self, number: int, after_shapes: int) -> TrialTask | NoTask:
        seen = max(after_shapes, number - self._lag + 1)
        if not self._knows(seen):
            return NoTask.WAIT
        original = contender([self.records[earlier] for earlier in range(seen)], self._tasks[seen:], self.problem)
        if original is None:
            self._replicates = sum(task.replicates is not None for task in self._tasks)
            return NoTask.END
        earlier = sum(task.replicates == original for task in self._tasks)
        task, seed = TrialTask.of(self.records[original]), self._search.seed + 1 + earlier
        return replace(task, number=number, kind=Kind.REPLICATE, name=None, replicates=original, seed=seed)

    def _seen_by(self, number: int) -> int:
        return max(0, number - self._lag + 1)

    def _knows(self, seen: int) -> bool:
        return all(earlier in self.records for earlier in range(seen))


def _reference(number: int, name: str, shape: Architecture, seed: int) -> TrialTask:
    return TrialTask(number=number, kind=Kind.REFERENCE, name=name, architecture=shape, seed=seed)


def contender(records: Sequence[TrialRecord], pending: Sequence[TrialTask], problem: Problem = STANDARD) -> int | None:
    """The trial whose repetition says most about the front: whether it is on it is the least sure; None where nothing finished."""
    membership = estimate_membership(front_of(records, problem=problem))
    told_nothing = [*pending, *(TrialTask.of(record) for record in records if not record.finished)]
    tries = Counter(task.replicates for task in told_nothing if task.replicates is not None)
    return next(iter(contenders({number: standing.on_front for number, standing in membership.posteriors.items()}, tries)), None)
