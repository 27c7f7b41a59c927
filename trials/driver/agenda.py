"""What a study tries, in which order, and from how much knowledge; no Ray."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING

from analysis.fronts.front import PointReader
from analysis.fronts.membership import contenders, membership_probabilities
from analysis.objectives.problem import STANDARD
from analysis.records.record import Kind, Outcome, TrialRecord
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
    does not hold up the others at once; where the latency device is away, no more than `lag` trials are trained ahead of it. The first
    replicate waits for every shape's record. A study that is continued with more trials tries them after the replicates that it has.
    """

    def __init__(
        self,
        study: StudySpec,
        references: Sequence[tuple[str, Architecture]],
        records: Iterable[TrialRecord],
        proposer: Callable[[], Proposer],
        planned: Sequence[TrialTask] = (),
        left_out: Container[int] = (),
        unmeasured: Mapping[int, TrialRecord] = {},
    ) -> None:
        """`records` are those of an interrupted run, of which those that were lost are tried again; `proposer` is called once, when the
        first proposal is due.

        `planned` are the tasks of a study that proposes nothing; those `left_out` are not handed out, unless they have a record. Trials
        that an earlier run trained and left `unmeasured` are known by their records without a latency.
        """
        self.records: dict[int, TrialRecord] = {}
        self._search, self.problem = study.search, study.problem
        self._reader = PointReader(study.problem)
        self._ordered: list[TrialRecord] = []
        """The records of the first numbers, up to the first that has none."""
        self._is_any_finished = False
        self.lost: dict[int, TrialRecord] = {}
        """Records of an earlier run of trials that infrastructure ended, and that have no newer one yet."""
        for record in records:
            if record.outcome is Outcome.LOST:
                self.lost[record.number] = record
            else:
                self._keep(record)
        kept = [task for task in planned if task.number not in left_out or task.number in self.records | self.lost]
        self._given = [*kept, *(_reference(number, *named, study.search.seed) for number, named in enumerate(references))]
        self._missing_given = {task.number for task in self._given} - self.records.keys()
        self._lag = 2 * study.workers.count
        self._wanted_shapes = len(self._given) + study.search.trials
        self._wanted_replicates = study.search.replicates_of(study.search.trials)
        self._make_proposer = proposer
        self._proposer: Proposer | None = None
        self._tasks: list[TrialTask] = []
        self._last_shape = -1
        self._replicates: Counter[int] = Counter()
        """Number of replicates of each shape that were handed out."""
        self._running: dict[int, TrialTask] = {}
        self._again: list[TrialTask] = []
        self._trained = {number: record for number, record in unmeasured.items() if number not in self.records}
        self._unmeasured: dict[int, TrialTask] = {}
        """Tasks of trials that are trained and wait to be measured."""
        self._failed = 0
        self.interrupted = False
        """Whether nothing more is handed out, after Ctrl-C."""

    @property
    def count(self) -> int:
        """How many trials the study comes to; fewer than asked for once the space turned out to hold no more shapes."""
        return max(self._wanted_shapes + self._wanted_replicates, len(self._tasks))

    @property
    def finished(self) -> bool:
        """Whether every trial has its record."""
        return not self._missing_given and max(len(self._given), len(self._ordered)) >= self.count

    @property
    def in_flight(self) -> int:
        """Tasks handed out whose records are not back."""
        return len(self._running)

    @property
    def waits_for_device(self) -> bool:
        """Whether as many trials wait to be measured, or will, as may lag: no other begins before."""
        return bool(self._unmeasured) and len(self._unmeasured) + len(self._running) >= self._lag

    @property
    def hopeless(self) -> bool:
        """Whether everything that this run tried failed, and there is no finished trial from an earlier one."""
        return self._failed >= HOPELESS and not self._is_any_finished

    def add(self, record: TrialRecord) -> None:
        """A trial is back."""
        self._keep(record)
        self.lost.pop(record.number, None)
        self._missing_given.discard(record.number)
        self._running.pop(record.number, None)
        self._unmeasured.pop(record.number, None)
        self._failed += record.failed

    def known_to(self, number: int) -> list[TrialRecord]:
        """The records that a sampled trial's proposal knew, in their order: all that may decide what becomes of it."""
        return self._ordered[: self._seen_by(number)]

    def knows_enough_of(self, number: int) -> bool:
        """Whether all those records are there; where some of an earlier run were lost, a trial may be back before them."""
        return len(self._ordered) >= self._seen_by(number)

    def give_back(self) -> None:
        """Nobody works any more: hand out again what has no record."""
        self._again = [*self._running.values(), *self._again]
        self._running.clear()

    def try_again(self, number: int) -> None:
        """A running trial came to no end, through no fault of its own: hand it out before what has not begun."""
        self._again.append(self._running.pop(number))

    def set_aside(self, number: int) -> None:
        """A running trial is trained, and has its record once it is measured; nobody works on it until then."""
        self._unmeasured[number] = self._running.pop(number)

    def interrupt(self) -> None:
        """Hand out nothing more."""
        self.interrupted = True

    def next(self) -> TrialTask | NoTask:
        """The next task that has no record yet."""
        if self.interrupted:
            return NoTask.END
        if self.waits_for_device and not self._again:  # which are not ahead, and may be what others wait for
            return NoTask.WAIT
        task = self._again.pop(0) if self._again else self._first_without_record()
        if isinstance(task, TrialTask):
            self._running[task.number] = task
        elif (self._running or self._unmeasured) and not self.hopeless:
            return NoTask.WAIT  # one of them may have to be handed out again, or the end of the study waits for it
        return task

    def _first_without_record(self) -> TrialTask | NoTask:
        while True:
            number = len(self._tasks)
            if number >= self.count or self.hopeless:
                return NoTask.END
            if number < len(self._given):
                task: TrialTask | NoTask = self._given[number]
            elif number in self._trained:
                task = TrialTask.of(self._trained[number])
            elif number in self.records or number in self.lost:
                task = TrialTask.of((self.records if number in self.records else self.lost)[number])
            else:
                task = self._chosen(number)
            if isinstance(task, TrialTask):
                self._note(task)
                if task.number not in self.records | self._trained:
                    return task
                if task.number not in self.records:
                    self._unmeasured[task.number] = task
            elif task is NoTask.WAIT:
                return task

    def _chosen(self, number: int) -> TrialTask | NoTask:
        """The task of that number; END where there are no more of its kind, which lowers `count`."""
        shapes = len(self._tasks) - self._replicates.total()
        return self._sampled(number) if shapes < self._wanted_shapes else self._replicate(number)

    def _sampled(self, number: int) -> TrialTask | NoTask:
        seen = self._seen_by(number)
        if seen > len(self._ordered):
            return NoTask.WAIT
        if self._proposer is None:
            self._proposer = self._make_proposer()
        proposal = self._proposer.propose(number, self._ordered[:seen], self._tasks[seen:])
        if proposal is None:
            self._wanted_shapes = len(self._tasks) - self._replicates.total()
            self._wanted_replicates = self._search.replicates_of(self._wanted_shapes - len(self._given))
            return NoTask.END
        point, shape = proposal
        return TrialTask(number=number, kind=Kind.SAMPLED, point=plain(point), architecture=shape, seed=self._search.seed)

    def _replicate(self, number: int) -> TrialTask | NoTask:
        seen = max(self._last_shape + 1, number - self._lag + 1)
        if seen > len(self._ordered):
            return NoTask.WAIT
        original = contender(self._ordered[:seen], self._tasks[seen:], self._reader)
        if original is None:
            self._wanted_replicates = self._replicates.total()
            return NoTask.END
        task, seed = TrialTask.of(self.records[original]), self._search.seed + 1 + self._replicates[original]
        return replace(task, number=number, kind=Kind.REPLICATE, name=None, replicates=original, seed=seed)

    def _note(self, task: TrialTask) -> None:
        """Counts a task as the next of those that were handed out, or that an earlier run did."""
        self._tasks.append(task)
        if task.replicates is None:
            self._last_shape = task.number
        else:
            self._replicates[task.replicates] += 1

    def _keep(self, record: TrialRecord) -> None:
        self.records[record.number] = record
        self._is_any_finished |= record.finished
        while len(self._ordered) in self.records:
            self._ordered.append(self.records[len(self._ordered)])

    def _seen_by(self, number: int) -> int:
        return max(0, number - self._lag + 1)


def _reference(number: int, name: str, shape: Architecture, seed: int) -> TrialTask:
    return TrialTask(number=number, kind=Kind.REFERENCE, name=name, architecture=shape, seed=seed)


def contender(records: Sequence[TrialRecord], pending: Sequence[TrialTask], reader: PointReader | None = None) -> int | None:
    """The trial whose repetition says most about the front: whether it is on it is the least sure; None where nothing finished.

    `reader` keeps what it read of earlier calls and has the problem; by default it is the usual one.
    """
    reader = reader or PointReader(STANDARD)
    on_front = membership_probabilities(reader.points(records), reader.problem)
    told_nothing = [*pending, *(TrialTask.of(record) for record in records if not record.finished)]
    tries = Counter(task.replicates for task in told_nothing if task.replicates is not None)
    return next(iter(contenders(on_front, tries)), None)
