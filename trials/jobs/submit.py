"""Sends a study to a Ray cluster as a job, with our code and the files that it names."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Mapping
from pathlib import Path

from trials.jobs.asking import Asker
from trials.jobs.client import dashboard
from trials.jobs.order import SEALED, Order
from trials.jobs.sealing import seal
from trials.jobs.shipment import pack, pack_files
from trials.machine.provenance import JOB_VARIABLE, OWNER_VARIABLE, owner


def submit(order: Order, address: str, *, variables: Mapping[str, str] = {}) -> str:
    """Ship our code and the order's files to a cluster, have it carried out there, and return the job's id.

    A job with the directory of an earlier one continues its work. `variables` are set for the job's driver alone, and travel sealed.
    Raises SpecError for files that cannot be shipped and a cluster that does not answer.
    """
    job = f"{order.study}-{secrets.token_hex(4)}"
    with tempfile.TemporaryDirectory(prefix="archfront-job-") as folder:
        if order.files:
            pack(order.files[0], Path(folder), order.files[1:], order.beside)
        else:
            pack_files(order.beside, Path(folder), order.study)
        command = order.command(job if variables else None)
        shown = {"PYTHONUNBUFFERED": "1", OWNER_VARIABLE: owner(), JOB_VARIABLE: job}
        with dashboard(address) as client:
            if variables:
                (Path(folder) / SEALED).write_bytes(seal(variables, job, Asker(client)))
            return str(
                client.submit_job(
                    entrypoint=command,
                    submission_id=job,
                    runtime_env={"working_dir": folder, "env_vars": shown},
                    metadata={"study": order.study, "verb": order.verb, "owner": owner(), "directory": order.directory},
                )
            )
