from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from ray.job_submission import JobDetails, JobStatus, JobType

from analysis.records.record import read_finals, read_records
from tests.support.ray_head import STUDY, Head, Job, write_study
from trials.jobs.state import SENTENCE, JobState, _tail, jobs


def details(**fields: Any) -> JobDetails:
    told = {"metadata": {"study": "tiny", "owner": "ada"}, "status": JobStatus.RUNNING, "entrypoint": "sh", "submission_id": "tiny-1"}
    return JobDetails(type=JobType.SUBMISSION, **{**told, **fields})


def state(**fields: Any) -> JobState | None:
    return JobState.of(details(**fields))


@pytest.mark.parametrize(
    ("status", "driver", "exit_code", "code"),
    [
        (JobStatus.SUCCEEDED, 0, 0, 0),
        (JobStatus.FAILED, 2, 2, 2),
        (JobStatus.FAILED, -9, 137, 137),
        (JobStatus.FAILED, None, None, 1),
        (JobStatus.STOPPED, None, None, 143),
        (JobStatus.STOPPED, 0, 0, 143),
    ],
)
def test_how_a_job_ended_is_an_exit_code(status: JobStatus, driver: int | None, exit_code: int | None, code: int) -> None:
    found = state(status=status, driver_exit_code=driver)
    assert found is not None
    assert (found.exit_code, found.code, found.ended) == (exit_code, code, True)


def test_a_job_is_known_by_what_it_was_submitted_with() -> None:
    found = state(start_time=2_000, end_time=0)
    assert found is not None
    assert (found.owner, found.study, found.verb, found.directory) == ("ada", "tiny", "run", "~/archfront/tiny")
    assert (found.begun_at, found.ended_at, found.ended) == (2.0, None, False)
    assert state(metadata=None) is None
    assert state(metadata={"archfront": "asks"}) is None
    assert state(submission_id=None) is None


def test_the_last_sentence_of_a_log_is_ours() -> None:
    log = "Running entrypoint\narchfront: a notice\n  archfront: no beginning\narchfront: the study failed: none finished\nand more\n"
    assert SENTENCE.findall(log)[-1] == "the study failed: none finished"


class Dashboard:
    """Ends a connection in a way at each try, and has a job that ends after so many."""

    def __init__(self, ways: list[Exception | None], goes_on: int) -> None:
        self.ways, self.goes_on = ways, goes_on

    async def tail_job_logs(self, job: str) -> AsyncIterator[str]:
        yield "first\n"
        way = self.ways.pop(0) if self.ways else None
        if way is not None:
            raise way

    def get_job_info(self, job: str) -> JobDetails:
        self.goes_on -= 1
        if self.goes_on == 1:
            raise aiohttp.ClientConnectionError
        return details(status=JobStatus.RUNNING if self.goes_on > 0 else JobStatus.SUCCEEDED)

    def get_job_logs(self, job: str) -> str:
        return "first\nlast\n"


@pytest.mark.parametrize("way", [aiohttp.ServerDisconnectedError(), ConnectionError(), RuntimeError("closed"), None])
def test_following_outlives_connections_and_waits_between_them(way: Exception | None, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("trials.jobs.state.time.sleep", waits.append)
    assert list(_tail(Dashboard([way] * 3, 4), "tiny-1")) == ["first\n", "last\n"]
    assert len(waits) == 3
    if way is not None:
        with pytest.raises(type(way)):
            list(_tail(Dashboard([way] * 99, 99), "tiny-1"))


def test_other_jobs_are_counted_and_what_was_asked_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    told = [{"study": "tiny"}, None, {}, {"somebody": "else"}, {"archfront": "asks"}]

    class Client:
        def list_jobs(self) -> list[JobDetails]:
            return [details(metadata=metadata) for metadata in told]

    monkeypatch.setattr("trials.jobs.state.dashboard", lambda address: nullcontext(Client()))
    found, others = jobs("http://head")
    assert ([each.study for each in found], others) == (["tiny"], 3)


# --- on a head of our own


@pytest.mark.more
@pytest.mark.slow
def test_a_job_is_submitted_followed_and_leaves_its_records_and_runs(head: Head, ran: Job) -> None:
    job, directory, followed = ran.name, ran.directory, ran.followed
    assert job.startswith("tiny-")
    assert followed.returncode == 0, followed.stderr
    assert "report" in followed.stdout
    assert followed.stdout == head.call("logs", job).stdout
    records = read_records(directory)
    assert [record.number for record in records] == [0, 1, 2]
    assert all(record.finished for record in records), [record.reason for record in records]
    assert all(re.search(rf"#{record.number} .* finished.*; {record.number + 1} of 3 trials", followed.stdout) for record in records)
    assert read_finals(directory)
    with closing(sqlite3.connect(directory / "mlflow.db")) as database:
        names = {name for (name,) in database.execute("SELECT name FROM runs WHERE status = 'FINISHED'")}
        owners = {name for (name,) in database.execute("SELECT value FROM tags WHERE key = 'mlflow.user'")}
    assert names == {"tiny", *(record.title for record in records)}
    assert owners == {"ada"}
    told = head.call("status", job).stdout
    assert re.match(r"SUCCEEDED with exit code 0 after [^\n]*\nrun of tiny by ada, in ", told)
    assert "tiny: 3 of 3 trials, " in told
    listed = head.call("list")
    assert listed.stdout.splitlines()[0].split() == ["job", "owner", "study", "verb", "state", "begun"]
    assert [line.split()[:5] for line in listed.stdout.splitlines() if job in line] == [[job, "ada", "tiny", "run", "SUCCEEDED"]]
    assert "asks" not in listed.stdout


@pytest.mark.more
@pytest.mark.slow
def test_a_job_is_stopped_and_an_unknown_one_is_said(head: Head, tmp_path: Path) -> None:
    study = write_study(tmp_path / "studies", proxy={**STUDY["proxy"], "tokens": 500_000_000})  # type: ignore[dict-item]
    job = head.call("submit", "run", str(study), "--directory", str(tmp_path / "results")).stdout.strip()
    assert head.call("stop", job).stdout.startswith("STOPPED")
    assert head.call("logs", job, "--follow").returncode == 143
    assert head.call("status", job).stdout.startswith("STOPPED")
    for verb in ("status", "logs", "stop"):
        unknown = head.call(verb, "nothing-0")
        assert unknown.returncode == 2
        assert "has no job nothing-0; `archfront job list` shows all" in unknown.stderr
        assert "Traceback" not in unknown.stderr


@pytest.mark.more
@pytest.mark.slow
def test_a_client_without_the_token_is_told_how_to_get_one(head: Head, tmp_path: Path) -> None:
    refused = head.call("submit", "run", str(write_study(tmp_path / "studies")), RAY_AUTH_MODE="disabled")
    assert refused.returncode == 2
    assert "wants a token: set RAY_AUTH_MODE=token" in refused.stderr
    assert "Traceback" not in refused.stderr
