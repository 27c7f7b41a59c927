"""kill -9 of the driver, at several moments: the next run continues, and nothing that was finished is lost, repeated or altered."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from analysis.records.record import read_records
from tests.support import fakes
from tests.support.processes import processes_with
from trials.driver.agenda import Agenda
from trials.search.proposer import Proposer
from trials.tracking.mlflow_location import location_of
from trials.trial.references import references
from trials.trial.task import TrialTask

ROOT = Path(__file__).resolve().parents[3]
TRIALS, WORKERS = 24, 2
MARK = "ARCHFRONT_TEST_STUDY"
"""In the environment of a driver and of all that it started."""
DRIVER = f"""
import sys
from pathlib import Path
from tests.support import fakes
from tests.support.processes import processes_with
from trials.commands.talk import hush_libraries
from trials.driver.run_study import run_study
study, text = fakes.small_study(search={{"trials": {TRIALS}}}, workers={{"count": {WORKERS}}})

def work():
    run_study(study, Path(sys.argv[1]), study_text=text, evaluate=fakes.slow, tracking_uri=sys.argv[2])
    return 0
"""
ALONE = f"{DRIVER}work()"
IN_FRONT = f"""{DRIVER}
from trials.commands.verbs import VERBS
from trials.machine.supervision import supervised

def as_the_program():
    hush_libraries()
    return work()

sys.exit(supervised(as_the_program, VERBS["run"].interrupted, VERBS["run"].vanished))
"""

RUNS_OF_TRIALS = """
SELECT number.value, runs.status FROM tags AS study
JOIN tags AS parent ON parent.key = 'mlflow.parentRunId' AND parent.value = study.run_uuid
JOIN tags AS number ON number.run_uuid = parent.run_uuid AND number.key = 'archfront.number'
JOIN runs ON runs.run_uuid = parent.run_uuid AND runs.lifecycle_stage = 'active'
WHERE study.key = 'archfront.study_id' AND study.value = ?
"""
"""Number and status of each in MLflow's database."""


def drive(directory: Path, tracking: str, program: str = ALONE) -> subprocess.Popen[bytes]:
    command, environment = [sys.executable, "-c", program, str(directory), tracking], {**os.environ, MARK: str(directory)}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE if program == IN_FRONT else None)


def wait_for(count: int, directory: Path, driver: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 400
    while time.monotonic() < deadline:
        path = directory / "records.jsonl"
        if path.exists() and path.read_bytes().count(b"\n") >= count:
            return
        assert driver.poll() is None, "the driver ended by itself"
        time.sleep(0.02)
    pytest.fail(f"no {count} records in time")


def expected() -> dict[int, str]:
    """What an undisturbed study tries, by asking the agenda without Ray."""
    study, _ = fakes.small_study(search={"trials": TRIALS}, workers={"count": WORKERS})
    space = study.search_space
    agenda = Agenda(study, references(study.references, space), [], lambda: Proposer(space, 0, study.search.sampler))
    while isinstance(task := agenda.next(), TrialTask):
        agenda.add(fakes.plausible(task))
    return {number: record.architecture.key for number, record in agenda.records.items()}


@pytest.mark.slow
def test_a_killed_driver_is_continued_and_nothing_is_lost_repeated_or_altered(tmp_path: Path, tracking: str) -> None:
    directory, kept = tmp_path / "study", b""
    for count in (3, 11):
        driver = drive(directory, tracking)
        try:
            wait_for(count, directory, driver)
        finally:
            driver.send_signal(signal.SIGKILL)
            driver.wait()
        now = (directory / "records.jsonl").read_bytes()
        assert now.startswith(kept)
        kept = now
    with open(directory / "records.jsonl", "ab") as file:
        file.write(b'{"number": 99, "kind": "sam')  # as a power cut leaves it
    assert drive(directory, tracking).wait(timeout=400) == 0
    assert (directory / "records.jsonl").read_bytes().startswith(kept)
    records = read_records(directory)
    assert [record.number for record in records] == list(range(TRIALS + 2))
    assert {record.number: record.architecture.key for record in records} == expected()
    with closing(sqlite3.connect(tracking.removeprefix("sqlite:///"))) as database:
        runs = database.execute(RUNS_OF_TRIALS, (location_of(directory, None).study_id,)).fetchall()
    assert sorted(int(number) for number, _ in runs) == list(range(TRIALS + 2)), "a trial has two runs, or none"
    assert {status for _, status in runs} == {"FINISHED"}


@pytest.mark.more
@pytest.mark.slow
def test_ctrl_c_ends_the_driver_soon_and_keeps_what_is_recorded(tmp_path: Path, tracking: str) -> None:
    directory = tmp_path / "study"
    driver = drive(directory, tracking)
    try:
        wait_for(2, directory, driver)
        driver.send_signal(signal.SIGINT)
        assert driver.wait(timeout=60) == -signal.SIGINT
    finally:
        driver.kill()
        driver.wait()
    records = read_records(directory)
    assert 2 <= len(records) < TRIALS
    deadline = time.monotonic() + 30
    while (left := processes_with(MARK, str(directory))) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not left


def to_the_front(driver: subprocess.Popen[bytes], directory: Path, number: signal.Signals) -> None:
    driver.send_signal(number)


def three_times(driver: subprocess.Popen[bytes], directory: Path, number: signal.Signals) -> None:
    for _ in range(3):
        driver.send_signal(number)
        time.sleep(0.5)


def to_every_process(driver: subprocess.Popen[bytes], directory: Path, number: signal.Signals) -> None:
    """As a service manager does."""
    for process in processes_with(MARK, str(directory)):
        with suppress(ProcessLookupError):
            os.kill(process.number, number)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "send"),
    [
        (signal.SIGTERM, to_every_process),
        pytest.param(signal.SIGTERM, to_the_front, marks=pytest.mark.more),
        pytest.param(signal.SIGHUP, to_the_front, marks=pytest.mark.more),
        pytest.param(signal.SIGINT, three_times, marks=pytest.mark.more),
    ],
)
def test_a_signal_ends_a_study_with_a_sentence_its_code_and_no_process(
    number: signal.Signals, send: Callable[[subprocess.Popen[bytes], Path, signal.Signals], None], tmp_path: Path, tracking: str
) -> None:
    directory = tmp_path / "study"
    driver = drive(directory, tracking, IN_FRONT)
    try:
        wait_for(2, directory, driver)
        send(driver, directory, number)
        began = time.monotonic()
        _, said = driver.communicate(timeout=60)
    finally:
        driver.kill()
        driver.wait()
    assert time.monotonic() - began < 10
    assert driver.returncode == 128 + number
    assert said.decode().splitlines() == [
        f"archfront: interrupted by {number.name}; what was recorded is kept, and the same command continues"
    ]
    assert not processes_with(MARK, str(directory))
    records = read_records(directory)
    assert 2 <= len(records) < TRIALS
    assert all(record.finished for record in records)


def the_work(driver: subprocess.Popen[bytes]) -> int:
    """The process behind the one in front."""
    child, *_ = Path(f"/proc/{driver.pid}/task/{driver.pid}/children").read_text().split()
    return int(child)


@pytest.mark.more
@pytest.mark.slow
@pytest.mark.parametrize(
    ("killed", "said"),
    [
        (the_work, ["archfront: the process that did the work was ended by SIGKILL without a word of why"]),
        pytest.param(lambda driver: driver.pid, [], id="the front"),
    ],
)
def test_helpers_and_workers_of_a_killed_driver_print_nothing(
    killed: Callable[[subprocess.Popen[bytes]], int], said: list[str], tmp_path: Path, tracking: str
) -> None:
    directory = tmp_path / "study"
    driver = drive(directory, tracking, IN_FRONT)
    try:
        wait_for(2, directory, driver)
        os.kill(killed(driver), signal.SIGKILL)
        _, heard = driver.communicate(timeout=60)  # to the end of whoever may still write there
    finally:
        driver.kill()
        driver.wait()
    lines = heard.decode().splitlines()
    assert [line.partition(";")[0] for line in lines] == said
    left = processes_with(MARK, str(directory))
    for process in left:  # with nobody in front Ray's own agent takes a minute or more
        with suppress(ProcessLookupError):
            os.kill(process.number, signal.SIGKILL)
    assert not (said and left)
