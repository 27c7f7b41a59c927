"""The process that writes a study's runs to MLflow, so that its seconds are not the driver's.

On standard input it is given, pickled, a `Task` and then records as they come, last an `End`; it answers on standard output with lines of
JSON: a complaint where MLflow cannot be written, and that all is done. It ends as soon as its input does, which is when the driver ends,
however it ends: what is half written then is completed by the next catch-up.
"""

from __future__ import annotations

import fcntl
import os
import pickle
import queue
import re
import signal
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from analysis.records.json_writer import json_of
from analysis.records.record import FinalRecord, TrialRecord
from trials.machine.redaction import redacted
from trials.machine.supervision import STOPS
from trials.reporting.mlflow_location import DATABASE, MlflowLocation
from trials.reporting.mlflow_runs import StudyRuns
from trials.reporting.own_database import set_aside
from trials.study.spec import StudySpec

RETRY_SECONDS = 60.0
"""Longest wait for the next attempt where MLflow could not be written; a new record brings one sooner."""


ENDING_SECONDS = 2.0
"""How long the writer of a driver that was killed may take to end."""
NO_ANSWER = ("ConnectionError", "ConnectTimeout", "ReadTimeout")
"""What the library that MLflow asks over the network with calls it."""


@dataclass(frozen=True, slots=True)
class Task:
    """The study whose runs are written, and where they go."""

    directory: Path
    study: StudySpec
    study_yaml: str
    place: MlflowLocation


@dataclass(frozen=True, slots=True)
class End:
    """Nothing more will come: bring everything to what these say."""

    records: tuple[TrialRecord, ...]
    finals: Mapping[int, FinalRecord]


class Writer:
    """Writes what comes from a queue, as often as MLflow refuses it."""

    def __init__(self, task: Task, coming: queue.SimpleQueue[TrialRecord | End], answers: IO[str]) -> None:
        self._task, self._coming, self._answers = task, coming, answers
        self._lock: int | None = None
        self._runs: StudyRuns | None = None
        self._waiting: dict[int, TrialRecord] = {}
        self._end: End | None = None

    def work(self) -> None:
        """Writes until the end has come and everything is written, or MLflow has failed once more."""
        while True:
            written = self._written()
            if self._end:
                return
            self._collect(None if written else RETRY_SECONDS)

    def _collect(self, timeout: float | None) -> None:
        """Wait for something to do, or for the next attempt; then take all there is."""
        try:
            self._take(self._coming.get(timeout=timeout))
            while True:
                self._take(self._coming.get_nowait())
        except queue.Empty:
            return

    def _take(self, item: TrialRecord | End) -> None:
        if isinstance(item, End):
            self._end = item
        else:
            self._waiting[item.number] = item

    def _written(self) -> bool:
        """Write what waits; whatever MLflow raises is told and never ends this process."""
        task = self._task
        try:
            if self._lock is None:
                self._lock = _claim(task.directory)
            if self._runs is None:
                if task.place.tracking_uri is None and (said := set_aside(task.directory / DATABASE)) is not None:
                    self._answer({"said": said})
                self._runs = StudyRuns(task.directory, task.study, task.study_yaml, task.place)
            for number in sorted(self._waiting):
                self._runs.write_trial(self._waiting[number])
                del self._waiting[number]
            if self._end:
                self._runs.write_study(self._end.records, self._end.finals)
        except Exception as error:
            self._answer({"failed": _sentence(error, task.place), "heals": _heals(error)})
            return False
        return True

    def _answer(self, answer: Mapping[str, Any]) -> None:
        self._answers.write(json_of(answer) + "\n")
        self._answers.flush()


def _sentence(error: Exception, place: MlflowLocation) -> str:
    """What another library says, in one line and without secrets, with the cure where one is known."""
    said = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
    said = redacted(said, place.tracking_uri or "")
    if isinstance(error, ModuleNotFoundError):
        return f"{said}; install the driver of that database beside archfront"
    if "out-of-date database schema" in said:
        there = f"move {DATABASE} away" if place.tracking_uri is None else "name another with --tracking-uri"
        return f"the database is of another version of MLflow: {said}; install that version, or {there}"
    return said


def _heals(error: BaseException | None) -> bool:
    """Whether waiting may be all that it takes: nobody answers, something is busy, or the service itself has failed."""
    while error is not None:
        name, status = type(error).__name__, getattr(error, "get_http_status_code", None)
        if isinstance(error, ConnectionError | TimeoutError | WritersMeetError) or name in NO_ANSWER:
            return True
        if name == "OperationalError" and re.search("locked|connect|server closed|timed? ?out|too many", str(error), re.IGNORECASE):
            return True
        if name == "RestException" and callable(status) and (status() >= 500 or status() == 429):
            return True
        error = error.__cause__ or error.__context__
    return False


class WritersMeetError(RuntimeError):
    """Another process writes the runs of this directory."""


def _claim(directory: Path) -> int:
    """Be the only writer of a directory's runs until this process ends: a report may be asked for while the study runs.

    The writer of a driver that was killed ends a moment after it, so whoever continues at once waits for that.
    """
    descriptor, deadline = os.open(directory, os.O_RDONLY | os.O_CLOEXEC), time.monotonic() + ENDING_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except OSError:
            if time.monotonic() > deadline:
                os.close(descriptor)
                raise WritersMeetError("another archfront is writing them") from None
            time.sleep(0.02)


def _listen(said: IO[bytes], coming: queue.SimpleQueue[TrialRecord | End]) -> None:
    """Pass on what the driver says; end this process where it says no more."""
    try:
        while True:
            coming.put(pickle.load(said))
    except (EOFError, pickle.UnpicklingError):
        os._exit(0)


def main() -> None:
    """Serve one driver; signals to every process of a service or a job are the driver's to answer."""
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints is not an answer
    said = os.fdopen(os.dup(0), "rb")
    try:
        task: Task = pickle.load(said)
    except (EOFError, pickle.UnpicklingError):  # the driver has ended
        return
    os.chdir(task.directory)  # where the name of its database is all there is to say
    coming: queue.SimpleQueue[TrialRecord | End] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(said, coming), daemon=True).start()
    Writer(task, coming, answers).work()
    answers.write(json_of({"done": True}) + "\n")
    answers.flush()
    os._exit(0)  # the listener still waits for the driver's end
