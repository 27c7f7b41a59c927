"""One driver's account of its run while it runs: what goes on, told to a display and kept in the directory once a second."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from analysis.records.stages import SEARCH
from analysis.records.training import CurvePoint
from analysis.text import words
from trials.machine.provenance import job, owner
from trials.progress.display import CHECK, Display
from trials.progress.stages import Stages
from trials.progress.standing import (
    MOST_IN_FILE,
    WAITING,
    RunningTrial,
    RunStanding,
    State,
    moment,
    seconds_of,
    shown_reason,
    write_standing,
)

if TYPE_CHECKING:
    from analysis.objectives.problem import Problem
    from analysis.records.attempt import Attempt
    from analysis.records.record import FinalRecord, TrialRecord
    from trials.progress.tally import ProgressTally
    from trials.trial.task import TrialTask

TICK_SECONDS = 0.25
AWAY = "the node that takes latencies, which is gone, to come back"
LONGEST_GOODBYE_SECONDS = 5.0
"""A thread that waits for an answer of a cluster that is gone is waited for no longer."""
LEAST_BETWEEN_WRITES, MOST_BETWEEN_WRITES = 1.0, 10.0
"""Seconds between two versions of the file: where something has changed, and where nothing has."""


@dataclass(frozen=True, slots=True)
class News:
    """What a trial says of itself on its way."""

    doing: str
    tokens: int | None = None
    planned_tokens: int | None = None
    curve: tuple[CurvePoint, ...] = ()
    """The newest points of its learning curve, oldest first."""
    held_seconds: float = 0.0
    """How long it was held up by its latency and by other measurements, which is no part of its deadline."""


Hear = Callable[[Collection[int]], Mapping[int, News]]
"""The newest that these trials said, by their numbers."""


class RunWatch:
    """What goes on in a run, for whoever looks on; nothing of the run depends on it."""

    def __init__(self, study: str = "", display: Display | None = None, say: Callable[[str], None] | None = None) -> None:
        """`study` is its name, or its file's before it is read; `say` is given the line on where the start's time went."""
        self.stages = Stages(say)
        self._display = display or Display()
        self._directory: Path | None = None
        self._tally: ProgressTally | None = None
        self._hear: Hear | None = None
        self._lock, self._writing, self._over = threading.RLock(), threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None
        self._unmeasured: set[int] = set()
        self._is_away = False
        self._is_full: Callable[[], bool] = lambda: False
        self._heard_at = self._written_at = 0.0
        self._written: RunStanding | None = None
        now = moment(time.time())
        self._standing = RunStanding(
            study=study, pid=os.getpid(), host=socket.gethostname(), begun_at=now, written_at=now, state=State.RUNNING,
            stage=CHECK, waits_for="the study to be read and checked", stage_since=now, owner=owner(), job=job(),
        )  # fmt: skip

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._tick_on, name="progress", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """The last word of the file: how it ended."""
        self._over.set()
        if self._thread is not None:
            self._thread.join(LONGEST_GOODBYE_SECONDS)
        with self._lock:
            if self._standing.state is State.RUNNING:
                state = State.FINISHED if error is None else State.INTERRUPTED if isinstance(error, KeyboardInterrupt) else State.FAILED
                self._set(state=state, reason=shown_reason(str(error)) if state is State.FAILED else None)
            self._set(running=(), left=None, waits_for="nothing")
        self._write()
        with suppress(Exception):
            self._display.close(self.standing)

    @property
    def standing(self) -> RunStanding:
        """Where the study stands now."""
        with self._lock:
            return self._standing

    def open(self, directory: Path, study: str) -> None:
        """The directory is this driver's: from now on its file is written."""
        with self._lock:
            self._directory = directory
            self._set(study=study)
        self._write()

    def begin(self, stage: str, waits_for: str) -> None:
        """The run goes on to something else, and waits for that."""
        with self._lock:
            self._set(stage=stage, waits_for=waits_for, stage_since=moment(time.time()), left=None)
            with suppress(Exception):  # whoever looks on, or no more does, never ends what he looks at
                self._display.stage_began(self._standing)

    def count(self, records: Iterable[TrialRecord], problem: Problem, of: int, workers: int = 1) -> None:
        """The study comes to so many trials, of which earlier runs have made these."""
        from trials.progress.tally import ProgressTally  # numpy

        with self._lock:
            self._tally = ProgressTally(records, problem, workers)
            self._set(**self._tally.fields(), of=of)

    def begin_search(
        self, records: Iterable[TrialRecord], problem: Problem, of: int, workers: int, is_full: Callable[[], bool] = lambda: False
    ) -> None:
        """Trials are about to be handed out, so many in all, to so many workers; `records` are those that are there.

        `is_full` says whether as many are trained ahead of the latency device as may be.
        """
        self._is_full = is_full
        self.count(records, problem, of, workers)
        self.begin("workers", f"{words.plural(workers, 'worker')} to start and import what trains")

    @contextmanager
    def hearing(self, hear: Hear) -> Iterator[None]:
        """Ask running trials, inside, how far they are."""
        self._hear = hear
        try:
            yield
        finally:
            with self._lock:
                self._hear = None
                self._set(running=())

    def started(self, task: TrialTask) -> None:
        """A trial is on a worker."""
        with suppress(Exception):
            self.stages.ready()
        trial = RunningTrial(
            number=task.number, shape=task.architecture.label, name=task.name, doing=None, tokens=None, planned_tokens=None,
            started_at=moment(time.time()),
        )  # fmt: skip
        with self._lock:
            is_first = self._standing.stage != SEARCH
            self._set(running=(*self._others(task.number), trial))
            self._wait_for_trials()
        if is_first:
            self.begin(SEARCH, self.standing.waits_for)

    def lost(self, task: TrialTask, attempt: Attempt) -> None:
        """A trial's worker is gone, and it will be handed out again."""
        with self._lock:
            self._set(running=self._others(task.number), again=self._standing.again + 1)
            self._wait_for_trials()
            with suppress(Exception):
                self._display.trial_lost(self._standing, task.architecture.label, attempt)

    def set_aside(self, record: TrialRecord) -> None:
        """A trial is trained, and still to be measured."""
        with self._lock:
            self._unmeasured.add(record.number)
            self._set(running=self._others(record.number), unmeasured=len(self._unmeasured))
            self._wait_for_trials()
            with suppress(Exception):
                self._display.trial_unmeasured(self._standing, record)

    def device_is_away(self, is_away: bool) -> None:
        """The latency device is gone, and trials that are trained wait for it; or it is back."""
        with self._lock:
            self._is_away = is_away
            self._wait_for_trials()

    def given_back(self) -> None:
        """Whatever ran runs no more, and will be handed out again."""
        with self._lock:
            self._set(running=())
            self._wait_for_trials()

    def recorded(self, record: TrialRecord, of: int) -> None:
        """A trial has its record; the study comes to so many trials."""
        with self._lock:
            if self._tally is None:
                return
            self._tally.add(record)
            self._unmeasured.discard(record.number)
            self._set(**self._tally.fields(), of=of, running=self._others(record.number), unmeasured=len(self._unmeasured))
            self._estimate()
            self._wait_for_trials()
            with suppress(Exception):
                self._display.trial_ended(self._standing, record)

    def measured_again(self, finals: Mapping[int, FinalRecord]) -> None:
        """Members of the front were measured again after the search: from here on the front is that of the report."""
        with self._lock:
            if self._tally is not None:
                self._tally.measured_again(finals)
                self._set(**self._tally.fields())

    def failed(self, reason: str) -> None:
        """The study as a whole came to nothing."""
        with self._lock:
            self._set(state=State.FAILED, reason=shown_reason(reason))

    def _others(self, number: int) -> tuple[RunningTrial, ...]:
        return tuple(trial for trial in self._standing.running if trial.number != number)

    def _wait_for_trials(self) -> None:
        running, unmeasured = self._standing.running_count, len(self._unmeasured)
        trained = f"{words.plural(unmeasured, 'trained trial')} to be measured"
        if unmeasured and not running:
            no_other = ", and no other begins before, for as many may be ahead of it" if self._is_full() else ""
            waits_for = f"{AWAY}: {trained}{no_other}" if self._is_away else trained
        elif self._is_away or any(trial.doing == WAITING for trial in self._standing.running):
            waits_for = f"{AWAY}; trainings go on{f', and {trained} then' if unmeasured else ''}"
        else:
            waits_for = f"{words.plural(running, 'trial')} to end" if running else "the next trial to be chosen and to begin"
        self._set(waits_for=waits_for)

    def _set(self, **fields: Any) -> None:
        if "running" in fields:
            fields["running_count"] = len(fields["running"])
        self._standing = replace(self._standing, **fields)

    def _estimate(self) -> None:
        if self._tally is not None and self._standing.of is not None and self._standing.stage == SEARCH:
            now = time.time()
            running = [max(0.0, now - seconds_of(trial.started_at)) for trial in self._standing.running]
            self._set(left=self._tally.left(self._standing.of, running))

    def _tick_on(self) -> None:
        while not self._over.wait(TICK_SECONDS):
            self._tick()

    def _tick(self) -> None:
        now = time.monotonic()
        with suppress(Exception):  # each on its own: where nothing is heard or seen, the file is written
            self._listen(now)
        if self._over.is_set():
            return
        with self._lock:
            with suppress(Exception):
                self._estimate()
            with suppress(Exception):
                self._display.tick(self._standing)
            since = now - self._written_at
            is_due = since >= MOST_BETWEEN_WRITES or (since >= LEAST_BETWEEN_WRITES and self._is_news())
        if is_due:
            self._write()

    def _listen(self, now: float) -> None:
        hear, running = self._hear, self.standing.running
        if hear is not None and running and now - self._heard_at >= LEAST_BETWEEN_WRITES:
            self._heard_at = now
            said = hear([trial.number for trial in running[:MOST_IN_FILE]])
            with self._lock:
                self._set(running=tuple(_told(trial, said.get(trial.number)) for trial in self._standing.running))
                self._wait_for_trials()

    def _is_news(self) -> bool:
        return self._written is None or replace(self._written, left=None, written_at="") != replace(
            self._standing, left=None, written_at=""
        )

    def _write(self) -> None:
        with self._writing:  # a process has one draft of the file, and what is newer comes later
            with self._lock:
                self._set(written_at=moment(time.time()))
                self._written_at, self._written = time.monotonic(), self._standing
                written, directory = self._standing, self._directory
            if directory is not None:
                with suppress(Exception):  # a full disk ends a study where its records are written
                    write_standing(directory, replace(written, running=written.running[:MOST_IN_FILE]))


def _told(trial: RunningTrial, news: News | None) -> RunningTrial:
    return trial if news is None else replace(trial, doing=news.doing, tokens=news.tokens, planned_tokens=news.planned_tokens)
