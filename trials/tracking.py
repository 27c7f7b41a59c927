"""Records as MLflow runs, written beside the study and never in its way; and MLflow's own interface.

A thread owns everything that speaks to MLflow, its import included. Records are the only state: what MLflow misses because it was not
reachable, or because the driver was killed, is written at the next catch-up.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from analysis.record import FinalRecord, TrialRecord
from search_space.errors import SpecError
from trials.mlflow_runs import SETTINGS, StudyRuns
from trials.study import StudySpec
from trials.tracking_place import DATABASE, PLACE, Place, check_uri, follow_move, is_database, page_of, place_of

RETRY_SECONDS = 60.0
"""Longest wait for the next attempt where MLflow could not be written; a new record brings one sooner."""
START_SECONDS = 120.0
"""Longest start of MLflow's interface."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _End:
    records: tuple[TrialRecord, ...]
    finals: Mapping[int, FinalRecord]


class Tracker:
    """Writes a study's records to MLflow in a thread of its own; no method but `finish` waits.

    Where MLflow cannot be written there is one warning, the study goes on, and later attempts follow.
    """

    def __init__(self, directory: Path, study: StudySpec, study_yaml: str, uri: str | None = None) -> None:
        """`uri` None is the one that the directory was tracked with before, or SQLite in the directory. Raises SpecError for a bad one."""
        self._directory, self._study, self._study_yaml = directory, study, study_yaml
        self._place: Place = place_of(directory, uri)
        self._queue: queue.SimpleQueue[TrialRecord | _End] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="tracking", daemon=True)
        self._lock: int | None = None
        self._runs: StudyRuns | None = None
        self._waiting: dict[int, TrialRecord] = {}
        self._end: _End | None = None
        self._warned = False

    def start(self) -> None:
        """Begin importing MLflow and opening the store, beside whatever else starts."""
        self._thread.start()

    def record(self, record: TrialRecord) -> None:
        """Have one trial written soon."""
        self._queue.put(record)

    def catch_up(self, records: Iterable[TrialRecord]) -> None:
        """Have written what MLflow lacks of these; what it has costs nothing."""
        for record in records:
            self._queue.put(record)

    def finish(self, records: Iterable[TrialRecord], finals: Mapping[int, FinalRecord]) -> None:
        """Wait until everything is written, the parent's artifacts and the runs' ends included, or MLflow has failed once more."""
        self._queue.put(_End(tuple(records), dict(finals)))
        self._thread.join()

    def _work(self) -> None:
        while True:
            written = self._written()
            if self._end:
                break
            self._collect(None if written else RETRY_SECONDS)
        if self._lock is not None:
            os.close(self._lock)

    def _collect(self, timeout: float | None) -> None:
        """Wait for something to do, or for the next attempt; then take all there is."""
        try:
            self._take(self._queue.get(timeout=timeout))
            while True:
                self._take(self._queue.get_nowait())
        except queue.Empty:
            return

    def _take(self, item: TrialRecord | _End) -> None:
        if isinstance(item, _End):
            self._end = item
        else:
            self._waiting[item.number] = item

    def _written(self) -> bool:
        """Write what waits; whatever MLflow raises is said once and never reaches the study."""
        try:
            if self._lock is None:
                self._lock = _claim(self._directory)
            if self._runs is None:
                self._runs = StudyRuns(self._directory, self._study, self._study_yaml, self._place)
            for number in sorted(self._waiting):
                self._runs.write_trial(self._waiting[number])
                del self._waiting[number]
            if self._end:
                self._runs.write_study(self._end.records, self._end.finals)
        except Exception as error:
            self._warn(error)
            return False
        return True

    def _warn(self, error: Exception) -> None:
        if not self._warned:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            logger.warning(
                "MLflow's runs at %s cannot be written (%s); the study goes on, its records are safe, "
                "and `archfront report %s` catches up later", self._place.shown_uri, reason, self._directory,
            )  # fmt: skip
        self._warned = True


def _claim(directory: Path) -> int:
    """Be the only writer of a directory's runs until the descriptor is closed: a report may be asked for while the study runs."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise RuntimeError("another archfront is writing them") from None
    return descriptor


def serve_ui(directory: Path, port: int = 5000, uri: str | None = None) -> None:
    """Run MLflow's own interface on 127.0.0.1 until it is interrupted; its address goes to stderr once it answers.

    Raises SpecError where nothing was tracked, the port is taken or the interface does not start. To be called in the main thread.
    """
    backend, page = _backend(directory, uri)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise SpecError(f"port {port} is taken on this machine; choose another one with --port") from None
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    quiet = {**SETTINGS, **os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # no helper processes for what studies do not use
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that the server never outlives us
    with tempfile.TemporaryFile() as talk:
        server = subprocess.Popen(
            [*command, "--backend-store-uri", backend],
            env=quiet,
            stdout=talk,
            stderr=talk,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            if not _answers(server, port):
                talk.seek(0)
                last = talk.read().decode(errors="replace").strip().splitlines()[-1:]
                raise SpecError(f"MLflow's interface did not start on port {port}; it said: {' '.join(last) or 'nothing'}")
            print(f"MLflow is at http://127.0.0.1:{port}{page} (Ctrl-C ends it)", file=sys.stderr, flush=True)
            server.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGTERM)
            server.wait()


def _backend(directory: Path, uri: str | None) -> tuple[str, str]:
    """What MLflow's server is given, and the page to open."""
    check_uri(uri)
    if uri is None and not (directory / PLACE).exists():
        raise SpecError(
            f"{directory} has no {PLACE}, so nothing was tracked there; name the directory of a study that `archfront run` has begun"
        )
    place = place_of(directory, uri)
    if place.tracking_uri is None:
        if not (directory / DATABASE).exists():
            raise SpecError(f"{directory} has no {DATABASE}; `archfront report {directory}` writes it from the records")
        follow_move(directory)
        return place.uri(directory), page_of(directory)
    if not is_database(place.tracking_uri):
        raise SpecError(f"the runs of {directory} are on a server of their own; open {place.shown_uri} in a browser")
    return place.uri(directory), ""


def _answers(server: subprocess.Popen[bytes], port: int) -> bool:
    """Wait until it listens, ends, or has had its time."""
    deadline = time.monotonic() + START_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.2)
        else:
            return True
    return False
