"""Records as MLflow runs, written beside the study and never in its way.

A process of its own does everything that speaks to MLflow, its import included (`trials.tracking.mlflow_writer`). Records are the only
state: what MLflow misses because it was not reachable, or because the driver was killed, is written at the next catch-up.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from analysis.records.json_text import parse_json
from analysis.records.record import FinalRecord, TrialRecord
from trials.machine.redaction import redacted
from trials.machine.subprocesses import ROOT, how_it_ended
from trials.progress.watch import News
from trials.study.sole_writer import ENDING_SECONDS
from trials.study.spec import StudySpec
from trials.tracking.mlflow_location import location_of
from trials.tracking.mlflow_mark import is_written
from trials.tracking.mlflow_writer import Begun, End, Grown, Item, Page, Task
from trials.trial.task import TrialTask

logger = logging.getLogger(__name__)


class Tracker:
    """Has a study's records written to MLflow by a process of its own; no methods but `finish` and `close` wait.

    Where MLflow cannot be written there is one warning, the study goes on, and later attempts follow.
    """

    def __init__(
        self,
        directory: Path,
        study: StudySpec,
        study_yaml: str,
        uri: str | None = None,
        keep: bool = True,
        experiment: str | None = None,
        tags: Mapping[str, str] = {},
    ) -> None:
        """`uri` and `experiment` None are what the directory was tracked with before, or SQLite in the directory and the study's name.

        Raises SpecError for bad ones.
        """
        self._directory, self._study, self._study_yaml = directory, study, study_yaml
        self._place = location_of(directory, uri, keep, experiment, tags, study.name)
        self._queue: queue.SimpleQueue[Item | None] = queue.SimpleQueue()
        task = Task(directory.absolute(), study, study_yaml, self._place)
        self._task = pickle.dumps(task)  # here: in the thread it would change while it is read
        self._process: subprocess.Popen[bytes] | None = None
        self._complaints: IO[bytes] | None = None
        self._threads = [threading.Thread(target=work, name="tracking", daemon=True) for work in (self._send, self._hear)]
        self._warned, self._warned_of_models = False, False
        self._is_whole = threading.Event()
        self._told_tokens: dict[int, int] = {}
        """Tokens of the last point of a curve that was passed on, by the number of its trial."""

    @property
    def shown_place(self) -> str:
        """Where the runs are, for messages: without a password."""
        return self._place.shown_uri if self._place.tracking_uri else str(self._directory / self._place.shown_uri)

    @property
    def failed(self) -> bool:
        """Whether something could not be written, as was said."""
        return self._warned

    def has_all(self, records: Iterable[TrialRecord], finals: Mapping[int, FinalRecord], page: Path | None = None) -> bool:
        """Whether there is nothing to write; False where only MLflow itself could tell, which takes seconds to import."""
        return is_written(self._directory, self._place, self._study, self._study_yaml, records, finals, page)

    def bring_up_to_date(self, records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord], page: Path | None = None) -> None:
        """Have written what is lacking of a study in which nothing runs, its report included where it lies there, and wait for it."""
        page = page if page is not None and page.is_file() else None
        if not self.has_all(records, finals, page):
            with self.writing(records):
                pass
            self.finish(records, finals)
            self.close(page)

    @contextlib.contextmanager
    def writing(self, records: Iterable[TrialRecord]) -> Iterator[None]:
        """While more is recorded: begun with what MLflow lacks of these records, and abandoned where anything is raised."""
        try:
            self.start()
            self.catch_up(records)
            yield
        except BaseException:
            self.abandon()
            raise

    def start(self) -> None:
        """Begin importing MLflow and opening the store, beside whatever else starts."""
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115  lives as long as the process
        self._process = subprocess.Popen(  # in the caller's folder, where a relative URI leads, but never with the caller's packages
            [sys.executable, "-P", "-c", "from trials.tracking.mlflow_writer import main; main()"],
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            start_new_session=True,  # Ctrl-C is the driver's
        )
        for thread in self._threads:
            thread.start()

    def begun(self, task: TrialTask) -> None:
        """Have a trial seen from its start."""
        self._told_tokens.pop(task.number, None)
        self._queue.put(Begun(task, round(1000 * time.time())))

    def heard(self, news: Mapping[int, News]) -> None:
        """Have seen what trials on their way, by number, say of their curves."""
        for number, said in news.items():
            if said.curve and said.curve[-1].tokens > self._told_tokens.get(number, 0):
                self._told_tokens[number] = said.curve[-1].tokens
                self._queue.put(Grown(number, said.curve, said.planned_tokens))

    def record(self, record: TrialRecord) -> None:
        """Have one trial written soon."""
        self._queue.put(record)

    def catch_up(self, records: Iterable[TrialRecord]) -> None:
        """Have written what MLflow lacks of these; what it has costs nothing."""
        for record in records:
            self._queue.put(record)

    @contextlib.contextmanager
    def ending(self, records: Iterable[TrialRecord], finals: Mapping[int, FinalRecord]) -> Iterator[Callable[[Path], None]]:
        """When all is recorded: `finish`, then what is done inside, which may name the report, and `close`; abandoned where that raises."""
        pages: list[Path] = []
        try:
            self.finish(records, finals)
            yield pages.append
        except BaseException:
            self.abandon()
            raise
        self.close(pages[-1] if pages else None)

    def finish(self, records: Iterable[TrialRecord], finals: Mapping[int, FinalRecord]) -> None:
        """Wait until everything is written but the report, the runs' ends included, or MLflow has failed once more; `close` follows."""
        self._queue.put(End(tuple(records), dict(finals)))
        self._is_whole.wait()

    def close(self, page: Path | None = None) -> None:
        """After `finish`: have the report beside the study's run, and wait for the end of the process."""
        self._queue.put(Page(None if page is None else page.absolute()))
        self._close()

    def abandon(self) -> None:
        """Leave what is not written to the next catch-up, and the directory to its writer, which has a moment to say what runs no more."""
        if self._process is not None:
            self._warned = True
            self._queue.put(None)
            send, _ = self._threads
            if send.ident is not None:
                send.join(ENDING_SECONDS)
            with contextlib.suppress(OSError):
                assert self._process.stdin is not None
                self._process.stdin.close()
            try:
                self._process.wait(2 * ENDING_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
            self._close()

    def _close(self) -> None:
        assert self._process is not None
        for thread in self._threads:
            if thread.ident is not None:  # Ctrl-C may have come before it was started
                thread.join()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._complaints):
            with contextlib.suppress(BrokenPipeError):
                assert pipe is not None
                pipe.close()

    def _send(self) -> None:
        """Give the process what comes, to the end."""
        assert self._process is not None
        said, item = self._process.stdin, None
        assert said is not None
        with contextlib.suppress(BrokenPipeError):  # it is gone, as `_hear` says
            said.write(self._task)
            said.flush()  # MLflow is imported while the first trial runs
            while not isinstance(item, Page) and (item := self._queue.get()) is not None:
                pickle.dump(item, said)
                said.flush()

    def _hear(self) -> None:
        """Warn of what the process complains about, or of its own end."""
        assert self._process is not None
        assert self._complaints is not None
        answers, done = self._process.stdout, False
        assert answers is not None
        for line in answers:
            answer = parse_json(line)
            done = done or "done" in answer
            self._told(answer)
        self._is_whole.set()
        if not done:
            self._complaints.seek(0)
            said = self._complaints.read().decode(errors="replace").strip().splitlines()
            last = f": {redacted(said[-1], self._place.tracking_uri or '')}" if said else ""
            self._warn(f"the process that writes them {how_it_ended(self._process.wait())}{last}")

    def _told(self, answer: Mapping[str, Any]) -> None:
        if "whole" in answer:
            self._is_whole.set()
        if "said" in answer:
            logger.warning("%s", answer["said"])
        if "failed" in answer:
            self._warn(answer["failed"], heals=answer["heals"])
        if "unregistered" in answer and not self._warned_of_models:
            self._warned_of_models = True
            logger.warning(
                "the study's runs are in MLflow at %s, its models are not (%s); `archfront report %s` %s",
                self._place.shown_uri, answer["unregistered"], self._directory,
                "registers them later" if answer["heals"] else "registers them once that is mended",
            )  # fmt: skip

    def _warn(self, reason: str, heals: bool = True) -> None:
        if not self._warned:
            logger.warning(
                "MLflow's runs at %s cannot be written (%s); the study goes on, its records are safe, and `archfront report %s` %s",
                self._place.shown_uri, reason, self._directory, "catches up later" if heals else "writes them once that is mended",
            )  # fmt: skip
        self._warned = True
