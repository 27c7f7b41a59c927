"""The agenda as Ray Tune wants it: a searcher that hands out tasks, and a callback that takes back records."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayError
from ray.tune import Callback
from ray.tune.search import Searcher

from analysis.fronts.front import front_of
from analysis.records.files import write_whole
from analysis.records.record import Outcome, TrialRecord, append
from search_space.errors import WorkError
from trials.driver.agenda import Agenda, NoTask
from trials.driver.workers import explain_loss
from trials.study.directory import checkpoint_file, weights_file
from trials.study.spec import StudySpec
from trials.trial.reuse import Reuse
from trials.trial.task import Start, TrialTask, count_costs, record_of

if TYPE_CHECKING:
    from trials.reporting.mlflow_tracker import Tracker


@dataclass(frozen=True, slots=True)
class StudyProgress:
    """Where a running study stands."""

    done: int
    of: int
    failed: int
    """Of those done, trials that came to nothing."""
    stopped: int
    """Of those done, trials that were stopped early."""
    front_size: int
    seconds_left: float | None
    """Estimated from the trials of this run; None before the first is back."""

    def __str__(self) -> str:
        failed = f", {self.stopped} stopped early" if self.stopped else ""
        failed += f", {self.failed} failed" if self.failed else ""
        left = "" if self.seconds_left is None else f", about {self.seconds_left // 60:.0f}m {self.seconds_left % 60:02.0f}s left"
        return f"{self.done} of {self.of} trials{failed}, {self.front_size} on the front{left}"


class AgendaSearcher(Searcher):  # type: ignore[misc]
    """Hands out the agenda's tasks to at most so many workers.

    Ray's own `OptunaSearch` is not used because it leaves a trial that reports NaN running for ever, cannot pickle a space that is a
    closure, and tells trials that were stopped early as complete (Ray 2.60). Nothing is told here: `Scribe` writes the records
    and gives them to the agenda.
    """

    def __init__(self, agenda: Agenda, workers: int, reuse: Reuse | None) -> None:
        """`reuse` finds trainings that need not be made; None to make all."""
        super().__init__()
        self._agenda, self._workers, self._reuse = agenda, workers, reuse

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next task as a trial's config; None for not yet."""
        if self._agenda.in_flight >= self._workers and not self._agenda.hopeless:
            return None
        task = self._agenda.next()
        if isinstance(task, TrialTask):
            return {"task": task, "reused": self._reuse and self._reuse.take(task)}
        return None if task is NoTask.WAIT else Searcher.FINISHED

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tune insists on this."""

    def save(self, checkpoint_path: str) -> None:
        """The records are the only state."""

    def restore(self, checkpoint_path: str) -> None:
        """The records are the only state."""


@dataclass(frozen=True, slots=True)
class _Running:
    """A trial on a worker."""

    task: TrialTask
    start: Start
    address: Any
    """Reference to the worker's IP address and process id; None for a worker that never started."""

    def process_id(self) -> str:
        """As text; empty where the worker did not live to tell."""
        try:
            return str(ray.get(self.address, timeout=5)[1])
        except RayError:
            return ""


class Scribe(Callback):  # type: ignore[misc]
    """The one writer: weights, then the record that vouches for them, then everybody who wants to know."""

    def __init__(
        self, study: StudySpec, directory: Path, agenda: Agenda, tracker: Tracker, progress: Callable[[StudyProgress], None] | None
    ) -> None:
        self._study, self._directory, self._agenda, self._tracker, self._progress = study, directory, agenda, tracker, progress
        self._running: dict[int, _Running] = {}
        self._begun, self._earlier = time.monotonic(), len(agenda.records)
        self.complaint: WorkError | None = None
        """Why writing failed; Tune makes a long trace of whatever is raised here."""
        self.reuse: Reuse | None = None
        """Where other studies find what finished here; None where nothing is trained."""
        self.on_ready: Callable[[], None] = lambda: None
        """Called as each trial begins."""

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Remember who and when, in case that its worker cannot say."""
        self.on_ready()
        task = trial.config["task"]
        self._running[task.number] = _Running(task, Start.now(), trial.temporary_state.ray_actor.get_current_ip_pid.remote())

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any) -> None:
        """Keep what came back, if it is the last that comes; Tune need not hold on to it."""
        record, weights = result.pop("record"), result.pop("weights")
        if record.outcome is Outcome.STOPPED:
            reason = self._agenda.stopped.pop(record.number, None)
            if reason is None:
                return
            record = replace(record, reason=reason)
        self._keep(record, weights)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Nothing came back: say what is known."""
        task = trial.config["task"]
        said = Path(trial.error_file).read_text(encoding="utf-8")  # trial.get_error() looks where Tune copies it to, later
        self._lose(self._running.get(task.number, _Running(task, Start.now(), None)), said)

    def on_out_of_memory(self, said: str) -> None:
        """Ray ended workers because memory ran low, and with them, in Ray 2.60, Tune's whole run; `said` names their processes.

        Their trials are recorded, and those beside them go back to the agenda.
        """
        ended = set(re.findall(r"\bpid=(\d+)", said))
        running = [entry for number, entry in self._running.items() if number not in self._agenda.records]
        for entry in [entry for entry in running if entry.process_id() in ended] or running:
            self._lose(entry, said)
        self._agenda.give_back()

    def _lose(self, entry: _Running, said: str) -> None:
        study, task = self._study, entry.task
        outcome, reason = explain_loss(said, entry.start.elapsed_seconds, study.search.deadline_seconds)
        costs = count_costs(task.architecture, study.latency, study.proxy)
        self._keep(record_of(task, outcome, reason, costs, entry.start), None)

    def _keep(self, record: TrialRecord, weights: bytes | None) -> None:
        try:
            path = weights_file(self._directory, record.number)
            if weights is not None:
                write_whole(path, weights)
            elif not record.finished:
                path.unlink(missing_ok=True)  # taken over for a shape whose latency could not be measured then
            append(self._directory, record)
            checkpoint_file(self._directory, record.number).unlink(missing_ok=True)
        except OSError as error:
            self.complaint = WorkError(
                f"{self._directory} cannot be written any more ({error.strerror}); make room and run the same command again, "
                f"which repeats only what is not recorded"
            )
            raise self.complaint from None
        if self.reuse is not None:
            self.reuse.leave(record)
        self._agenda.add(record)
        self._tracker.record(record)
        if self._progress is not None:
            self._progress(self._standing())

    def _standing(self) -> StudyProgress:
        records, done_here = self._agenda.records, len(self._agenda.records) - self._earlier
        left = max(0, self._agenda.count - len(records))
        return StudyProgress(
            done=len(records),
            of=self._agenda.count,
            failed=sum(record.failed for record in records.values()),
            stopped=sum(record.outcome is Outcome.STOPPED for record in records.values()),
            front_size=len(front_of(records.values(), problem=self._study.problem).members),
            seconds_left=(time.monotonic() - self._begun) / done_here * left if done_here else None,
        )
