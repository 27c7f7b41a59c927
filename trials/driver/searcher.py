"""The agenda as Ray Tune wants it: a searcher that hands out tasks, and a callback that takes back records."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray.tune import Callback
from ray.tune.search import Searcher

from analysis.front import front_of
from analysis.record import TrialRecord, append
from search_space.errors import WorkError
from trials.driver.agenda import Agenda, Answer
from trials.driver.directory import weights_file, write_whole
from trials.driver.workers import explain_loss
from trials.study import StudySpec
from trials.task import Start, TrialTask, count_costs, record_of

if TYPE_CHECKING:
    from trials.tracking import Tracker


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a running study stands."""

    done: int
    of: int
    failed: int
    """Of those done, trials that did not finish."""
    front_size: int
    seconds_left: float | None
    """Estimated from the trials of this run; None before the first is back."""

    def __str__(self) -> str:
        failed = f", {self.failed} failed" if self.failed else ""
        left = "" if self.seconds_left is None else f", about {self.seconds_left // 60:.0f}m {self.seconds_left % 60:02.0f}s left"
        return f"{self.done} of {self.of} trials{failed}, {self.front_size} on the front{left}"


class AgendaSearcher(Searcher):  # type: ignore[misc]
    """Hands out the agenda's tasks to at most so many workers.

    Ray's own `OptunaSearch` is not used because it leaves a trial that reports NaN running for ever, cannot pickle a space that is a
    closure, and tells trials that were stopped early as complete (Ray 2.60). Nothing is told here: `Scribe` writes the records
    and gives them to the agenda.
    """

    def __init__(self, agenda: Agenda, workers: int) -> None:
        super().__init__()
        self._agenda, self._workers = agenda, workers

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next task as a trial's config; None for not yet."""
        if self._agenda.in_flight >= self._workers and not self._agenda.hopeless:
            return None
        task = self._agenda.next()
        if isinstance(task, TrialTask):
            return {"task": task}
        return None if task is Answer.WAIT else Searcher.FINISHED

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tune insists on this."""

    def save(self, checkpoint_path: str) -> None:
        """The records are the only state."""

    def restore(self, checkpoint_path: str) -> None:
        """The records are the only state."""


class Scribe(Callback):  # type: ignore[misc]
    """The one writer: weights, then the record that vouches for them, then everybody who wants to know."""

    def __init__(
        self, study: StudySpec, directory: Path, agenda: Agenda, tracker: Tracker, progress: Callable[[Progress], None] | None
    ) -> None:
        self._study, self._directory, self._agenda, self._tracker, self._progress = study, directory, agenda, tracker, progress
        self._starts: dict[str, Start] = {}
        self._begun, self._earlier = time.monotonic(), len(agenda.records)
        self.complaint: WorkError | None = None
        """Why writing failed; Tune makes a long trace of whatever is raised here."""

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Remember when, in case that its worker cannot say."""
        self._starts[trial.trial_id] = Start.now()

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any) -> None:
        """Keep what came back; Tune need not hold on to it."""
        self._keep(result.pop("record"), result.pop("weights"))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Nothing came back: say what is known."""
        study, task, start = self._study, trial.config["task"], self._starts.get(trial.trial_id, Start.now())
        outcome, reason = explain_loss(trial.get_pickled_error(), start.elapsed_seconds, study.search.deadline_seconds)
        costs = count_costs(task.architecture, study.objectives.latency, study.proxy)
        self._keep(record_of(task, outcome, reason, costs, start), None)

    def _keep(self, record: TrialRecord, weights: bytes | None) -> None:
        try:
            if weights is not None:
                write_whole(weights_file(self._directory, record.number), weights)
            append(self._directory, record)
        except OSError as error:
            self.complaint = WorkError(
                f"{self._directory} cannot be written any more ({error.strerror}); make room and run the same command again, "
                f"which repeats only what is not recorded"
            )
            raise self.complaint from None
        self._agenda.add(record)
        self._tracker.record(record)
        if self._progress is not None:
            self._progress(self._standing())

    def _standing(self) -> Progress:
        records, done_here = self._agenda.records, len(self._agenda.records) - self._earlier
        left = max(0, self._agenda.count - len(records))
        return Progress(
            done=len(records),
            of=self._agenda.count,
            failed=sum(not record.finished for record in records.values()),
            front_size=len(front_of(records.values()).members),
            seconds_left=(time.monotonic() - self._begun) / done_here * left if done_here else None,
        )
