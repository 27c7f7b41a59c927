"""A server of MLflow that is killed in the middle of a study and is back a minute later: everything is there once, without a hand."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from analysis.records.record import TrialRecord
from tests.support import fakes
from trials.driver.run_study import run_study
from trials.trial.task import TrialTask

AWAY_SECONDS = 60.0
TRIAL_SECONDS = 4.0
DURING = 8
"""Trials that end whether the server is there or not; those that follow wait until it is back."""


def unhurried(back: Path, task: TrialTask) -> TrialRecord:
    """As `fakes.plausible`, later."""
    time.sleep(TRIAL_SECONDS)
    if task.number >= DURING:
        until(back.exists)
    return fakes.plausible(task)


class Server:
    """MLflow's own server as a program, with its own database."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{port}"
        self._database, self._folder = f"sqlite:///{folder / 'server.db'}", folder
        self._command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", self._database, "--host", "127.0.0.1"]
        self._command += ["--port", str(port), "--workers", "1", "--artifacts-destination", str(folder / "files")]
        self._program: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self._folder / "server.log").open("ab") as log:
            self._program = subprocess.Popen(self._command, stdout=log, stderr=log, cwd=self._folder, start_new_session=True)
        until(self._answers)

    def kill(self) -> None:
        if self._program is not None:
            os.killpg(self._program.pid, signal.SIGKILL)
            self._program.wait()
            self._program = None

    def runs(self) -> list[Any]:
        from mlflow.tracking import MlflowClient

        client = MlflowClient(tracking_uri=self._database)
        return list(client.search_runs([each.experiment_id for each in client.search_experiments()]))

    def _answers(self) -> bool:
        with suppress(OSError), urllib.request.urlopen(f"{self.uri}/health", timeout=5) as answer:
            return bool(answer.status == 200)
        return False


def until(holds: Callable[[], bool], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.5)


@pytest.mark.slow
@pytest.mark.more
@pytest.mark.usefixtures("ray_here", "mlflow_process")
def test_a_server_that_is_killed_for_a_minute_lacks_nothing_and_has_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    study, text = fakes.small_study()
    server, directory, seen = Server(tmp_path), tmp_path / "study", dict[str, int]()
    server.start()

    def go_away() -> None:
        records = directory / "records.jsonl"
        until(lambda: records.exists() and records.read_bytes().count(b"\n") >= 2)
        server.kill()
        time.sleep(AWAY_SECONDS)
        seen["while it was away"] = records.read_bytes().count(b"\n")
        server.start()
        seen["when it was back"] = records.read_bytes().count(b"\n")
        (tmp_path / "back").touch()

    outage = threading.Thread(target=go_away)
    outage.start()
    try:
        with caplog.at_level(logging.WARNING):
            result = run_study(study, directory, study_text=text, tracking_uri=server.uri, evaluate=partial(unhurried, tmp_path / "back"))
        outage.join()
        runs = server.runs()
    finally:
        server.kill()
    assert 2 < seen["while it was away"] <= seen["when it was back"] < len(result.records), "it was away in mid-study"
    assert sum("cannot be written" in said for said in caplog.messages) == 1
    numbers = Counter(int(run.data.tags["archfront.number"]) for run in runs if "archfront.number" in run.data.tags)
    assert numbers == Counter(record.number for record in result.records)
    assert {run.info.status for run in runs} == {"FINISHED"}
    losses = {
        int(run.data.tags["archfront.number"]): run.data.metrics["bits_per_byte"] for run in runs if "archfront.number" in run.data.tags
    }
    assert losses == {r.number: r.training.validation.bits_per_byte for r in result.records if r.training and r.training.validation}
