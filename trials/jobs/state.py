"""How the jobs of a cluster stand: listed, looked at, followed, stopped."""

from __future__ import annotations

import asyncio
import re
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import aiohttp
from ray.job_submission import JobDetails, JobSubmissionClient

from search_space.errors import SpecError
from trials.jobs.asking import ASKS
from trials.jobs.client import dashboard

STOP_SECONDS = 30.0
"""How long `stop` waits for the job's end; Ray itself kills after a while."""
MOST_BROKEN = 5
"""Connections that may end one after another, without anything new, before following does."""
BROKEN = (RuntimeError, OSError, aiohttp.ClientError)
"""What Ray's client raises where a connection ends or the dashboard does not answer."""
ENDED = ("STOPPED", "SUCCEEDED", "FAILED")
SENTENCE = re.compile(r"^archfront: (.+)$", re.MULTILINE)
COUNT = re.compile(r"^(?:(?:round )?\d+ of \d+.*| *\d+% [\d,]+ tokens): .+$", re.MULTILINE)
"""How verbs that train say what has come: `3 of 12: #5 3.402 bits per byte`, ` 40% 2,048 tokens: loss 4.101, about 2 min left`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobState:
    """How a job stands."""

    job: str
    study: str
    verb: str
    """What the job runs, such as `run` or `validate`."""
    owner: str
    """Who submitted it."""
    directory: str
    """The study's directory on the cluster, as it was given."""
    status: str
    """Ray's word: PENDING, RUNNING, STOPPED, SUCCEEDED or FAILED."""
    exit_code: int | None
    """What the job's process ended with, 128 and more of one that a signal ended; None while it runs, and where it never began."""
    begun_at: float | None
    """Seconds of `time.time` on the cluster; None before the job is taken up."""
    ended_at: float | None
    message: str | None
    """What Ray says about it, without the log's end that it adds."""

    @property
    def ended(self) -> bool:
        """Whether it will not change any more."""
        return self.status in ENDED

    @property
    def code(self) -> int:
        """What following the job ends with: its exit code, that of SIGTERM where it was stopped, 1 where it never began."""
        if self.status == "SUCCEEDED":
            return 0
        return 128 + signal.SIGTERM if self.status == "STOPPED" else self.exit_code or 1

    @classmethod
    def of(cls, details: JobDetails) -> Self | None:
        """Make one of what Ray knows; None of a job that no `archfront job submit` made."""
        told = details.metadata or {}
        if details.submission_id is None or "study" not in told:
            return None
        code = details.driver_exit_code
        return cls(
            job=details.submission_id,
            study=told["study"],
            verb=told.get("verb", "run"),
            owner=told.get("owner", "unknown"),
            directory=told.get("directory", f"~/archfront/{told['study']}"),
            status=str(details.status.value),
            exit_code=128 - code if code is not None and code < 0 else code,
            begun_at=None if details.start_time is None else details.start_time / 1000,
            ended_at=None if not details.end_time else details.end_time / 1000,
            message=details.message and details.message.partition(", last available logs")[0],
        )

    def __str__(self) -> str:
        return self.status if self.message is None else f"{self.status}: {self.message}"


def jobs(address: str) -> tuple[list[JobState], int]:
    """The jobs of studies that a cluster remembers, oldest first, and how many others it has."""
    with dashboard(address) as client:
        found = client.list_jobs()
    read = [(JobState.of(details), details) for details in found]
    ours = [state for state, _ in read if state is not None]
    others = sum(state is None and details.metadata != ASKS for state, details in read)
    return sorted(ours, key=lambda state: state.begun_at or 0.0), others


def state_of(job: str, address: str) -> JobState:
    """How a job stands now; SpecError where there is no such job, or no study's."""
    with dashboard(address, job) as client:
        return _state(client, job)


def logs(job: str, address: str, *, follow: bool = False) -> Iterator[str]:
    """What a job has printed, in pieces; `follow` goes on until the job ends."""
    with dashboard(address, job) as client:
        client.get_job_info(job)
        if follow:
            yield from _tail(client, job)
        else:
            yield client.get_job_logs(job)


def last_sentence(job: str, address: str) -> str | None:
    """The last that archfront said in a job's log, which is how it ended; None where it said nothing."""
    return _last(SENTENCE, job, address)


def last_count(job: str, address: str) -> str | None:
    """The last line of a job's log that says what has come, of how much; None where nothing has."""
    return _last(COUNT, job, address)


def _last(form: re.Pattern[str], job: str, address: str) -> str | None:
    with dashboard(address, job) as client:
        said = form.findall(client.get_job_logs(job))
    return said[-1] if said else None


def stop(job: str, address: str) -> JobState:
    """End a job and wait for its end; what it has recorded stays in its directory."""
    with dashboard(address, job) as client:
        client.stop_job(job)
        deadline = time.monotonic() + STOP_SECONDS
        while not (state := _state(client, job)).ended and time.monotonic() < deadline:
            time.sleep(0.5)
        return state


def _state(client: JobSubmissionClient, job: str) -> JobState:
    state = JobState.of(client.get_job_info(job))
    if state is None:
        raise SpecError(f"{job} must be the job of a study, found another; `archfront job list` shows those, `ray job list` all")
    return state


def _tail(client: JobSubmissionClient, job: str) -> Iterator[str]:
    """Ray's asynchronous iterator as a plain one; where its connection ends before the job does, another goes on where that ended."""
    shown, broken = 0, 0
    while True:
        passed, before = 0, shown
        failure: Exception | None = None
        try:
            for piece in _followed(client, job):
                new, passed = piece[max(0, shown - passed) :], passed + len(piece)
                if new:
                    shown += len(new)
                    yield new
        except BROKEN as error:
            failure = error
        try:
            if _state(client, job).ended:
                yield client.get_job_logs(job)[shown:]
                return
        except BROKEN as error:
            failure = error
        broken = broken + 1 if failure and shown == before else 0
        if failure and broken == MOST_BROKEN:
            raise failure
        time.sleep(1)


def _followed(client: JobSubmissionClient, job: str) -> Iterator[str]:
    loop = asyncio.new_event_loop()
    pieces = client.tail_job_logs(job)
    try:
        while True:
            try:
                yield loop.run_until_complete(anext(pieces))
            except StopAsyncIteration:
                return
    finally:
        loop.run_until_complete(pieces.aclose())
        loop.close()
