"""One long training from its first step to its last, kept on the way: whatever ends it, the same call goes on from its last state."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from analysis.records.files import write_whole
from analysis.records.json_writer import json_of
from analysis.records.record import Kind
from analysis.records.training import CurvePoint, Training
from analysis.text.words import joined
from search_space.errors import SpecError, WorkError, complaint_of
from trials.corpus.blocks import TokenBlocks
from trials.machine.memory import usable_bytes
from trials.network.weights import save_weights
from trials.pretraining.curve_watch import OnPoint
from trials.pretraining.statement import CURVE, RESULT, STATE, TRAINED_WEIGHTS, Statement
from trials.training.conditions import Conditions
from trials.training.failures import TrainingFailed
from trials.training.proxy_run import ProxyRun
from trials.trial.checkpoint import SHARE_OF_TIME, Checkpoint, Kept, checkpoint_key
from trials.trial.task import TrialTask

logger = logging.getLogger(__name__)


def pretrain(
    wanted: Statement,
    blocks: TokenBlocks,
    folder: Path,
    *,
    state_seconds: float,
    on_point: OnPoint,
    part: tuple[int, int] = (0, 1),
    kept: Callable[[Path], None] = lambda file: None,
) -> Training:
    """Train to the end, from the state that the folder has of this very training, and keep weights and result there.

    A state is written every so many seconds of training, or more seldom where writing takes more than a fiftieth of the time. `part` is
    which of how many processes this is; the first one writes. `kept` is told of each file that is whole: state, curve, weights and
    result. Raises SpecError where a state is there that this training cannot go on
    from, WorkError where the training fails.
    """
    is_first, sharing = part[0] == 0, 1 if wanted.device.startswith("cuda") else part[1]
    memory_bytes = usable_bytes(wanted.device, sharing)
    conditions = Conditions(threads=wanted.threads, device=wanted.device, part=part, memory_bytes=memory_bytes)
    task = TrialTask(number=0, kind=Kind.SAMPLED, architecture=wanted.shape, seed=wanted.seed)
    checkpoint = Checkpoint(folder / STATE, _key(task, wanted, blocks, conditions))
    keeper = _StateKeeper(checkpoint, state_seconds, kept)
    there = _kept(checkpoint)
    try:
        run = ProxyRun(
            wanted.shape, blocks, wanted.proxy,
            seed=wanted.seed, conditions=replace(conditions, between_steps=(lambda: keeper.look(run)) if is_first else None),
            progress=(lambda point: _told(folder, keeper, run, point, began, on_point)) if is_first else None,
        )  # fmt: skip
        if there is not None:
            run.restore(there.state)
        if part[1] > 1:
            require_alike(wanted, run.steps, blocks.corpus_sha256)
        began = run.tokens
        run.run()
    except TrainingFailed as failure:
        made = 0 if failure.training is None else failure.training.tokens
        raise WorkError(f"the training of {wanted.title} ended after {made:,} tokens: {failure}") from None
    training = run.result()
    if not is_first:
        return training
    save_weights(folder / TRAINED_WEIGHTS, run.network)
    kept(folder / TRAINED_WEIGHTS)
    kept(write_whole(folder / RESULT, f"{json_of(asdict(training), indent=2)}\n".encode()))
    (folder / STATE).unlink(missing_ok=True)
    return training


def _key(task: TrialTask, wanted: Statement, blocks: TokenBlocks, conditions: Conditions) -> str:
    """A key that two trainings share only where one may go on from the other's state, bit for bit."""
    key = checkpoint_key(task, wanted.proxy, blocks, conditions)
    return key if wanted.devices == 1 else f"{key} in {wanted.devices} parts"


def _kept(checkpoint: Checkpoint) -> Kept | None:
    """The state that a training goes on from, None at its beginning: days of work are never begun anew without a word."""
    kept = checkpoint.read()
    if kept is None and checkpoint.path.exists():
        raise SpecError(
            f"{checkpoint.path} must be a state that this training can go on from, found one that was made with another text or torch, or "
            "is damaged; restore what it was made with, or remove it to begin anew"
        )
    return kept


def require_alike(wanted: Statement, steps: int, corpus_sha256: str) -> None:
    """Raise WorkError, in every process of torch's group, where they do not go on from one step or do not read one text."""
    from torch import cuda, distributed

    found: list[Any] = [None] * distributed.get_world_size()
    with cuda.device(wanted.device) if wanted.device.startswith("cuda") else nullcontext():  # NCCL sends what lies on its device
        distributed.all_gather_object(found, (steps, corpus_sha256))
    if len({each[0] for each in found}) > 1:
        went = joined([f"{each[0]:,}" for each in found])
        raise WorkError(
            f"the processes of {wanted.title} must all go on from the same state, found steps {went}; have every node see the folder"
        )
    if len({each[1] for each in found}) > 1:
        raise WorkError(
            f"the processes of {wanted.title} must all read the same text, found different ones; give every node the same files"
        )


def _told(folder: Path, keeper: _StateKeeper, run: ProxyRun, point: CurvePoint, began: int, on_point: OnPoint) -> None:
    curve = [asdict(each) for each in run.tally.curve]
    try:
        write_whole(folder / CURVE, f"{json_of(curve, indent=1)}\n".encode())
    except OSError as error:  # a disk that is full may have room again before the end
        keeper.warn(folder / CURVE, f" ({complaint_of(error)}); the training goes on, see to room and permissions")
    else:
        keeper.kept(folder / CURVE)
    on_point(point, began)


class _StateKeeper:
    """Leaves a run's state between two steps where the last one is old enough."""

    def __init__(self, checkpoint: Checkpoint, seconds: float, kept: Callable[[Path], None]) -> None:
        self._checkpoint, self._seconds, self.kept = checkpoint, seconds, kept
        self._next_at, self._warned = time.monotonic() + seconds, set[Path]()

    def look(self, run: ProxyRun) -> float:
        """Write a state where one is due; the seconds that it took."""
        since = time.monotonic()
        if since < self._next_at or not run.steps:
            return 0.0
        if self._checkpoint.write(run.state(), None):
            self.kept(self._checkpoint.path)
        else:
            self.warn(self._checkpoint.path, "; an end now costs all since its last state: see to room and permissions")
        taken = time.monotonic() - since
        self._next_at = since + taken + max(self._seconds, taken / SHARE_OF_TIME)
        return taken

    def warn(self, path: Path, found: str) -> None:
        """Say once of each file that it cannot be written, and what that means."""
        if path not in self._warned:
            self._warned.add(path)
            logger.warning("%s cannot be written%s", path, found)
