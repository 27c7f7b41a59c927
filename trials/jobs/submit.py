"""Sends a study to a Ray cluster as a job, with our code and the files that it names."""

from __future__ import annotations

import secrets
import shlex
import tempfile
from collections.abc import Mapping
from pathlib import Path

from search_space.errors import SpecError, quoted
from trials.jobs.asking import Asker
from trials.jobs.client import dashboard
from trials.jobs.sealing import seal
from trials.jobs.shipment import JOBS_FOLDER, STUDY_FOLDER, pack
from trials.machine.provenance import JOB_VARIABLE, OWNER_VARIABLE, owner
from trials.machine.redaction import redacted
from trials.study.load_study import load_study
from trials.tracking.tracking_uri import is_relative

SEALED = "sealed"
"""File of a job's package that has its sealed variables."""


def submit(
    study: Path,
    address: str,
    *,
    directory: str | None = None,
    tracking_uri: str | None = None,
    experiment: str | None = None,
    tags: Mapping[str, str] = {},
    variables: Mapping[str, str] = {},
) -> str:
    """Ship our code and a study to a cluster, have it run there, and return the job's id.

    `directory` is on the machine that runs the job (the head): absolute or below `~/`, since a job's own folder is deleted after it;
    `~/archfront/NAME` by default. A job with the directory of an earlier one continues its study. `experiment` and `tags` are MLflow's, as
    for `run_study`. `variables` are set for the job's driver alone, and travel sealed. Raises SpecError for a study that cannot be shipped
    and a cluster that does not answer.
    """
    name = load_study(study).name
    kept = directory or f"{JOBS_FOLDER}/{name}"
    job = f"{name}-{secrets.token_hex(4)}"
    with tempfile.TemporaryDirectory(prefix="archfront-job-") as folder:
        shipped = pack(study, Path(folder))
        command = entrypoint(Path(shipped).name, kept, tracking_uri, experiment, tags, job if variables else None)
        shown = {"PYTHONUNBUFFERED": "1", OWNER_VARIABLE: owner(), JOB_VARIABLE: job}
        with dashboard(address) as client:
            if variables:
                (Path(folder) / SEALED).write_bytes(seal(variables, job, Asker(client)))
            return str(
                client.submit_job(
                    entrypoint=command,
                    submission_id=job,
                    runtime_env={"working_dir": folder, "env_vars": shown},
                    metadata={"study": name, "verb": "run", "owner": owner(), "directory": kept},
                )
            )


def entrypoint(
    study_file: str,
    directory: str,
    tracking_uri: str | None = None,
    experiment: str | None = None,
    tags: Mapping[str, str] = {},
    unsealing: str | None = None,
) -> str:
    """The shell command of a job, run in the shipped folder; raises SpecError for what would be lost or seen there.

    `unsealing` is the job's id where it has sealed variables.
    """
    if not directory.startswith(("/", "~/")):
        raise SpecError(
            f"a job's directory must be absolute or begin with ~/ because the job's own folder is deleted, found {quoted(directory)}; "
            "name such a one"
        )
    if tracking_uri and redacted(tracking_uri) != tracking_uri:
        raise SpecError(
            "a job's command is seen by everybody who sees the cluster's dashboard, so its tracking URI must have no password; "
            "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD here, and carry them by --env"
        )
    if tracking_uri and is_relative(tracking_uri):
        raise SpecError(
            f"a job's tracking URI must be absolute because the job's own folder is deleted, found {quoted(tracking_uri)}; "
            "give an absolute one"
        )
    kept = "~/" + shlex.quote(directory[2:]) if directory.startswith("~/") else shlex.quote(directory)
    opening = [] if unsealing is None else ["python", "-m", "trials.jobs.unseal", f"../{SEALED}", unsealing]
    words = [*opening, "python", "-m", "archfront", "run", shlex.quote(study_file), "--directory", kept]
    words += ["--tracking-uri", shlex.quote(tracking_uri)] if tracking_uri else []
    words += ["--experiment", shlex.quote(experiment)] if experiment else []
    words += [word for name, value in tags.items() for word in ("--tag", shlex.quote(f"{name}={value}"))]
    return f'cd {STUDY_FOLDER} && PYTHONPATH="$OLDPWD:$PYTHONPATH" {" ".join(words)}'
