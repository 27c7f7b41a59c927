"""A long training in several processes at once: Ray Train starts them and starts them again, Lightning turns the loop in each."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from analysis.records.json_text import read_json
from analysis.records.training import CurvePoint, Training
from search_space.errors import SpecError, WorkError
from trials.pretraining.outlook import as_study
from trials.pretraining.pretrain import OnPoint, finished, pretrain
from trials.pretraining.statement import CURVE, STATEMENT_CURE, Statement
from trials.training.conditions import own_sequences

RESTARTS = 8
"""Times that the processes are started again after one of them died."""
LOOKS_SECONDS = 1.0
RAY_FILES = "ray-train"
"""Where in a training's folder Ray Train keeps what it must; nothing of ours."""


def pretrain_in_parallel(wanted: Statement, folder: Path, *, state_seconds: float, on_point: OnPoint, address: str | None) -> Training:
    """Train in `wanted.devices` processes; where one of them dies all begin again from the last state that the first has written.

    The folder must be seen by all of them. Raises SpecError where a batch cannot be shared out, WorkError where the training fails.
    """
    own_sequences(wanted.proxy.batch_sequences, (0, wanted.devices))
    from trials.cluster.ray_session import connected

    study = as_study(wanted)
    with connected(study, address), _Watch(folder, on_point):
        failure = _fit(wanted, folder, state_seconds)
    found = finished(folder)
    if found is None:
        raise WorkError(f"the training of {wanted.title} in {wanted.devices} processes ended without a result{failure}; run it again")
    return found


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
        run_config=RunConfig(name="run", storage_path=str(folder / RAY_FILES), failure_config=FailureConfig(max_failures=RESTARTS)),
    )
    try:
        trainer.fit()
    except Exception as error:  # Ray Train raises classes of its own for what a process raised
        if isinstance(error.__cause__, SpecError | WorkError):
            raise error.__cause__ from None
        return f" ({str(error).strip().splitlines()[-1][:300]})" if str(error).strip() else ""
    return ""


def _work(config: dict[str, Any]) -> None:
    """What each process does."""
    from ray.train import get_context

    from trials.corpus.prepare import prepare_corpus

    wanted = Statement.from_dict(config["statement"], "the training's statement")
    context = get_context()
    part = context.get_world_rank(), context.get_world_size()
    blocks = prepare_corpus(wanted.corpus, wanted.shape.vocab_size)
    device = f"cuda:{context.get_local_rank()}" if wanted.device.startswith("cuda") else wanted.device
    pretrain(
        replace(wanted, device=device), blocks, Path(config["folder"]),
        state_seconds=config["state_seconds"], on_point=lambda point, began: None, part=part,
    )  # fmt: skip


class _Watch:
    """Tells of new points of the curve that the first process keeps, until the block ends."""

    def __init__(self, folder: Path, on_point: OnPoint) -> None:
        self._file, self._on_point = folder / CURVE, on_point
        self._told, self._over = self._points()[-1:], threading.Event()
        self._began = self._told[0].tokens if self._told else 0
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._tell()

    def _look(self) -> None:
        while not self._over.wait(LOOKS_SECONDS):
            self._tell()

    def _tell(self) -> None:
        last = self._told[-1].tokens if self._told else 0
        for point in self._points():
            if point.tokens > last:
                self._told = [point]
                self._on_point(point, self._began)

    def _points(self) -> list[CurvePoint]:
        read: Callable[[], Any] = lambda: read_json(self._file, "a training's curve", STATEMENT_CURE)  # noqa: E731
        return [CurvePoint(**point) for point in read()] if self._file.is_file() else []
