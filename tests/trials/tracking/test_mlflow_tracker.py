from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from analysis.fronts.front import front_of
from analysis.fronts.membership import estimate_membership
from analysis.fronts.rows import front_rows
from analysis.records.record import Outcome, TrialRecord
from analysis.records.training import CurvePoint
from search_space.errors import SpecError
from tests.support.mlflow_here import TrackerHere
from tests.support.sample_study import sample_finals, sample_records
from trials.study.load_study import parse_study
from trials.study.spec import StudySpec
from trials.tracking.mlflow_interface import serve_ui
from trials.tracking.mlflow_location import location_of
from trials.tracking.mlflow_study_content import front_data, front_note, study_metrics, study_parameters
from trials.tracking.mlflow_tracker import Tracker
from trials.tracking.mlflow_trial_content import digest, trial_run

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")  # MLflow's own use of SQLAlchemy

ROOT = Path(__file__).resolve().parents[3]
CORPUS_SHA256 = "0123456789abcdef" * 4
STUDY_YAML = """
name: sample
corpus: {name: python-stdlib}
budget: {parameters: 250_000}
space: {vocab_size: 512, hidden_size: {from: 32, to: 128, step: 8}, intermediate_size: {solve: true}}
proxy: {tokens: 400_000}
search: {trials: 12}
"""
COUNT = 14
"""Two references, twelve sampled shapes; numbers 7, 11 and 13 do not finish."""


def study() -> StudySpec:
    import yaml

    return parse_study(yaml.safe_load(STUDY_YAML))


def records(count: int = COUNT) -> list[TrialRecord]:
    return [_with_corpus(record) for record in sample_records(count)]


def _with_corpus(record: TrialRecord) -> TrialRecord:
    return replace(record, training=record.training and replace(record.training, corpus_sha256=CORPUS_SHA256))


def track(directory: Path, seen: list[TrialRecord], uri: str | None = None) -> None:
    tracker = TrackerHere(directory, study(), STUDY_YAML, uri)
    tracker.start()
    tracker.catch_up(seen)
    tracker.finish(seen, sample_finals(seen))
    tracker.close()


class Store:
    """What stands in a directory's database, read by MLflow's own client."""

    def __init__(self, directory: Path) -> None:
        from mlflow.tracking import MlflowClient

        self.client = MlflowClient(tracking_uri=f"sqlite:///{directory / 'mlflow.db'}")
        self.experiment = self.client.get_experiment_by_name("sample")
        self.runs = list(self.client.search_runs([self.experiment.experiment_id], max_results=1000))
        (self.parent,) = [run for run in self.runs if "mlflow.parentRunId" not in run.data.tags]
        nested = [run for run in self.runs if run is not self.parent]
        self.children = {int(run.data.tags["archfront.number"]): run for run in nested}
        assert len(self.children) == len(nested), "a trial has two runs"

    def contents(self) -> dict[str, Any]:
        """Everything that a second writing could have changed or added."""
        return {
            run.info.run_id: (run.info.status, run.info.end_time, run.data.metrics, run.data.params, run.data.tags) for run in self.runs
        }

    def history(self, number: int, metric: str) -> list[tuple[int, float]]:
        return [(point.step, point.value) for point in self.client.get_metric_history(self.children[number].info.run_id, metric)]

    def points(self) -> int:
        """How many metric points there are in all."""
        return sum(len(self.client.get_metric_history(run.info.run_id, name)) for run in self.runs for name in run.data.metrics)


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that was tracked while it ran, in a directory whose name is not an easy one."""
    directory = tmp_path_factory.mktemp("tracked") / "study #1 of 2"
    directory.mkdir()
    (directory / "mlflow.new").write_text("what a kill -9 while the tables were created left behind")
    seen = records()
    tracker = Tracker(directory, study(), STUDY_YAML)
    tracker.start()
    for record in seen:
        tracker.record(record)
    tracker.finish(seen, sample_finals(seen))
    tracker.close()
    return directory


@pytest.fixture
def copied(tracked: Path, tmp_path: Path) -> Path:
    """The same study after its directory was copied elsewhere."""
    return Path(shutil.copytree(tracked, tmp_path / "copy"))


# --- what a record looks like as a run


def test_a_run_speaks_in_hugging_face_words() -> None:
    parameters = trial_run(records()[5]).parameters
    assert parameters["num_key_value_heads"] == "4"
    assert (parameters["num_unique_layers"], parameters["num_hidden_layers"]) == ("9", "18")
    assert (parameters["sharing_strategy"], parameters["sharing_repeats"], parameters["sharing_part"]) == ("immediate", "2", "block")
    assert parameters["layer_types"] == "full_attention"
    assert "sliding_window" not in parameters


def test_only_a_finished_trial_is_finished_and_ranked() -> None:
    for record in records(30):
        run = trial_run(record)
        names = {point.name for point in run.metrics}
        assert (run.status == "FINISHED") == record.finished
        assert ("bits_per_byte" in names) == record.finished
        assert run.tags["archfront.outcome"] == record.outcome
        if not record.finished:
            assert run.tags["mlflow.note.content"] == record.reason


def test_what_was_not_measured_or_is_not_a_number_is_absent() -> None:
    record = records()[5]
    assert record.training is not None
    curve = (CurvePoint(tokens=512, seconds=1.0, training_loss=float("nan")),)
    ruined = replace(record, outcome=Outcome.DIVERGED, latency=None, training=replace(record.training, validation=None, curve=curve))
    run = trial_run(ruined)
    assert not {point.name for point in run.metrics} & {"training_loss", "total_ms", "bits_per_byte", "validation_loss"}
    assert run.parameters["trained_tokens"] == str(record.training.tokens)


def test_a_record_that_was_read_back_is_the_same_run() -> None:
    for record in records():
        again = TrialRecord.from_dict(json.loads(json.dumps(record.as_dict())))
        assert trial_run(again) == trial_run(record)
        assert digest(replace(record, wall_seconds=1.0)) != digest(record)


def test_what_a_resumed_study_may_change_is_no_parameter() -> None:
    changes = {"search": study().search.model_copy(update={"trials": 48}), "workers": study().workers.model_copy(update={"count": 8})}
    more = study().model_copy(update=changes)
    assert study_parameters(more) == study_parameters(study())
    assert study_parameters(study())["proxy.tokens"] == "400000"


def test_a_front_without_members_has_an_empty_table() -> None:
    failures = [record for record in records() if not record.finished]
    front = front_of(failures)
    rows = front_rows(failures, {}, front, estimate_membership(front))
    assert front_data(rows)["data"] == []
    assert "no front" in front_note(rows, front.problem)
    assert {point.name for point in study_metrics(failures, front)} == {"trials", "finished_trials", "front_size"}


# --- in the store


@pytest.mark.slow
def test_every_trial_has_one_nested_run_that_ended_as_its_record_did(tracked: Path) -> None:
    store = Store(tracked)
    seen = {record.number: record for record in records()}
    assert set(store.children) == set(seen)
    assert store.parent.info.status == "FINISHED"
    for number, run in store.children.items():
        assert run.data.tags["mlflow.parentRunId"] == store.parent.info.run_id
        assert run.info.run_name == seen[number].title
        assert (run.info.status == "FINISHED") == seen[number].finished
        assert run.info.end_time - run.info.start_time == round(1000 * seen[number].wall_seconds)


@pytest.mark.slow
def test_curves_finals_and_data_set_are_there(tracked: Path) -> None:
    store, seen = Store(tracked), records()
    training = seen[5].training
    assert training is not None
    assert training.validation is not None
    curve = [(point.tokens, point.validation_loss) for point in training.curve if point.validation_loss is not None]
    assert [step for step, _ in store.history(5, "validation_loss")] == [tokens for tokens, _ in curve]
    metrics = store.children[5].data.metrics
    assert metrics["validation_loss"] == pytest.approx(training.validation.loss)
    assert metrics["parameters"] == seen[5].costs.parameters
    finals = sample_finals(seen)
    front = front_of(seen, finals)
    for number, final in finals.items():
        assert final.test is not None
        assert store.children[number].data.metrics["test_bits_per_byte"] == pytest.approx(final.test.bits_per_byte)
    assert {n for n, run in store.children.items() if run.data.tags.get("archfront.on_front") == "true"} == set(front.members)
    (data,) = store.parent.inputs.dataset_inputs
    assert data.dataset.name == "python-stdlib"
    assert json.loads(data.dataset.source)["sha256"] == CORPUS_SHA256
    assert store.children[5].inputs.dataset_inputs == [], "the trials' is their study's"


@pytest.mark.slow
def test_the_parent_holds_the_front_as_a_table_the_study_and_the_environment(tracked: Path) -> None:
    import mlflow

    store = Store(tracked)
    files = tracked / "mlflow-artifacts" / store.parent.info.run_id / "artifacts"
    assert not (files / "report.html").exists()  # there is none in the directory
    assert (files / "study.yaml").read_text(encoding="utf-8") == STUDY_YAML
    assert json.loads((files / "environment.json").read_text(encoding="utf-8"))["torch"]
    mlflow.set_tracking_uri(f"sqlite:///{tracked / 'mlflow.db'}")
    table = store.client.load_table(store.experiment.experiment_id, "front.json", [store.parent.info.run_id])
    mlflow.set_tracking_uri(None)
    assert list(table[table["on_front"]]["trial"]) == list(front_of(records(), sample_finals(records())).members)
    assert "| wide-shallow |" in store.parent.data.tags["mlflow.note.content"]
    assert "environment.git_dirty" in store.parent.data.tags or "environment.git_commit" not in store.parent.data.tags


@pytest.mark.slow
def test_a_second_catch_up_adds_nothing_even_where_the_directory_was_copied(tracked: Path, copied: Path) -> None:
    before = Store(tracked)
    track(copied, records())
    after = Store(copied)
    assert after.contents() == before.contents()
    assert after.points() == before.points()
    assert after.parent.info.artifact_uri.startswith(copied.as_uri()), "MLflow looks for the files where the directory was"


@pytest.mark.slow
def test_a_run_that_was_cut_short_is_completed(tracked: Path, copied: Path) -> None:
    cut = Store(copied).children[5].info.run_id
    with closing(sqlite3.connect(copied / "mlflow.db")) as database, database:
        database.execute("DELETE FROM metrics WHERE run_uuid = ? AND step > 100000", (cut,))
        database.execute("DELETE FROM latest_metrics WHERE run_uuid = ?", (cut,))
        database.execute("UPDATE runs SET status = 'RUNNING', end_time = NULL WHERE run_uuid = ?", (cut,))
    track(copied, records())
    before, after = Store(tracked), Store(copied)
    assert after.children[5].info.status == "FINISHED"
    assert after.history(5, "training_loss") == before.history(5, "training_loss")
    assert set(after.children) == set(before.children)


@pytest.mark.slow
def test_a_trial_that_was_run_again_replaces_its_run_and_new_trials_join(copied: Path) -> None:
    old = Store(copied).children[5].info.run_id
    seen = records(16)
    seen[5] = replace(seen[5], wall_seconds=1.5)
    track(copied, seen)
    store = Store(copied)
    assert set(store.children) == set(range(16))
    assert store.children[5].info.run_id != old
    assert store.children[5].info.end_time - store.children[5].info.start_time == 1500
    assert store.parent.data.metrics["trials"] == 16


@pytest.mark.slow
def test_a_study_that_was_cut_short_is_killed_and_one_without_success_failed(copied: Path, tmp_path: Path) -> None:
    for name, seen, status in (
        ("short", records(9), "KILLED"),
        ("failed", [record for record in records() if not record.finished], "FAILED"),
    ):
        directory = Path(shutil.copytree(copied, tmp_path / name))
        (directory / "tracking.json").unlink()  # a study of its own in the same store
        tracker = TrackerHere(directory, study(), STUDY_YAML)
        tracker.start()
        tracker.finish(seen, {})
        tracker.close()
        identity = location_of(directory, None).study_id
        store = [run for run in _all_runs(directory) if run.data.tags.get("archfront.study_id") == identity]
        assert [run.info.status for run in store] == [status]


def _all_runs(directory: Path) -> list[Any]:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{directory / 'mlflow.db'}")
    return list(client.search_runs([experiment.experiment_id for experiment in client.search_experiments()]))


@pytest.mark.slow
def test_after_kill_9_the_next_catch_up_has_every_trial_once(copied: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.trials.tracking.test_mlflow_tracker import *\n"
        f"tracker = Tracker(Path({str(copied)!r}), study(), STUDY_YAML); tracker.start(); tracker.catch_up(records(80)); time.sleep(600)"
    )
    driver = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    try:
        while _count_runs(copied) < COUNT + 10:
            assert driver.poll() is None
            time.sleep(0.02)
    finally:
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    assert _count_runs(copied) < 80
    track(copied, records(30))
    store = Store(copied)
    assert set(range(30)) <= set(store.children)
    assert all(store.children[number].info.status != "RUNNING" for number in range(30))


def _count_runs(directory: Path) -> int:
    with closing(sqlite3.connect(directory / "mlflow.db")) as database:
        return int(database.execute("SELECT count(*) FROM runs").fetchone()[0])


@pytest.mark.slow
def test_an_unreachable_server_costs_one_warning_and_is_caught_up_later(
    copied: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    directory = tmp_path / "study"
    directory.mkdir()
    seen = records()
    tracker = Tracker(directory, study(), STUDY_YAML, f"http://127.0.0.1:{_free_port()}")
    with caplog.at_level(logging.WARNING, logger="trials"):
        tracker.start()
        began = time.perf_counter()
        for record in seen:
            tracker.record(record)
        assert time.perf_counter() - began < 1  # one try of a call takes longer
        tracker.finish(seen, {})
        tracker.close()
    said = [record.getMessage() for record in caplog.records if record.name.startswith("trials")]
    assert len(said) == 1
    assert "the study goes on" in said[0]
    track(directory, seen, f"sqlite:///{copied / 'mlflow.db'}")
    store = [run for run in _all_runs(copied) if run.data.tags.get("archfront.study_id") == location_of(directory, None).study_id]
    assert [run.info.status for run in store] == ["FINISHED"]


@pytest.mark.more
@pytest.mark.slow
def test_two_writers_of_one_study_do_not_meet(copied: Path, caplog: pytest.LogCaptureFixture) -> None:
    seen = records(16)
    driver = Tracker(copied, study(), STUDY_YAML)
    driver.start()
    driver.record(seen[14])
    while 14 not in Store(copied).children:
        time.sleep(0.05)
    with caplog.at_level(logging.WARNING, logger="trials"):
        track(copied, seen)  # a report that is asked for meanwhile
    assert "another archfront is writing them" in caplog.text
    assert 15 not in Store(copied).children
    driver.finish(seen, {})
    driver.close()
    assert set(Store(copied).children) == set(range(16))


@pytest.mark.slow
def test_the_writer_ends_with_its_driver(tmp_path: Path) -> None:
    location_of(tmp_path, None)
    code = (
        "import time; from pathlib import Path; from tests.trials.tracking.test_mlflow_tracker import *\n"
        f"tracker = Tracker(Path({str(tmp_path)!r}), study(), STUDY_YAML); tracker.start(); time.sleep(600)"
    )
    driver = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    try:
        while _is_free(tmp_path):
            assert driver.poll() is None
            time.sleep(0.02)
    finally:
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    deadline = time.monotonic() + 10
    while not _is_free(tmp_path):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _is_free(directory: Path) -> bool:
    """Whether nobody writes a directory's runs."""
    inode = directory.stat().st_ino  # to try the lock would keep the writer from it, which does not wait
    return not any(line.split()[1] == "FLOCK" and f":{inode} " in line for line in Path("/proc/locks").read_text().splitlines())


@pytest.mark.slow
def test_a_writer_that_is_killed_costs_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tracker = Tracker(tmp_path, study(), STUDY_YAML)
    with caplog.at_level(logging.WARNING, logger="trials"):
        tracker.start()
        assert tracker._process is not None
        tracker._process.kill()
        for record in records():
            tracker.record(record)
        tracker.finish(records(), {})
        tracker.close()
    (said,) = [record.getMessage() for record in caplog.records if record.name.startswith("trials")]
    assert "the process that writes them was ended by SIGKILL" in said


@pytest.mark.slow
def test_an_abandoned_tracker_leaves_the_directory_to_the_next_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tracker = Tracker(tmp_path, study(), STUDY_YAML)
    with caplog.at_level(logging.WARNING, logger="trials"):
        tracker.start()
        tracker.catch_up(records())
        tracker.abandon()
        track(tmp_path, records())
    assert caplog.text == ""
    assert set(Store(tmp_path).children) == set(range(COUNT))


# --- where the runs are


@pytest.mark.parametrize("uri", ["mlruns", "/tmp/mlruns", "file:///tmp/mlruns", "ftp://host/mlruns"])
def test_a_tracking_uri_that_mlflow_3_cannot_use_is_refused(tmp_path: Path, uri: str) -> None:
    with pytest.raises(SpecError, match="must name a server or a database"):
        Tracker(tmp_path, study(), STUDY_YAML, uri)


def test_a_tracking_uri_is_remembered_but_not_its_password(tmp_path: Path) -> None:
    assert location_of(tmp_path, "http://host:5000").tracking_uri == "http://host:5000"
    place = location_of(tmp_path, None)
    assert place.tracking_uri == "http://host:5000"
    assert place.artifacts_uri(tmp_path) is None
    given = location_of(tmp_path, "postgresql://me:secret@host/db")
    assert given.tracking_uri == "postgresql://me:secret@host/db"
    assert (given.study_id, given.environment) == (place.study_id, place.environment)
    assert "secret" not in given.shown_uri + (tmp_path / "tracking.json").read_text()
    with pytest.raises(SpecError, match=r"must be given again .*me:\*\*\*@host"):
        location_of(tmp_path, None)


# --- MLflow's own interface


@pytest.mark.parametrize("left", [b"", b'{"study_id": "1', b"\x00" * 40, b"\xff", b"3", b"{}"])
def test_a_place_that_was_cut_short_is_decided_anew(left: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = location_of(tmp_path, None)
    (tmp_path / "tracking.json").write_bytes(left)
    second = location_of(tmp_path, None)
    assert "was damaged, so the study's MLflow runs are written once more" in caplog.text
    assert second.study_id != first.study_id
    assert location_of(tmp_path, None) == second


def test_the_interface_needs_a_tracked_study_and_a_free_port(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="nothing was tracked there"):
        serve_ui(tmp_path)
    location_of(tmp_path, None)
    with pytest.raises(SpecError, match=r"has no mlflow\.db; `archfront report"):
        serve_ui(tmp_path)
    location_of(tmp_path, "http://host:5000")
    with pytest.raises(SpecError, match="open http://host:5000 in a browser"):
        serve_ui(tmp_path)


@pytest.mark.slow
def test_a_taken_port_is_said(tracked: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SpecError, match="is taken"):
        serve_ui(tracked, taken.getsockname()[1])


@pytest.fixture
def interface(copied: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    port = _free_port()
    command = [sys.executable, "-m", "archfront", "ui", str(copied), "--port", str(port)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        yield process, port
        process.terminate()


@pytest.mark.more
@pytest.mark.slow
def test_the_interface_shows_the_study_on_loopback_and_ends_whole(interface: tuple[subprocess.Popen[str], int]) -> None:
    process, port = interface
    assert process.stderr is not None
    assert f"http://127.0.0.1:{port}/#/experiments/1/runs" in process.stderr.readline()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/get-by-name?experiment_name=sample", timeout=20) as answer:
        assert json.load(answer)["experiment"]["name"] == "sample"
    process.terminate()
    assert process.wait(30) == 128 + signal.SIGTERM
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), timeout=1)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.mark.parametrize(
    ("module", "heavy"), [("mlflow_tracker", ("mlflow", "plotly", "torch", "ray")), ("mlflow_writer", ("torch", "ray"))]
)
def test_the_driver_does_not_wait_for_mlflow_nor_its_writer_for_torch(module: str, heavy: tuple[str, ...]) -> None:
    code = f"import sys, trials.tracking.{module}; print([name for name in {heavy} if name in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, env=dict(os.environ))
    assert printed.stdout.strip() == "[]"


@pytest.mark.usefixtures("mlflow_process")
@pytest.mark.parametrize("moment", ["start", "catch_up"])
def test_ctrl_c_while_the_tracking_starts_leaves_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    from tests.support.fakes import plausible, small_study
    from trials.driver.run_study import run_study

    trackers: list[Tracker] = []
    begin = Tracker.start

    def interrupted(tracker: Tracker, *_: object) -> None:
        if moment == "start":  # the process is there, its threads are not
            monkeypatch.setattr(tracker._threads[0], "start", lambda: None)
            monkeypatch.setattr(tracker._threads[1], "start", lambda: None)
            begin(tracker)
        trackers.append(tracker)
        raise KeyboardInterrupt

    monkeypatch.setattr(Tracker, moment, interrupted)
    spec, text = small_study()
    with pytest.raises(KeyboardInterrupt):
        run_study(spec, tmp_path / "study", study_text=text, evaluate=plausible)
    process = trackers[0]._process
    assert process is not None
    assert process.poll() is not None
