from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest
from ray.job_submission import JobDetails, JobStatus, JobType

from search_space.errors import WorkError
from trials.jobs.asking import ASKS, MOST_FORGOTTEN, Asker
from trials.jobs.sender import line


class Head:
    """Remembers what it was asked and told to delete."""

    def __init__(self, old: int = 0) -> None:
        self.jobs = {f"old-{number}": 1 for number in range(old)}
        self.asked: list[dict[str, Any]] = []
        self.refuses = False

    def submit_job(self, *, entrypoint: str, submission_id: str, **_: Any) -> str:
        if self.refuses:
            raise RuntimeError("Request failed with status code 500")
        self.asked.append(json.loads(base64.b64decode(entrypoint.split()[-1])))
        self.jobs[submission_id] = int(time.time() * 1000)
        return submission_id

    def list_jobs(self) -> list[JobDetails]:
        return [self.get_job_info(job) for job in self.jobs]

    def get_job_info(self, job: str) -> JobDetails:
        if job not in self.jobs:
            raise RuntimeError(f"Request failed with status code 404: Job {job} does not exist")
        return JobDetails(
            type=JobType.SUBMISSION,
            submission_id=job,
            status=JobStatus.SUCCEEDED,
            entrypoint="",
            metadata=ASKS,
            end_time=self.jobs[job],
        )

    def get_job_logs(self, job: str) -> str:
        return line({"clock": 1.0}) + "\n" + line({"end": True})

    def delete_job(self, job: str) -> None:
        del self.jobs[job]


def test_what_is_deleted_has_its_log_emptied_and_only_once_that_is_asked() -> None:
    head = Head(old=MOST_FORGOTTEN + 5)
    asker = Asker(head)
    head.refuses = True
    with pytest.raises(RuntimeError):
        asker.begin()
    assert len(head.jobs) == MOST_FORGOTTEN + 5
    head.refuses = False
    job = asker.begin()
    assert set(head.jobs) == {job, *(f"old-{number}" for number in range(MOST_FORGOTTEN, MOST_FORGOTTEN + 5))}
    assert head.asked[-1]["forget"] == [f"old-{number}" for number in range(MOST_FORGOTTEN)]


def test_an_answer_that_is_still_to_be_read_is_not_forgotten() -> None:
    head = Head()
    asker = Asker(head)
    first = asker.begin()
    head.jobs[first] = 1  # it ended long ago
    asker.begin()
    assert first in head.jobs
    assert head.asked[-1]["forget"] == []
    assert asker.answered(first) == [{"clock": 1.0}]
    head.refuses = True
    asker.close()
    head.refuses = False
    asker.close()
    assert head.asked[-1]["forget"] == [first]


def test_an_answer_that_went_away_is_to_be_asked_for_again() -> None:
    head = Head()
    asker = Asker(head)
    job = asker.begin()
    head.delete_job(job)
    with pytest.raises(WorkError, match="forgotten what it was asked before it was read; run the same command again"):
        asker.answered(job)
