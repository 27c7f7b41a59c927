"""kill -9 of the driver, at several moments: the next run continues, and nothing that was finished is lost, repeated or altered."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from analysis.records.record import read_records
from tests.support import fakes
from trials.driver.agenda import Agenda
from trials.search.proposer import Proposer
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
from trials.driver.run_study import run_study
study, text = fakes.small_study(search={{"trials": {TRIALS}}}, workers={{"count": {WORKERS}}})
run_study(study, Path(sys.argv[1]), study_text=text, evaluate=fakes.slow, tracking_uri=sys.argv[2])
"""


def drive(directory: Path, tracking: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", DRIVER, str(directory), tracking], cwd=ROOT, env={**os.environ, MARK: str(directory)})


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
    while (left := left_behind(directory)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not left


def left_behind(directory: Path) -> list[str]:
    """Processes of a dead driver that still run."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={directory}" in (process / "environ").read_text(errors="replace"):
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found
