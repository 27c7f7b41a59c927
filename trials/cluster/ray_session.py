"""Ray for the time of a study: a cluster that is there, or one of our own on this machine."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any

import ray
from ray.exceptions import RayError

from search_space.errors import SpecError
from trials.cluster.own_ray import LIVED_BY, FoundAt, answered_by, first_line, own_ray
from trials.cluster.ray_address import ClusterAddress, answering, cluster_address
from trials.latency.refusals import require_libraries
from trials.machine.native_output import native_output
from trials.machine.process_watch import listening
from trials.machine.subprocesses import ROOT
from trials.machine.supervision import give_up, handlers_kept
from trials.study.spec import StudySpec

LATENCY_DEVICE = "latency_device"
"""The Ray resource of the node where latency is taken."""
LATENCY_SHARE = {LATENCY_DEVICE: 0.001}
"""What one study asks for of it, to be placed there beside others: they take turns by themselves, a measurement at a time."""
FLOORS = ("search_space", "analysis", "trials")
OBJECT_STORE_BYTES = 200_000_000
"""Bytes of the object store of a Ray of our own, where the corpus is the embedded one; Ray spills to the disk what does not fit."""
RAY_SETTINGS = {
    "PL_DISABLE_FORK": "1",
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

Ray would give its workers the niceness 15: beside two busy processes they then have a thirtieth of the machine, and a study
stands still (docs/findings.md, 2026-11-26: studies on one machine starved each other's training).
"""


@contextmanager
def connected(study: StudySpec | None, address: str | None, *, environments: bool = False) -> Iterator[None]:
    """Be connected to Ray inside; what was connected before is used and left as it is.

    Without an address, a Ray job's own cluster is used (Ray tells a job by RAY_ADDRESS), else one is started here. Raises SpecError
    where the address does not answer. `study` may be None where a cluster is joined. A Ray of our own gives workers
    variables of their own with `environments` alone, as Ray Train wants them.
    """
    for name, value in RAY_SETTINGS.items():
        os.environ.setdefault(name, value)
    for name in ("ray", "ray.tune"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # the records say what went wrong
    if ray.is_initialized():
        yield
        return
    quiet: dict[str, Any] = {"logging_level": logging.CRITICAL, "log_to_driver": False}
    cluster = cluster_address(address)
    with _started(study, quiet, environments) if cluster is None else _joined(cluster, quiet):
        ray._private.worker._worker_logs_enabled = False  # the raylet's words on a worker's death go to stdout, whatever log_to_driver says
        yield


@contextmanager
def _joined(address: ClusterAddress, quiet: Mapping[str, Any]) -> Iterator[None]:
    there = answering(address)
    with native_output():
        try:
            with handlers_kept():
                ray.init(**quiet, **_joining(there))
        except (OSError, RuntimeError, ValueError, RayError) as error:
            raise SpecError(
                f"the Ray cluster at {address} must let this driver join, found: {first_line(error)}; look into its log"
            ) from None
        try:
            with ExitStack() as watched, answered_by(f"the Ray cluster at {address}"):
                for name, host, port in _lived_by():
                    gone = f"the {name} of the Ray cluster at {address} answers no more"
                    watched.enter_context(listening(host, port, partial(give_up, gone)))
                yield
        finally:
            with suppress(RayError):  # it may be gone
                ray.shutdown()


def _lived_by() -> Iterator[tuple[str, str, int]]:
    """Processes of a cluster without which this driver cannot go on, each with where it listens: the head's, and its own node's."""
    context = ray.get_runtime_context()
    host, _, port = context.gcs_address.rpartition(":")
    yield LIVED_BY[0], host.strip("[]"), int(port)
    own = next(node for node in ray.nodes() if node["NodeID"] == context.get_node_id())
    yield LIVED_BY[1], own["NodeManagerAddress"], own["NodeManagerPort"]


@contextmanager
def _started(study: StudySpec | None, quiet: Mapping[str, Any], environments: bool) -> Iterator[None]:
    assert study is not None  # a Ray of our own is a study's
    require_gpus(study.workers.gpus)
    require_libraries(study.latency)
    with own_ray({**quiet, **_starting(study)}, environments=environments):
        yield


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
    return {"address": address, "runtime_env": packages, "job_config": FoundAt()}


def _starting(study: StudySpec) -> dict[str, Any]:
    workers = study.workers
    return {
        "num_cpus": max(os.cpu_count() or 1, workers.count * workers.trial_threads),
        "resources": {LATENCY_DEVICE: 1},
        "include_dashboard": False,
        "object_store_memory": OBJECT_STORE_BYTES if study.corpus.name else None,
    }
