"""Studies as jobs of a Ray cluster: submit, status, logs, stop, through Ray's Jobs API."""

from __future__ import annotations

import asyncio
import os
import secrets
import shlex
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ray.exceptions import AuthenticationError
from ray.job_submission import JobSubmissionClient

from search_space.errors import SpecError, quoted
from trials.cluster.ray_address import TOKEN_CURE
from trials.driver.shipment import JOBS_FOLDER, STUDY_FOLDER, pack
from trials.machine.provenance import OWNER_VARIABLE, owner
from trials.machine.redaction import redacted
from trials.study.files import require_url
from trials.study.load_study import load_study
from trials.tracking.tracking_uri import is_relative

STOP_SECONDS = 30.0
"""How long `stop` waits for the job's end; Ray itself kills after a while."""
ADDRESS_VARIABLES = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS")
"""Ray lets these override an address that was given; here what is given counts."""


@dataclass(frozen=True, slots=True)
class JobState:
    """How a job stands."""

    job: str
    status: str
    """Ray's word: PENDING, RUNNING, STOPPED, SUCCEEDED or FAILED."""
    message: str | None
    """What Ray says about it, without the log's end that it adds."""

    @property
    def ended(self) -> bool:
        """Whether it will not change any more."""
        return self.status in ("STOPPED", "SUCCEEDED", "FAILED")

    def __str__(self) -> str:
        return self.status if self.message is None else f"{self.status}: {self.message}"


def submit(
    study: Path,
    address: str,
    *,
    directory: str | None = None,
    tracking_uri: str | None = None,
    experiment: str | None = None,
    tags: Mapping[str, str] = {},
) -> str:
    """Ship our code and a study to a cluster, have it run there, and return the job's id.

    `directory` is on the machine that runs the job (the head): absolute or below `~/`, since a job's own folder is deleted after it;
    `~/archfront/NAME` by default. A job with the directory of an earlier one continues its study. `experiment` and `tags` are MLflow's, as
    for `run_study`. Raises SpecError for a study that cannot be shipped and a cluster that does not answer.
    """
    name = load_study(study).name
    with tempfile.TemporaryDirectory(prefix="archfront-job-") as folder:
        shipped = pack(study, Path(folder))
        command = entrypoint(Path(shipped).name, directory or f"{JOBS_FOLDER}/{name}", tracking_uri, experiment, tags)
        with _answering(address):
            return str(
                _client(address).submit_job(
                    entrypoint=command,
                    submission_id=f"{name}-{secrets.token_hex(4)}",
                    runtime_env={"working_dir": folder, "env_vars": {"PYTHONUNBUFFERED": "1", OWNER_VARIABLE: owner()}},
                    metadata={"study": name, "owner": owner()},
                )
            )


def status(job: str, address: str) -> JobState:
    """How a job stands now; SpecError where there is no such job."""
    with _answering(address, job):
        details = _client(address).get_job_info(job)
        return JobState(job, str(details.status.value), details.message and details.message.partition(", last available logs")[0])


def logs(job: str, address: str, *, follow: bool = False) -> Iterator[str]:
    """What a job has printed, in pieces; `follow` goes on until the job ends."""
    with _answering(address, job):
        client = _client(address)
        client.get_job_info(job)
        if follow:
            yield from _tail(client, job)
        else:
            yield client.get_job_logs(job)


def stop(job: str, address: str) -> JobState:
    """End a job and wait for its end; what it has recorded stays in its directory."""
    with _answering(address, job):
        client = _client(address)
        client.stop_job(job)
        deadline = time.monotonic() + STOP_SECONDS
        while not (state := status(job, address)).ended and time.monotonic() < deadline:
            time.sleep(0.5)
        return state


def entrypoint(
    study_file: str, directory: str, tracking_uri: str | None = None, experiment: str | None = None, tags: Mapping[str, str] = {}
) -> str:
    """The shell command of a job, run in the shipped folder; raises SpecError for what would be lost or seen there."""
    if not directory.startswith(("/", "~/")):
        raise SpecError(
            f"a job's directory must be absolute or begin with ~/ because the job's own folder is deleted, found {quoted(directory)}; "
            "name such a one"
        )
    if tracking_uri and redacted(tracking_uri) != tracking_uri:
        raise SpecError(
            "a job's command is seen by everybody who sees the cluster's dashboard, so its tracking URI must have no password; "
            "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD on the head instead"
        )
    if tracking_uri and is_relative(tracking_uri):
        raise SpecError(
            f"a job's tracking URI must be absolute because the job's own folder is deleted, found {quoted(tracking_uri)}; "
            "give an absolute one"
        )
    kept = "~/" + shlex.quote(directory[2:]) if directory.startswith("~/") else shlex.quote(directory)
    words = ["python", "-m", "archfront", "run", shlex.quote(study_file), "--directory", kept]
    words += ["--tracking-uri", shlex.quote(tracking_uri)] if tracking_uri else []
    words += ["--experiment", shlex.quote(experiment)] if experiment else []
    words += [word for name, value in tags.items() for word in ("--tag", shlex.quote(f"{name}={value}"))]
    return f'cd {STUDY_FOLDER} && PYTHONPATH="$OLDPWD:$PYTHONPATH" {" ".join(words)}'


def _client(address: str) -> JobSubmissionClient:
    require_url(address, "the address", "give the URL of the cluster's dashboard, such as http://127.0.0.1:8265")
    if urlsplit(address).scheme not in ("http", "https"):
        raise SpecError(
            f"the address must be the URL of the cluster's dashboard, such as http://127.0.0.1:8265, found {quoted(address)}; give that"
        )
    kept = {name: os.environ.pop(name) for name in ADDRESS_VARIABLES if name in os.environ}
    try:
        return JobSubmissionClient(address)
    finally:
        os.environ.update(kept)


def _tail(client: JobSubmissionClient, job: str) -> Iterator[str]:
    """Ray's asynchronous iterator as a plain one."""
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


@contextmanager
def _answering(address: str, job: str | None = None) -> Iterator[None]:
    """Ray's exceptions as one sentence each."""
    try:
        yield
    except AuthenticationError:
        raise SpecError(f"the Ray cluster at {address} wants a token: {TOKEN_CURE}") from None
    except OSError:  # those of requests are among them
        raise SpecError(
            f"no Ray cluster answers at {address}; check that it is up, and the port forward (`ray dashboard ray_cluster.yaml`)"
        ) from None
    except RuntimeError as error:
        if "does not exist" in str(error):
            raise SpecError(f"{address} has no job {job}; `archfront job submit` prints the ids, `ray job list` shows all") from None
        raise SpecError(f"the Ray cluster at {address} refused: {str(error).strip().splitlines()[0]}") from None
