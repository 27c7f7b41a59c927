"""The agenda as Ray Tune wants it: a searcher that hands out tasks, a scheduler that starts them, a callback that takes back records."""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError
from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from analysis.fronts.rounding import judged_activations
from analysis.records.latency import Activations
from analysis.records.record import Outcome
from analysis.records.unmeasured import UnmeasuredTrial
from search_space.cost import ROUNDED_PRECISIONS
from trials.cluster.placement import others_of
from trials.driver.agenda import Agenda, NoTask
from trials.driver.attempts import WORKER_DIED, Attempts, attempt_at, device_ended, explain_loss
from trials.driver.late_latency import LateLatencies
from trials.driver.latency_device import SEE_TO_THE_NODE
from trials.driver.record_writer import RecordWriter
from trials.driver.trial_news import forget, heard
from trials.driver.workers import RAYLET_SECONDS, MemoryKills, Place
from trials.progress.watch import RunWatch
from trials.study.spec import StudySpec
from trials.trial.reuse import Reuse
from trials.trial.task import Start, TrialTask, count_costs, record_of

BETWEEN_LOOKS_SECONDS = 5.0
"""Seconds between two looks at the nodes that trials wait for."""


class AgendaSearcher(Searcher):  # type: ignore[misc]
    """Hands out the agenda's tasks to at most so many workers.

    Ray's own `OptunaSearch` is not used because it leaves a trial that reports NaN running for ever, cannot pickle a space that is a
    closure, and tells trials that were stopped early as complete (Ray 2.60). Nothing is told here: `RecordCallback` has the records
    written, and so given to the agenda.
    """

    def __init__(self, agenda: Agenda, study: StudySpec, attempts: Attempts, reuse: Reuse | None, late: LateLatencies) -> None:
        """`attempts` know where a trial was lost; `reuse` finds trainings that need not be made, None to make all."""
        super().__init__()
        self._agenda, self._study, self._attempts, self._reuse, self._late = agenda, study, attempts, reuse, late
        self._activations: Activations | None = None

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next task as a trial's config; None for not yet."""
        self._late.record()  # Tune asks here, and nowhere else, where nothing runs
        if self._agenda.in_flight >= self._study.workers.count and not self._agenda.hopeless:
            return None
        task = self._agenda.next()
        if isinstance(task, TrialTask):
            avoided = others_of(self._attempts.nodes(task.number), self._study.workers)
            reused = self._reuse and self._reuse.take(task)
            return {"task": task, "avoided": avoided, "reused": reused, "activations": self._activations_read()}
        return None if task is NoTask.WAIT else Searcher.FINISHED

    def _activations_read(self) -> Activations | None:
        """What a trial is judged by that is trained before the device can say it: the word on the first ones."""
        if self._activations is None and self._study.latency.precision in ROUNDED_PRECISIONS:
            self._activations = judged_activations(self._agenda.records.values())
        return self._activations

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tune insists on this."""

    def save(self, checkpoint_path: str) -> None:
        """The records are the only state."""

    def restore(self, checkpoint_path: str) -> None:
        """The records are the only state."""


class LiveScheduler(FIFOScheduler):  # type: ignore[misc]
    """Starts tasks in the order of their numbers, as Tune's own does, which goes through every trial that ever was to find the next."""

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        """The first of those that wait; None where none does."""
        waiting = [trial for trial in tune_controller.get_live_trials() if trial.status == Trial.PENDING]
        return min(waiting, key=lambda trial: trial.config["task"].number, default=None)


@dataclass(frozen=True, slots=True)
class _Running:
    """A trial on a worker."""

    task: TrialTask
    start: Start
    place: Any
    """Reference to the worker's `Place`; None for a worker that never started."""

    def where(self) -> Place | None:
        """Where the worker was; None where it did not live to tell."""
        try:
            found: Place | None = None if self.place is None else ray.get(self.place, timeout=5)
        except RayError:
            return None
        return found


class RecordCallback(Callback):  # type: ignore[misc]
    """Has the record of every trial written; where its worker was lost, has it run again, or, in the end, written that it was lost."""

    def __init__(
        self, study: StudySpec, agenda: Agenda, attempts: Attempts, writer: RecordWriter, watch: RunWatch, late: LateLatencies
    ) -> None:
        """`watch` is told of each trial as it begins, and of each that is run again; `late` gets those that are still to be measured."""
        self._study, self._agenda, self._writer, self._watch, self._late = study, agenda, writer, watch, late
        self.attempts = attempts
        self._running: dict[int, _Running] = {}
        self._memory_kills = MemoryKills()
        self._looked_at = time.monotonic()
        self._outlived_at: float | None = None
        self.is_stranded = False
        """Whether a trial waits for another node than it may have, and there is none any more."""

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Record what was measured late, and raise where a trial that is to run elsewhere waits for a node that is gone: whoever called
        Tune begins anew.
        """
        self._late.record()
        if time.monotonic() - self._looked_at < BETWEEN_LOOKS_SECONDS:
            return
        self._looked_at = time.monotonic()
        kept_away = [trial.config["avoided"] for trial in trials if trial.status == Trial.PENDING and trial.config["avoided"]]
        if any(not others_of(avoided, self._study.workers) for avoided in kept_away):
            self.is_stranded = True
            raise RuntimeError("no other node is left")

    def give_back(self) -> None:
        """Tune has ended in the middle: what ran goes back to the agenda."""
        self.is_stranded = False
        self._running.clear()
        self._agenda.give_back()
        self._watch.given_back()

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Remember who and when, in case that its worker cannot say."""
        task = trial.config["task"]
        self._writer.begun(task)
        self._running[task.number] = _Running(task, Start.now(), trial.temporary_state.ray_actor.place.remote())

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any) -> None:
        """Have written what came back, if it is the last that comes; Tune need not hold on to it.

        A look at a trial that goes on has no reason in its record: whoever stops a trial gives one (`FrontStopper`).
        """
        record, weights, looks = result.pop("record"), result.pop("weights"), result.pop("looks")
        if self._agenda.interrupted and record.failed:
            return  # a signal that comes to every process ends its worker's helpers too
        if record.outcome is Outcome.STOPPED and record.reason is None:
            return
        self._running.pop(record.number, None)
        if looks is None:
            self._writer.write(record, weights)
        else:
            self._late.keep(UnmeasuredTrial(record=record, looks=looks), weights)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Nothing came back: say what is known, unless the study was told to end, and its workers with it."""
        if self._agenda.interrupted:
            return
        task = trial.config["task"]
        said = Path(trial.error_file).read_text(encoding="utf-8")  # trial.get_error() looks where Tune copies it to, later
        if (why := device_ended(said)) is not None:
            self._writer.give_up(f"{why}; {SEE_TO_THE_NODE}")
        running = self._running.get(task.number, _Running(task, Start.now(), None))
        start = Start(running.start.at, running.start.monotonic + self._outlive_raylet())
        self._lose(replace(running, start=start), said)

    def on_out_of_memory(self, said: str) -> None:
        """Ray ended workers because memory ran low, and with them, in Ray 2.60, Tune's whole run; `said` names their processes.

        Their trials are recorded, and those beside them go back to the agenda.
        """
        ended, running = set(re.findall(r"\bpid=(\d+)", said)), list(self._running.values())
        for entry in [entry for entry in running if (place := entry.where()) and str(place.process) in ended] or running:
            self._lose(entry, said)
        self.give_back()

    def _outlive_raylet(self) -> float:
        """Where the raylet is gone, so is this process meanwhile (`own_ray`); returns the seconds, 0 right after those of another trial."""
        if self._outlived_at is not None and time.monotonic() - self._outlived_at < RAYLET_SECONDS:
            return 0.0  # a node is lost with many trials, which Tune tells one after the other
        time.sleep(RAYLET_SECONDS)
        self._outlived_at = time.monotonic()
        return RAYLET_SECONDS

    def _lose(self, entry: _Running, said: str) -> None:
        study, task = self._study, entry.task
        self._running.pop(task.number, None)
        elapsed_seconds = entry.start.elapsed_seconds - _held_seconds(task.number)  # before the node is asked
        place = entry.where()
        memory = self._memory_kills.of(place) if place is not None and WORKER_DIED in said else None
        verdict = explain_loss(said, elapsed_seconds, study.workers.deadline_seconds, memory)
        forget(task.number)
        if verdict is None:
            attempt = attempt_at(task.number, None if place is None else str(place), said, entry.start)
            attempt = self.attempts.lost(attempt, None if place is None else place.node)
            self._writer.write_attempt(attempt)
            if not self.attempts.are_over(task.number):
                self._agenda.try_again(task.number)
                self._watch.lost(task, attempt)
                return
            verdict = Outcome.LOST, self.attempts.reason(task.number)
        costs = count_costs(task.architecture, study.latency, study.proxy)
        self._writer.write(record_of(task, *verdict, costs, entry.start), None)


def _held_seconds(number: int) -> float:
    """How long a trial was held up by measurements, as far as it said; without end where it was at its own when it was lost."""
    try:
        news = heard([number]).get(number)
    except RayError:
        return 0.0
    return 0.0 if news is None else math.inf if news.doing != "training" else news.held_seconds
