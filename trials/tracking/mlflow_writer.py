"""The process that writes a study's runs to MLflow, so that its seconds are not the driver's.

On standard input it is given, pickled, a `Task`, and then trials as they begin, their curves as they grow and their records, an `End`,
and last the `Page`, which is made when the rest is written; it answers on standard output with lines of JSON: a complaint where MLflow
cannot be written, or models in it, that the study is there whole, and that all is done. Where
its input ends before, which is when the driver ends, however it ends, it says of trials on their way that they are KILLED and ends too:
what is half written then is completed by the next catch-up.
"""

from __future__ import annotations

import os
import pickle
import queue
import re
import signal
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from analysis.records.json_writer import json_of
from analysis.records.record import FinalRecord, TrialRecord
from analysis.records.training import CurvePoint
from trials.machine.redaction import redacted
from trials.machine.supervision import STOPS
from trials.study.own_database import set_aside
from trials.study.sole_writer import ENDING_SECONDS, WritersMeetError, claim_runs
from trials.study.spec import StudySpec
from trials.tracking.mlflow_location import DATABASE, MlflowLocation
from trials.tracking.mlflow_models import UnregisteredError, remove_model_on_its_way
from trials.tracking.mlflow_runs import StudyRuns
from trials.trial.task import TrialTask

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 15.0
"""Time until the next attempt where MLflow could not be written; each is twice the one before."""
LONGEST_ABSENCE_SECONDS = 120.0
"""How long an MLflow that answered before, and does not now, is waited for once the study is over."""
FIRST_ANSWER_SECONDS = 5.0
"""How long one that has not answered yet is waited for then, where that may be all that it takes: it restarts, say, or is locked."""
ACCOUNT_SECONDS, ACCOUNT_SHARE = 10.0, 0.05
"""Least time between two accounts of the front while a study runs, and the share of the time that they may take."""
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
class Begun:
    """A trial is on a worker."""

    task: TrialTask
    started_ms: int
    """Since the epoch."""


@dataclass(frozen=True, slots=True)
class Grown:
    """The newest points of the curve of a trial on its way."""

    number: int
    curve: tuple[CurvePoint, ...]
    planned_tokens: int | None
    """Tokens of the whole training; None where it is to last seconds."""


@dataclass(frozen=True, slots=True)
class End:
    """Nothing more will be recorded: bring everything to what these say."""

    records: tuple[TrialRecord, ...]
    finals: Mapping[int, FinalRecord]


@dataclass(frozen=True, slots=True)
class Page:
    """The study's report lies there, or there is none: the last that comes, after an `End`."""

    file: Path | None


Item = TrialRecord | Begun | Grown | End | Page


class Writer:
    """Writes what comes from a queue, as often as MLflow refuses it."""

    def __init__(self, task: Task, coming: queue.SimpleQueue[Item | None], answers: IO[str]) -> None:
        """A None that comes wakes it up, see `leave`."""
        self._task, self._coming, self._answers = task, coming, answers
        self._lock: int | None = None
        self._runs: StudyRuns | None = None
        self._records: dict[int, TrialRecord] = {}
        self._waiting: dict[int, TrialRecord] = {}
        self._begun: dict[int, Begun] = {}
        self._curves: dict[int, Grown] = {}
        self._followed, self._follow_at = 0, 0.0
        self._end: End | None = None
        self._page: Page | None = None
        self._is_whole = False
        self._has_answered = False
        self._gone = threading.Event()

    def work(self) -> None:
        """Writes until the end has come and everything is written, or MLflow has failed for good; or until the driver is gone.

        Whoever gives up leaves no run that seems to go on.
        """
        pause, failing_since = FIRST_PAUSE_SECONDS, None
        while not self._gone.is_set():
            failure = self._failure()
            if failure is None:
                pause, failing_since = FIRST_PAUSE_SECONDS, None
                if self._page:
                    return
                self._collect(self._until_next_account())
                continue
            if self._end:
                failing_since = failing_since or time.monotonic()
                longest = LONGEST_ABSENCE_SECONDS if self._has_answered else FIRST_ANSWER_SECONDS
                left = failing_since + longest - time.monotonic()
                if not _heals(failure) or left <= 0:
                    break
                pause = min(pause, left)
            self._runs = None  # what of the last request arrived is seen when the store is opened again
            self._wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        if self._runs is not None:
            with suppress(Exception):
                self._runs.leave()

    @property
    def was_left(self) -> bool:
        """Whether the driver went away before its end."""
        return self._gone.is_set()

    def leave(self) -> None:
        """The driver is gone: say so of what it had begun, and end. To be called from another thread."""
        self._gone.set()
        self._coming.put(None)

    def _wait(self, seconds: float) -> None:
        """Take what comes, until the next attempt is due or nothing more comes."""
        due, had_end = time.monotonic() + seconds, self._end is not None
        while not self._gone.is_set() and (left := due - time.monotonic()) > 0 and (had_end or self._end is None):
            self._collect(left)

    def _until_next_account(self) -> float | None:
        follows = self._end is None and len(self._records) > self._followed
        return max(0.0, self._follow_at - time.monotonic()) if follows else None

    def _collect(self, timeout: float | None) -> None:
        """Wait for something to do, or for so long; then take all there is."""
        try:
            self._take(self._coming.get(timeout=timeout))
            while not self._gone.is_set():
                self._take(self._coming.get_nowait())
        except queue.Empty:
            return

    def _take(self, item: Item | None) -> None:
        match item:
            case End():
                self._end = item
            case Page():
                self._page = item
            case Begun():
                self._begun[item.task.number] = item
                self._curves.pop(item.task.number, None)
            case Grown():
                before = self._curves.get(item.number)
                known = before.curve if before else ()
                newer = tuple(point for point in item.curve if not known or point.tokens > known[-1].tokens)
                self._curves[item.number] = replace(item, curve=known + newer)
            case TrialRecord():
                self._records[item.number] = self._waiting[item.number] = item
                self._begun.pop(item.number, None)
                self._curves.pop(item.number, None)

    def _failure(self) -> Exception | None:
        """Write what waits; whatever MLflow raises is told and never ends this process."""
        task = self._task
        try:
            if self._lock is None:
                self._lock = claim_runs(task.directory)
                remove_model_on_its_way(task.directory)
            if self._runs is None:
                if task.place.tracking_uri is None and (said := set_aside(task.directory / DATABASE)) is not None:
                    self._answer({"said": said})
                self._runs = StudyRuns(task.directory, task.study, task.study_yaml, task.place)
                self._has_answered = True
            self._write(self._runs)
        except UnregisteredError as error:
            return error
        except Exception as error:
            self._answer({"failed": _sentence(error, task.place), "heals": _heals(error)})
            return error
        return None

    def _write(self, runs: StudyRuns) -> None:
        if self._end:
            if not self._is_whole:
                self._write_study(runs, self._end)
            if self._page and self._page.file:
                runs.files.keep_page(self._page.file)
            return
        for number in sorted(self._waiting):
            runs.write_trial(self._waiting[number])
            del self._waiting[number]
            if self._gone.is_set():
                return
        for begun in self._begun.values():
            runs.begin_trial(begun.task, begun.started_ms)
        for number, grown in self._curves.items():
            runs.grow_trial(number, grown.curve, grown.planned_tokens)
        if len(self._records) > self._followed and time.monotonic() >= self._follow_at:
            since = time.monotonic()
            runs.write_so_far([self._records[number] for number in sorted(self._records)])
            took = time.monotonic() - since
            self._followed, self._follow_at = len(self._records), since + max(ACCOUNT_SECONDS, took / ACCOUNT_SHARE)

    def _write_study(self, runs: StudyRuns, end: End) -> None:
        """The study's end, but for its page; what a registry refuses for good is told, and costs the models alone."""
        try:
            runs.write_study(end.records, end.finals)
        except UnregisteredError as error:
            self._answer({"unregistered": _sentence(error, self._task.place), "heals": _heals(error)})
            if _heals(error):
                raise
        self._is_whole = True
        self._answer({"whole": True})

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
        if name == "RestException" and callable(status) and (status() in (429, 500) or status() > 501):
            return True  # 501 is what it does not have
        error = error.__cause__ or error.__context__
    return False


def _listen(said: IO[bytes], coming: queue.SimpleQueue[Item | None], writer: Writer) -> None:
    """Pass on what the driver says; end this process soon where it says no more."""
    try:
        while True:
            coming.put(pickle.load(said))
    except (EOFError, pickle.UnpicklingError):
        writer.leave()
        time.sleep(ENDING_SECONDS)
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
    coming: queue.SimpleQueue[Item | None] = queue.SimpleQueue()
    writer = Writer(task, coming, answers)
    threading.Thread(target=_listen, args=(said, coming, writer), daemon=True).start()
    writer.work()
    if not writer.was_left:
        answers.write(json_of({"done": True}) + "\n")
        answers.flush()
    os._exit(0)  # the listener still waits for the driver's end
