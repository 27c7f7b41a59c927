"""A study in MLflow while it runs: a trial's run from its start, its curve on the way, the front so far, and what interrupts it."""

from __future__ import annotations

import io
import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from analysis.records.record import Outcome, TrialRecord
from analysis.records.training import CurvePoint
from tests.support.mlflow_here import empty_database
from tests.support.needs import rest_is_more
from tests.support.sample_study import sample_finals
from tests.trials.tracking.test_mlflow_tracker import ROOT, STUDY_YAML, Store, records, study
from trials.driver import trial_news
from trials.driver.trial_news import Teller, heard
from trials.progress.watch import News
from trials.tracking import mlflow_writer
from trials.tracking.mlflow_curves import growing_curve
from trials.tracking.mlflow_location import DATABASE, location_of
from trials.tracking.mlflow_tracker import Tracker
from trials.tracking.mlflow_writer import Begun, End, Grown, Item, Page, Task, Writer
from trials.trial.task import TrialTask

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")  # MLflow's own use of SQLAlchemy

STARTED_MS = 1_700_000_000_000


class WriterHere:
    """The writer of a directory in a thread of this process, given what a driver gives it."""

    def __init__(self, directory: Path, uri: str | None = None) -> None:
        if uri is None and not (directory / DATABASE).exists():
            shutil.copyfile(empty_database(), directory / DATABASE)
        self.answers, self._coming = io.StringIO(), queue.SimpleQueue[Item | None]()
        task = Task(directory, study(), STUDY_YAML, location_of(directory, uri))
        self.writer = Writer(task, self._coming, self.answers)
        self._thread = threading.Thread(target=self.writer.work, daemon=True)
        self._thread.start()

    def tell(self, *items: Item) -> None:
        for item in items:
            self._coming.put(item)

    def join(self) -> list[dict[str, Any]]:
        """Wait for its end; what it complained about."""
        self._thread.join(60)
        assert not self._thread.is_alive()
        if self.writer._lock is not None:
            os.close(self.writer._lock)
        said = [json.loads(line) for line in self.answers.getvalue().splitlines()]
        return [answer for answer in said if "whole" not in answer]

    def end(self, seen: list[TrialRecord]) -> list[dict[str, Any]]:
        self.tell(End(tuple(seen), sample_finals(seen)), Page(None))
        return self.join()

    def leave(self) -> list[dict[str, Any]]:
        self.writer.leave()
        return self.join()


def begun(record: TrialRecord) -> Begun:
    return Begun(TrialTask.of(record), STARTED_MS)


def grown(record: TrialRecord, points: int | None = None) -> Grown:
    training = record.training
    assert training is not None
    return Grown(record.number, training.curve[:points], training.planned_tokens)


def until(holds: Callable[[], bool], seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.05)


def curves(store: Store, number: int) -> dict[str, list[tuple[int, float]]]:
    return {name: store.history(number, name) for name in ("training_loss", "validation_loss")}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that nobody saw before it was over."""
    directory = tmp_path_factory.mktemp("whole")
    assert WriterHere(directory).end(records()) == []
    return directory


# --- what is said on the way


@pytest.mark.slow
def test_a_curve_on_its_way_is_the_beginning_of_the_one_that_it_becomes(whole: Path) -> None:
    record, store = records()[5], Store(whole)
    assert record.training is not None
    for count in range(len(record.training.curve) + 1):
        for point in growing_curve(record.training.curve[:count], record.training.planned_tokens, STARTED_MS):
            assert (point.step, point.value) in store.history(5, point.name)
    timed = growing_curve(record.training.curve, None, STARTED_MS)
    assert {point.step for point in timed} == {point.tokens for point in record.training.curve if point.validation_loss is not None}


def test_what_a_trial_says_on_a_worker_is_heard_with_its_newest_points(monkeypatch: pytest.MonkeyPatch) -> None:
    said: dict[bytes, bytes] = {}
    monkeypatch.setattr(trial_news, "_key", lambda number="": str(number).encode())
    monkeypatch.setattr("ray.experimental.internal_kv._internal_kv_put", lambda key, value, **_: said.update({key: value}))
    monkeypatch.setattr("ray.experimental.internal_kv._internal_kv_get", lambda key, **_: said.get(key))
    teller = Teller(3, 1_000, lambda: 7.0)
    teller.waits(is_away=True)
    assert heard([3]) == {3: News("waiting", held_seconds=7.0)}
    teller.trains()
    assert heard([3, 4]) == {3: News("training", 0, 1_000, held_seconds=7.0)}
    points = [CurvePoint(tokens=at, seconds=at / 10, training_loss=1 / at) for at in range(1, 100)]
    for point in points:
        teller.at(point)  # all but the first within half a second, and so not said
    evaluated = CurvePoint(tokens=100, seconds=10.0, training_loss=float("nan"), validation_loss=2.5)
    teller.at(evaluated)
    [news] = heard([3]).values()
    assert (news.doing, news.tokens, news.planned_tokens) == ("training", 100, 1_000)
    assert news.curve == (*points[-31:], replace(evaluated, training_loss=None))


# --- in the store


@pytest.mark.slow
def test_a_trial_has_its_run_from_its_start_and_a_point_at_every_evaluation(tmp_path: Path, whole: Path) -> None:
    seen = records()
    here = WriterHere(tmp_path)
    here.tell(*seen[:4], begun(seen[4]), begun(seen[5]))
    until(lambda: len(_runs(tmp_path)) == 7)
    until(lambda: "hypervolume" in Store(tmp_path).parent.data.metrics)
    running = Store(tmp_path)
    assert {number for number, run in running.children.items() if run.info.status == "RUNNING"} == {4, 5}
    assert running.parent.info.status == "RUNNING"
    assert running.children[5].info.run_name == seen[5].title
    assert running.children[5].data.params["hidden_size"] == str(seen[5].architecture.hidden_size)
    assert {"trials", "front_size", "hypervolume", "best_bits_per_byte", "best_total_ms"} <= set(running.parent.data.metrics)
    assert running.parent.data.metrics["trials"] == 4
    assert "front_probability" in running.parent.data.tags["mlflow.note.content"]
    here.tell(grown(seen[5], 9))
    until(lambda: bool(curves(Store(tmp_path), 5)["training_loss"]))
    here.tell(grown(seen[5]), seen[5], grown(seen[5]))  # what comes late changes nothing
    assert here.end(seen) == []
    after, before = Store(tmp_path), Store(whole)
    assert {number: curves(after, number) for number in after.children} == {number: curves(before, number) for number in before.children}
    for number, run in after.children.items():
        there = before.children[number]
        assert (run.info.status, run.data.metrics, run.data.params) == (there.info.status, there.data.metrics, there.data.params)
        assert {name: tag for name, tag in run.data.tags.items() if "parent" not in name} == {
            name: tag for name, tag in there.data.tags.items() if "parent" not in name
        }
    steps = after.client.get_metric_history(after.parent.info.run_id, "hypervolume")
    assert [point.step for point in steps] == [4, 14]
    assert after.parent.data.metrics == before.parent.data.metrics


@pytest.mark.slow
def test_a_trial_that_was_cut_short_is_killed_and_goes_on_in_its_run(tmp_path: Path, whole: Path) -> None:
    seen = records()
    here = WriterHere(tmp_path)
    here.tell(*seen[:5], begun(seen[5]), begun(seen[6]), grown(seen[5], 9))
    until(lambda: len(_runs(tmp_path)) == 8 and bool(curves(Store(tmp_path), 5)["training_loss"]))
    assert here.leave() == []
    left = Store(tmp_path)
    assert {number for number, run in left.children.items() if run.info.status == "KILLED"} == {5, 6}
    assert left.parent.info.status == "KILLED"

    again = WriterHere(tmp_path)
    again.tell(*seen[:5], begun(seen[5]))
    until(lambda: Store(tmp_path).children[5].info.status == "RUNNING")
    assert Store(tmp_path).children[5].info.run_id == left.children[5].info.run_id
    assert Store(tmp_path).children[6].info.status == "KILLED"
    assert again.end(seen) == []
    assert set(Store(tmp_path).children) == set(range(len(seen)))
    assert curves(Store(tmp_path), 5) == curves(Store(whole), 5), "no point is there twice"


@pytest.mark.slow
def test_a_training_that_began_anew_with_other_losses_has_a_run_of_its_own(tmp_path: Path, whole: Path) -> None:
    seen = records()
    other = replace(grown(seen[5], 9), curve=tuple(replace(point, training_loss=7.0) for point in grown(seen[5], 9).curve))
    here = WriterHere(tmp_path)
    here.tell(begun(seen[5]), other)
    until(lambda: len(_runs(tmp_path)) == 2 and bool(curves(Store(tmp_path), 5)["training_loss"]))
    before = Store(tmp_path).children[5].info.run_id
    assert here.end(seen) == []
    assert Store(tmp_path).children[5].info.run_id != before
    assert curves(Store(tmp_path), 5) == curves(Store(whole), 5)


@pytest.mark.slow
def test_a_lost_trial_keeps_what_was_seen_of_it(tmp_path: Path) -> None:
    seen = records()
    here = WriterHere(tmp_path)
    here.tell(begun(seen[5]), grown(seen[5], 9))
    until(lambda: len(_runs(tmp_path)) == 2 and bool(curves(Store(tmp_path), 5)["training_loss"]))
    drawn = curves(Store(tmp_path), 5)
    seen[5] = replace(seen[5], outcome=Outcome.LOST, reason="its process ended", training=None)
    assert here.end(seen) == []
    assert (Store(tmp_path).children[5].info.status, curves(Store(tmp_path), 5)) == ("KILLED", drawn)


def _runs(directory: Path) -> list[Any]:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{directory / DATABASE}")
    experiment = client.get_experiment_by_name("sample")
    return [] if experiment is None else list(client.search_runs([experiment.experiment_id]))


# --- what interrupts it


@pytest.mark.slow
@pytest.mark.parametrize("how", rest_is_more(["killed", "abandoned"], "killed"))
def test_no_trial_of_a_driver_that_ended_is_shown_as_running(how: str, tmp_path: Path) -> None:
    shutil.copyfile(empty_database(), tmp_path / DATABASE)
    code = (
        "import time; from pathlib import Path; from tests.trials.tracking.test_mlflow_live import *\n"
        f"tracker = Tracker(Path({str(tmp_path)!r}), study(), STUDY_YAML); tracker.start()\n"
        "tracker.record(records()[4]); tracker.begun(TrialTask.of(records()[5]))\n"
        "input(); tracker.abandon()"
    )
    driver = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, text=True)
    try:
        until(lambda: driver.poll() is None and len(_runs(tmp_path)) == 3)
        assert Store(tmp_path).children[5].info.status == "RUNNING"
        if how == "killed":
            driver.send_signal(signal.SIGKILL)
        else:
            driver.communicate("\n")
    finally:
        driver.kill()
        driver.communicate()
    until(lambda: Store(tmp_path).children[5].info.status == "KILLED")
    assert Store(tmp_path).parent.info.status == "KILLED"
    assert Store(tmp_path).children[4].info.status == "FINISHED"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:starlette.middleware.wsgi is deprecated")  # MLflow's server imports it
@pytest.mark.parametrize("moment", ["on the way", "at the end"])
def test_a_server_that_goes_away_and_comes_back_has_everything_once(moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow_writer, "LONGEST_PAUSE_SECONDS", 2.0)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    seen, directory = records(), tmp_path / "study"
    directory.mkdir()
    server = MlflowServer(tmp_path, monkeypatch)
    with server.running():
        here = WriterHere(directory, server.uri)
        here.tell(*seen[:5], begun(seen[5]))
        until(lambda: len(server.runs()) == 7)
    here.tell(grown(seen[5], 9), seen[6], begun(seen[8]))
    if moment == "at the end":
        here.tell(End(tuple(seen), sample_finals(seen)), Page(None))
    until(lambda: "failed" in here.answers.getvalue())
    with server.running():
        complaints = here.join() if moment == "at the end" else here.end(seen)
        runs = server.runs()
    assert all(complaint["heals"] for complaint in complaints)
    numbers = sorted(int(run.data.tags["archfront.number"]) for run in runs if "archfront.number" in run.data.tags)
    assert numbers == list(range(len(seen)))
    assert {run.info.status for run in runs if run.data.tags.get("archfront.outcome", "finished") == "finished"} == {"FINISHED"}
    assert any("archfront.written" in run.data.tags for run in runs)


class MlflowServer:
    """MLflow's own server on a port of its own, in a thread of this process."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        database = folder / "server.db"
        shutil.copyfile(empty_database(), database)
        for name, value in {
            "FILE_STORE": f"sqlite:///{database}", "SERVE_ARTIFACTS": "true",
            "ARTIFACT_ROOT": "mlflow-artifacts:/", "ARTIFACT_DESTINATION": str(folder / "files"),
        }.items():  # fmt: skip
            monkeypatch.setenv(f"_MLFLOW_SERVER_{name}", value)
        self._database = database
        for kept in ("_tracking_store", "_artifact_repo"):  # a process of MLflow's serves one database
            monkeypatch.setattr(f"mlflow.server.handlers.{kept}", None)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = int(free.getsockname()[1])

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @contextmanager
    def running(self) -> Iterator[None]:
        from mlflow.server import app
        from werkzeug.serving import make_server

        server = make_server("127.0.0.1", self._port, app, threaded=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def runs(self) -> list[Any]:
        from mlflow.tracking import MlflowClient

        client = MlflowClient(tracking_uri=f"sqlite:///{self._database}")
        return list(client.search_runs([each.experiment_id for each in client.search_experiments()]))


def test_a_tracker_passes_on_each_point_of_a_curve_once(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path, study(), STUDY_YAML)
    curve = grown(records()[5]).curve
    tracker.begun(TrialTask.of(records()[5]))
    for count in (1, 1, 3, 3):
        tracker.heard({5: News("training", curve[count - 1].tokens, 1_000, curve[:count]), 6: News("latency")})
    tracker.begun(TrialTask.of(records()[5]))  # given back, and begun anew
    tracker.heard({5: News("training", curve[0].tokens, 1_000, curve[:1])})
    came = [tracker._queue.get_nowait() for _ in range(tracker._queue.qsize())]
    assert [type(item).__name__ for item in came] == ["Begun", "Grown", "Grown", "Begun", "Grown"]
