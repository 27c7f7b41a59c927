"""Ray for the time of a study: a cluster that is there, or one of our own on this machine."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray

from search_space.errors import SpecError, WorkError
from trials.driver.workers import LATENCY_DEVICE
from trials.latency.refusals import require_libraries
from trials.machine.subprocesses import ROOT
from trials.machine.supervision import handlers_kept
from trials.study.spec import StudySpec

FLOORS = ("search_space", "analysis", "trials")
OBJECT_STORE_BYTES = 200_000_000
"""Bytes of the object store of a Ray of our own, where the corpus is the embedded one; Ray spills to the disk what does not fit."""
CONNECT_SECONDS = 10.0
"""Longest wait for the first answer of a cluster's address."""
RAY_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
}
"""Tune's own files, loggers and signal handler are not wanted: the records are the only state, and Ctrl-C ends the study at once.

Ray would give its workers the niceness 15: beside two busy processes they then have a thirtieth of the machine, and a study stands still.
"""


@contextmanager
def connected(study: StudySpec, address: str | None) -> Iterator[None]:
    """Be connected to Ray inside; what was connected before is used and left as it is.

    Without an address, a Ray job's own cluster is used (Ray tells a job by RAY_ADDRESS), else one is started here. Raises SpecError
    where the address does not answer.
    """
    for name, value in RAY_SETTINGS.items():
        os.environ.setdefault(name, value)
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # the records say what went wrong
    if ray.is_initialized():
        yield
        return
    address = address or os.environ.get("RAY_ADDRESS")
    quiet: dict[str, Any] = {"logging_level": logging.CRITICAL, "log_to_driver": False, "include_dashboard": None}
    with handlers_kept():
        if address:
            _join(address, quiet)
        else:
            _start(study, quiet)
    ray._private.worker._worker_logs_enabled = False  # the raylet's words on a worker's death go to stdout, whatever log_to_driver says
    try:
        yield
    finally:
        ray.shutdown()


def _join(address: str, quiet: dict[str, Any]) -> None:
    try:
        _knock(address)
        ray.init(**(quiet | _joining(address)))
    except (OSError, RuntimeError) as error:
        raise SpecError(f"the Ray cluster at {address} must answer, found: {_first_line(error)}; check the address and the token") from None


def _knock(address: str) -> None:
    """Raise OSError where nobody listens; Ray itself would ask for minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()


def _start(study: StudySpec, quiet: dict[str, Any]) -> None:
    """Ray gives its own processes 30 seconds to start; on a machine that is busy with other work the second try finds files cached."""
    require_gpus(study.workers.gpus)
    require_libraries(study.latency)
    for attempt in (1, 2):
        try:
            ray.init(**(quiet | _starting(study)))
            return
        except Exception as error:  # Ray raises a bare Exception here
            if "timed out during startup" not in str(error):
                raise
            ray.shutdown()
            if attempt == 2:
                raise WorkError("Ray did not start on this machine within its 30 seconds, twice; run again when less is running") from None


def require_gpus(asked: float) -> None:
    """Raise SpecError for more GPUs than this machine has: a Ray of our own never grows, so trials would wait without end."""
    if not asked:
        return
    import torch  # a second or more, for those who train on GPUs

    if asked > (there := torch.cuda.device_count()):
        raise SpecError(
            f"workers.gpus must not exceed this machine's {there} GPUs, found {asked:g}; lower it, or join a cluster by --address"
        )


def _joining(address: str) -> dict[str, Any]:
    """Our packages travel along, unless a job has brought them already."""
    packages = {} if "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ else {"py_modules": [str(ROOT / floor) for floor in FLOORS]}
    return {"address": address, "runtime_env": packages}


def _starting(study: StudySpec) -> dict[str, Any]:
    workers = study.workers
    return {
        "address": "local",
        "num_cpus": max(os.cpu_count() or 1, workers.count * workers.trial_threads),
        "resources": {LATENCY_DEVICE: 1},
        "include_dashboard": False,
        "object_store_memory": OBJECT_STORE_BYTES if study.corpus.name else None,
    }


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
