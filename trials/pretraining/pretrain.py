"""One long training from its first step to its last, kept on the way: whatever ends it, the same call goes on from its last state."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from analysis.records.checked import from_json
from analysis.records.files import write_whole
from analysis.records.json_text import read_json
from analysis.records.json_writer import json_of
from analysis.records.record import Kind
from analysis.records.training import CurvePoint, Training
from search_space.errors import WorkError
from trials.corpus.blocks import TokenBlocks
from trials.network.weights import save_weights
from trials.pretraining.statement import STATEMENT_CURE, Statement
from trials.training.conditions import Conditions
from trials.training.failures import TrainingFailed
from trials.training.proxy_run import ProxyRun
from trials.trial.checkpoint import SHARE_OF_TIME, Checkpoint, checkpoint_key
from trials.trial.task import TrialTask

STATE, TRAINED_WEIGHTS, TRAINED_TOKENIZER, CURVE, RESULT = (
    "state.safetensors",
    "weights.safetensors",
    "tokenizer.json",
    "curve.json",
    "result.json",
)
"""Files of a training's folder: what it goes on from, the stored weights, the tokenizer, the curve so far, what it came to."""
OnPoint = Callable[[CurvePoint, int], None]
"""Told of each new point of the curve, and of the tokens that the run began or went on from."""


def pretrain(
    wanted: Statement, blocks: TokenBlocks, folder: Path, *, state_seconds: float, on_point: OnPoint, part: tuple[int, int] = (0, 1)
) -> Training:
    """Train to the end, from the state that the folder has of this very training, and keep weights and result there.

    A state is written every so many seconds of training, or more seldom where writing takes more than a fiftieth of the time. `part` is
    which of how many processes this is; the first one writes. Raises WorkError where the training fails.
    """
    conditions, is_first = Conditions(threads=wanted.threads, device=wanted.device, part=part), part[0] == 0
    task = TrialTask(number=0, kind=Kind.SAMPLED, architecture=wanted.shape, seed=wanted.seed)
    checkpoint = Checkpoint(folder / STATE, _key(task, wanted, blocks, conditions))
    keeper = _StateKeeper(checkpoint, state_seconds)
    run = ProxyRun(
        wanted.shape, blocks, wanted.proxy,
        seed=wanted.seed, conditions=replace(conditions, between_steps=(lambda: keeper.look(run)) if is_first else None),
        progress=(lambda point: _told(folder, run, point, began, on_point)) if is_first else None,
    )  # fmt: skip
    kept = checkpoint.read()
    if kept is not None:
        run.restore(kept.state)
    began = run.tokens
    try:
        run.run()
    except TrainingFailed as failure:
        raise WorkError(f"the training of {wanted.title} ended after {run.tokens:,} tokens: {failure}") from None
    training = run.result()
    if not is_first:
        return training
    save_weights(folder / TRAINED_WEIGHTS, run.network)
    write_whole(folder / RESULT, f"{json_of(asdict(training), indent=2)}\n".encode())
    (folder / STATE).unlink(missing_ok=True)
    return training


def finished(folder: Path) -> Training | None:
    """What a training that is over came to; None where it is not over."""
    path = folder / RESULT
    if not path.is_file() or not (folder / TRAINED_WEIGHTS).is_file():
        return None
    values: dict[str, Any] = read_json(path, "a training's result", STATEMENT_CURE)
    return from_json(Training, values)


def _key(task: TrialTask, wanted: Statement, blocks: TokenBlocks, conditions: Conditions) -> str:
    """A key that two trainings share only where one may go on from the other's state, bit for bit."""
    key = checkpoint_key(task, wanted.proxy, blocks, conditions)
    return key if wanted.devices == 1 else f"{key} in {wanted.devices} parts"


def _told(folder: Path, run: ProxyRun, point: CurvePoint, began: int, on_point: OnPoint) -> None:
    curve = [asdict(each) for each in run.tally.curve]
    write_whole(folder / CURVE, f"{json_of(curve, indent=1)}\n".encode())
    on_point(point, began)


class _StateKeeper:
    """Leaves a run's state between two steps where the last one is old enough."""

    def __init__(self, checkpoint: Checkpoint, seconds: float) -> None:
        self._checkpoint, self._seconds = checkpoint, seconds
        self._next_at = time.monotonic() + seconds

    def look(self, run: ProxyRun) -> float:
        """Write a state where one is due; the seconds that it took."""
        since = time.monotonic()
        if since < self._next_at or not run.steps:
            return 0.0
        self._checkpoint.write(run.state(), None)
        taken = time.monotonic() - since
        self._next_at = since + taken + max(self._seconds, taken / SHARE_OF_TIME)
        return taken
