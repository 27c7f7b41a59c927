"""MLflow's runs written by the process of the tests, which imports MLflow once; the process that does it for a study has its own tests."""

from __future__ import annotations

import atexit
import functools
import io
import json
import os
import pickle
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from analysis.records.record import FinalRecord, TrialRecord
from trials.tracking.mlflow_location import DATABASE, location_of
from trials.tracking.mlflow_store import open_client
from trials.tracking.mlflow_tracker import Tracker
from trials.tracking.mlflow_writer import End, Page, Task, Writer


@functools.cache
def empty_database() -> Path:
    """A fresh directory's database, made once: creating its tables takes seconds."""
    folder = Path(tempfile.mkdtemp(prefix="archfront-mlflow-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    open_client(folder, location_of(folder, None))
    return folder / DATABASE


class TrackerHere(Tracker):
    """Writes at the end, and in this process, all that it was told."""

    def start(self) -> None:
        """There is no process to start."""

    def abandon(self) -> None:
        """What was told is forgotten."""

    def finish(self, records: Iterable[TrialRecord], finals: Mapping[int, FinalRecord]) -> None:
        """What is over is written when it is known whether there is a report."""
        self._queue.put(End(tuple(records), dict(finals)))

    def close(self, page: Path | None = None) -> None:
        """Write it all, as the process would."""
        task: Task = pickle.loads(self._task)
        database = task.directory / DATABASE
        if task.place.tracking_uri is None and not database.exists():
            shutil.copyfile(empty_database(), database)
        coming = self._queue
        coming.put(Page(page))
        answers = io.StringIO()
        writer = Writer(task, coming, answers)
        writer.work()
        if writer._lock is not None:
            os.close(writer._lock)  # else nobody else could write this directory's runs while the tests run
        for answer in answers.getvalue().splitlines():
            self._told(json.loads(answer))
