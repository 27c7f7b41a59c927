"""A cluster that is joined and dies: its head is a second program here, as `ray start` makes it, on the loopback."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from analysis.records.record import read_records
from tests.support.processes import process_named, processes_with

ROOT = Path(__file__).resolve().parents[3]
TRIALS = 12
DRIVER_MARK, HEAD_MARK = "ARCHFRONT_TEST_DRIVER", "ARCHFRONT_TEST_HEAD"
"""In the environments of a driver and of a head, and of all that they started."""
START_SECONDS = 120.0
DRIVER = f"""
import sys
from pathlib import Path
from tests.support import fakes
from trials.commands.talk import hush_libraries
from trials.commands.verbs import VERBS
from trials.driver.run_study import run_study
from trials.machine.supervision import supervised

def work():
    hush_libraries()
    study, text = fakes.small_study(search={{"trials": {TRIALS}}}, workers={{"count": 2}})
    directory, tracking, address = sys.argv[1:]
    run_study(study, Path(directory), study_text=text, evaluate=fakes.slow, tracking_uri=tracking, address=address)
    return 0

sys.exit(supervised(work, VERBS["run"].interrupted, VERBS["run"].vanished))
"""


def without_ray() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}


@dataclass(frozen=True)
class Head:
    """A cluster of one node."""

    address: str
    folder: Path

    def end(self, program: str, number: signal.Signals) -> None:
        """Have one of its processes ended."""
        os.kill(process_named(program, HEAD_MARK, str(self.folder)).number, number)


@contextmanager
def a_head() -> Iterator[Head]:
    """One that is up, and of which nothing is left."""
    folder = Path(tempfile.mkdtemp(prefix="af-"))  # short: Ray's sockets lie in it
    with socket.socket() as one, socket.socket() as other:
        for free in (one, other):
            free.bind(("127.0.0.1", 0))
        port, client = one.getsockname()[1], other.getsockname()[1]
    command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--node-ip-address=127.0.0.1", f"--port={port}"]
    command += [f"--temp-dir={folder}", "--include-dashboard=false", f"--ray-client-server-port={client}", "--min-worker-port=0"]
    command += ["--max-worker-port=0", "--num-cpus=2", "--object-store-memory=100000000"]
    environment = {**without_ray(), "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled", HEAD_MARK: str(folder)}
    environment["PYTHONPATH"] = str(ROOT)  # for what stands in for training
    with (folder / "out").open("w") as out:
        head = subprocess.Popen(command, env=environment, stdout=out, stderr=out, start_new_session=True)
    try:
        deadline = time.monotonic() + START_SECONDS
        while "Ray runtime started" not in (folder / "out").read_text():
            assert head.poll() is None, (folder / "out").read_text()
            assert time.monotonic() < deadline, (folder / "out").read_text()
            time.sleep(0.2)
        yield Head(f"127.0.0.1:{port}", folder)
    finally:
        for process in processes_with(HEAD_MARK, str(folder)):
            with suppress(ProcessLookupError):
                os.kill(process.number, signal.SIGKILL)
        head.wait()
        shutil.rmtree(folder, ignore_errors=True)


def drive(directory: Path, tracking: str, head: Head) -> subprocess.Popen[str]:
    environment = {**without_ray(), "RAY_AUTH_MODE": "disabled", DRIVER_MARK: str(directory)}
    command = [sys.executable, "-c", DRIVER, str(directory), tracking, head.address]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)


@pytest.mark.more
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda number: number.name)
@pytest.mark.parametrize("program", ["gcs_server", "raylet"])
def test_the_end_of_a_cluster_that_was_joined_is_one_sentence_and_the_same_command_continues(
    program: str, number: signal.Signals, tmp_path: Path, tracking: str
) -> None:
    """The raylet takes its driver along, sometimes before we can tell which it was."""
    directory = tmp_path / "study"
    with a_head() as head:
        driver = drive(directory, tracking, head)
        try:
            deadline = time.monotonic() + START_SECONDS
            while len(read_records(directory)) < 2 and time.monotonic() < deadline:
                assert driver.poll() is None
                time.sleep(0.02)
            head.end(program, number)
            _, complaints = driver.communicate(timeout=200)
        finally:
            driver.kill()
            driver.wait()
        assert driver.returncode == 1
        (sentence,) = complaints.splitlines()
        assert re.match(
            rf"archfront: (the {program} of the Ray cluster at --address='|the process that did the work ended with )", sentence
        )
        assert sentence.endswith("the same command continues")
        assert not processes_with(DRIVER_MARK, str(directory)), "those of the driver; the cluster's are its own"
    kept = (directory / "records.jsonl").read_bytes()
    with a_head() as head:
        driver = drive(directory, tracking, head)
        assert (driver.wait(timeout=400), driver.communicate()[1]) == (0, "")
    assert (directory / "records.jsonl").read_bytes().startswith(kept)
    records = read_records(directory)
    assert [record.number for record in records] == list(range(TRIALS + 2))
    assert all(record.finished for record in records), "none is lost for the cluster's end"
