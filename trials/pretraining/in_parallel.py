"""A long training in several processes at once: Ray Train starts them and starts them again, Lightning turns the loop in each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from analysis.records.files import write_whole
from analysis.records.json_text import read_json
from analysis.records.json_writer import json_of
from analysis.records.training import Training
from search_space.errors import SpecError, WorkError
from trials.pretraining.curve_watch import CurveWatch, OnPoint
from trials.pretraining.kept_files import finished
from trials.pretraining.outlook import as_study
from trials.pretraining.pretrain import pretrain
from trials.pretraining.statement import STATEMENT_CURE, Statement
from trials.training.conditions import own_sequences

RESTARTS = 8
"""Times that the processes are started again after one of them died."""
RAY_FILES = "ray-train"
"""Where in a training's folder Ray Train keeps what it must; of ours there is only why the training cannot go on."""
RAY_FAILURE = "failed.json"
REFUSALS = {"SpecError": SpecError, "WorkError": WorkError}
"""What a process may say that no other attempt would mend, by its name in that file."""


def pretrain_in_parallel(wanted: Statement, folder: Path, *, state_seconds: float, on_point: OnPoint, address: str | None) -> Training:
    """Train in `wanted.devices` processes; where one of them dies all begin again from the last state that the first has written.

    The folder must be seen by all of them. Raises SpecError where a batch cannot be shared out or the cluster has too few devices,
    WorkError where the training fails.
    """
    own_sequences(wanted.proxy.batch_sequences, (0, wanted.devices))
    import ray

    from trials.cluster.ray_session import connected

    study, failed = as_study(wanted), folder / RAY_FILES / RAY_FAILURE
    failed.unlink(missing_ok=True)
    with connected(study, address, environments=True):
        require_devices(wanted, ray.cluster_resources())
        with CurveWatch(folder, on_point):
            failure = _fit(wanted, folder, state_seconds)
    if failed.is_file():
        said = read_json(failed, "why a training failed", STATEMENT_CURE)
        raise REFUSALS[said["kind"]](said["sentence"])
    found = finished(folder)
    if found is None:
        raise WorkError(f"the training of {wanted.title} in {wanted.devices} processes ended without a result{failure}; run it again")
    return found


def require_devices(wanted: Statement, resources: Mapping[str, float]) -> None:
    """Raise SpecError where a cluster has fewer devices than the training has processes: Ray would wait for them without end."""
    name, what = ("GPU", "GPUs") if wanted.device.startswith("cuda") else ("CPU", "processors")
    there = int(resources.get(name, 0))
    if wanted.devices > there:
        raise SpecError(
            f"--devices must not exceed the {there} {what} of the cluster, found {wanted.devices}; lower it, or wait until more nodes have "
            "joined"
        )


def _fit(wanted: Statement, folder: Path, state_seconds: float) -> str:
    """Have Ray Train run all processes to their end; what it says where they did not come to it."""
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    on_gpu = wanted.device.startswith("cuda")
    scaling = ScalingConfig(num_workers=wanted.devices, use_gpu=on_gpu, resources_per_worker=None if on_gpu else {"CPU": 1})
    trainer = TorchTrainer(
        _work,
        train_loop_config={"statement": wanted.as_dict(), "folder": str(folder), "state_seconds": state_seconds},
        scaling_config=scaling,
        torch_config=TorchConfig(backend="nccl" if on_gpu else "gloo"),
        run_config=RunConfig(
            name="run",
            storage_path=str(folder / RAY_FILES),
            failure_config=FailureConfig(max_failures=RESTARTS, controller_failure_limit=RESTARTS),
        ),
    )
    try:
        trainer.fit()
    except Exception as error:  # Ray Train raises classes of its own for what a process raised
        return f" ({str(error).strip().splitlines()[-1][:300]})" if str(error).strip() else ""
    return ""


def _work(config: dict[str, Any]) -> None:
    """What each process does.

    What no other attempt would mend is written down and raised: Ray then ends the others, which may wait for this one, starts all once
    more, and they find it and end.
    """
    from ray.train import get_context

    from trials.corpus.prepare import prepare_corpus

    folder, context = Path(config["folder"]), get_context()
    failed = folder / RAY_FILES / RAY_FAILURE
    if failed.is_file():
        return
    part = context.get_world_rank(), context.get_world_size()
    try:
        wanted = Statement.from_dict(config["statement"], "the training's statement")
        device = f"cuda:{context.get_local_rank()}" if wanted.device.startswith("cuda") else wanted.device
        blocks = prepare_corpus(wanted.corpus, wanted.shape.vocab_size)
        pretrain(
            replace(wanted, device=device), blocks, folder,
            state_seconds=config["state_seconds"], on_point=lambda point, began: None, part=part,
        )  # fmt: skip
    except (SpecError, WorkError) as error:
        kind = "SpecError" if isinstance(error, SpecError) else "WorkError"
        write_whole(failed, json_of({"kind": kind, "sentence": str(error)}).encode())
        raise
