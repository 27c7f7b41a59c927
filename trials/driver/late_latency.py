"""Trials that were trained while the latency device was away: kept, measured once it is back, and only then judged and recorded."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from analysis.records.latency import Latency
from analysis.records.record import Outcome, TrialRecord
from analysis.records.unmeasured import UnmeasuredTrial
from trials.driver.agenda import Agenda
from trials.driver.latency_device import SEE_TO_THE_NODE, ask_device
from trials.driver.record_writer import RecordWriter
from trials.progress.watch import RunWatch
from trials.study.spec import StudySpec
from trials.trial.task import DeviceAway, DeviceEnded, outcome_of, shape_observed

WhyStopped = Callable[[TrialRecord], str | None]
"""Why a trial stops at a look, None where it goes on: what `FrontStopper` would have said had the latency been there."""
LateAnswer = Latency | Exception


class LateLatencies:
    """Has trials measured one after another in a thread of its own, and their records written by whoever asks."""

    def __init__(
        self,
        study: StudySpec,
        agenda: Agenda,
        device: Any,
        writer: RecordWriter,
        watch: RunWatch,
        why_stopped: WhyStopped,
        earlier: Iterable[UnmeasuredTrial],
    ) -> None:
        """`device` is the LatencyDevice's handle; `earlier` are those of a run before that have no record yet."""
        self._study, self._agenda, self._device, self._why_stopped = study, agenda, device, why_stopped
        self._writer, self._watch = writer, watch
        self._asked: queue.SimpleQueue[UnmeasuredTrial | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[tuple[UnmeasuredTrial, LateAnswer]] = queue.SimpleQueue()
        self._unjudged: list[tuple[UnmeasuredTrial, LateAnswer]] = []
        """Answers that wait for records of lower numbers, which say whether the trial would have been stopped."""
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        for trial in sorted(earlier, key=lambda each: each.record.number):
            watch.set_aside(trial.record)
            self._ask(trial)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Nobody asks any more; what is not measured waits in the directory."""
        self._over.set()
        self._asked.put(None)

    def keep(self, trial: UnmeasuredTrial, weights: bytes | None) -> None:
        """Have one that is trained kept until it is measured; raises as the writer does."""
        self._writer.set_aside(trial, weights)
        self._ask(trial)

    def record(self) -> None:
        """Have those recorded that were measured since; raises as the writer does, and WorkError where the device was ended for good.

        What says nothing of a shape is no record: the trial waits in the directory for the next run.
        """
        with suppress(queue.Empty):
            while True:
                self._unjudged.append(self._answers.get_nowait())
        answers, self._unjudged = sorted(self._unjudged, key=lambda each: each[0].record.number), []
        for trial, answer in answers:
            if isinstance(answer, Exception) and self._agenda.interrupted:
                continue  # a signal that comes to every process ends the one that measures too
            if isinstance(answer, DeviceEnded):
                self._writer.give_up(f"{answer}; {SEE_TO_THE_NODE}, which measures what is trained")
            if trial.looks and isinstance(answer, Latency) and not self._agenda.knows_enough_of(trial.record.number):
                self._unjudged.append((trial, answer))
                continue
            self._writer.write(judged_late(self._study, trial, answer, self._why_stopped), None)

    def _ask(self, trial: UnmeasuredTrial) -> None:
        self._asked.put(trial)
        if self._thread is None:
            self._thread = threading.Thread(target=self._measure_all, name="late latencies", daemon=True)
            self._thread.start()

    def _measure_all(self) -> None:
        while (trial := self._asked.get()) is not None and not self._over.is_set():
            try:
                shape = trial.record.architecture
                answer: LateAnswer = ask_device(self._device, shape, self._watch.device_is_away, lambda _: not self._over.is_set())
            except DeviceAway:
                return
            except Exception as error:
                answer = error
            self._answers.put((trial, answer))


def judged_late(study: StudySpec, trial: UnmeasuredTrial, answer: LateAnswer, why_stopped: WhyStopped) -> TrialRecord:
    """The record of a trial that was trained before its latency was known, judged as one that was measured first: a pure function.

    A shape that could not be measured, or passes a limit, has no training in its record, and one that would have been stopped at a look
    has what it had been trained until then: proposals know no more of it than had the device been there.
    """
    record = trial.record
    if isinstance(answer, Exception):
        outcome, reason = outcome_of(answer)
        return replace(record, outcome=outcome, reason=reason, training=None)
    shape = shape_observed(record.architecture, study.latency, study.proxy)
    passed = study.problem.passed_limit(replace(shape, latency=answer), "device")
    if passed is not None:
        reason = f"{passed}; it was trained before that could be measured, which counts for nothing"
        return replace(record, outcome=Outcome.OVER_LIMIT, reason=reason, latency=answer, training=None)
    for look in trial.looks:
        seen = replace(look, latency=answer)
        if (reason_to_stop := why_stopped(seen)) is not None:
            return replace(seen, reason=reason_to_stop)
    return replace(record, latency=answer)
