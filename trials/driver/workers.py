"""What serves the trials on Ray's workers: the latency device and the examiner of the finals."""

from __future__ import annotations

import os
import platform
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import ray
from ray.exceptions import RayActorError, RayTaskError
from ray.experimental import internal_kv

from analysis.records.latency import Latency
from analysis.records.record import FreshSeed, RatePoint, TrialRecord
from analysis.records.training import Quality
from search_space.architecture import Architecture
from trials.driver.attempts import cause_of_death
from trials.driver.trial_news import NAMESPACE
from trials.study.latency_spec import LatencySpec
from trials.study.spec import StudySpec
from trials.training.conditions import Conditions
from trials.training.failures import TrainingFailed
from trials.trial.task import DeviceLost, outcome_of

if TYPE_CHECKING:
    from trials.corpus.blocks import TokenBlocks
    from trials.network.decoder import Network

RAYLET_SECONDS = 2.0
"""How long a raylet that is asked to end may live on after the first of its workers; its end is the study's, and no trial's."""
MOST_LOSSES = 3
"""A shape during whose measurement the device was lost so often may itself be what ends it."""


class LatencyDevice:
    """Takes a study's latencies one after another on the node that has the resource, in a process of its own.

    Each study has one there; the machine is one study's at a time, for one measurement, and studies take turns.
    """

    def __init__(self, spec: LatencySpec, earlier: Sequence[Latency]) -> None:
        from trials.latency.process import LatencyProcess
        from trials.machine.fair_queue import FairQueue

        self._process, self._queue = LatencyProcess(spec, earlier), FairQueue("latency-device")

    def measure(self, shape: Architecture, asker: str) -> Latency:
        """Measures one shape as `LatencyProcess.measure` does, once it is this study's turn; says meanwhile for which asker."""
        with self._queue.turn(), _said_to_measure_for(asker):
            return self._process.measure(shape)

    def is_there(self) -> bool:
        """Answers where the node does, when what was asked before is done."""
        return True


class Examiner:
    """Evaluates trained networks on the test split, has them write, and trains finalists at other rates."""

    def quality(self, record: TrialRecord, weights: bytes, blocks: TokenBlocks, study: StudySpec) -> Quality:
        """Quality of a trial's weights in a safetensors file's bytes, on as many tokens as an evaluation of the search had; as rounded too
        where the trial was judged so.
        """
        import torch

        from trials.rounding.table import rounding_as
        from trials.training.evaluation import evaluate_deployed

        torch.set_num_threads(study.workers.trial_threads)
        network = _network_of(record.architecture, weights).to(study.workers.device)
        proxy, rounding = study.proxy, rounding_as(record.rounded_quality)
        return evaluate_deployed(network, blocks, "test", proxy.evaluation_tokens, proxy.context_tokens, rounding)

    def continued(self, shape: Architecture, weights: bytes, blocks: TokenBlocks, study: StudySpec) -> tuple[list[int], list[int]]:
        """The first tokens of the test split, and those with which the weights go on; on the CPU."""
        from trials.training.sampled_text import continuation

        return continuation(_network_of(shape, weights), blocks, study.proxy.context_tokens)

    def fresh(self, record: TrialRecord, blocks: TokenBlocks, study: StudySpec, seed: int) -> FreshSeed:
        """The trial's shape trained by the study's recipe with this seed, judged on both splits as the trial was; else the reason."""
        from trials.rounding.table import rounding_as
        from trials.training.evaluation import evaluate_deployed
        from trials.training.proxy_run import train
        from trials.trial.judgement import judge_finished

        proxy, conditions = study.proxy, Conditions.of(study.workers)
        rounding = rounding_as(record.rounded_quality)
        try:
            network, training = train(record.architecture, blocks, proxy, seed=seed, conditions=conditions)
            training = judge_finished(training, network.to(conditions.device), blocks, proxy, rounding)
            test = evaluate_deployed(network, blocks, "test", proxy.evaluation_tokens, proxy.context_tokens, rounding)
        except Exception as error:
            outcome, reason = outcome_of(error)
            return FreshSeed(seed=seed, reason=f"{outcome}: {reason}")
        return FreshSeed(seed=seed, validation=training.validation, test=test)

    def rate_point(self, record: TrialRecord, blocks: TokenBlocks, study: StudySpec, factor: float) -> RatePoint:
        """The finalist's loss at a multiple of the study's rate."""
        from trials.experiments.lr_check import bits_at

        try:
            bits = bits_at(record.architecture, blocks, study, study.proxy, factor, record.seed)
        except TrainingFailed:
            return RatePoint(factor=factor, bits_per_byte=None)
        return RatePoint(factor=factor, bits_per_byte=bits)


def _network_of(shape: Architecture, weights: bytes) -> Network:
    from trials.network.weights import load_network

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        path.write_bytes(weights)
        return load_network(path, shape)


def result_of(asked: Any) -> Any:
    """What a task on Ray returns; raises what it raised there, and not what Ray makes of that."""
    try:
        return ray.get(asked)
    except RayTaskError as error:
        raise error.cause from None


def ask_device(device: Any, shape: Architecture, away: Callable[[bool], None]) -> Latency:
    """A latency from the device; raises what the measurement raised there.

    Where the device is lost, waits until it is back, however long that takes, and asks again; `away` is told True when the wait begins,
    and False when it is over. Raises DeviceLost where it was lost three times while it measured this shape: losses while it measured
    others, or while it was away already, are counted for no shape that waits. Raises RuntimeError where the device does not start.
    """
    asker, losses = uuid.uuid4().hex, 0
    while True:
        try:
            latency: Latency = result_of(device.measure.remote(shape, asker))
        except RayActorError as error:
            time.sleep(RAYLET_SECONDS)  # where its raylet is gone, so is this process meanwhile
            _wait_for(device, away)
            losses += _had_measured_for(asker)
            if losses == MOST_LOSSES:
                raise DeviceLost(
                    f"the process that takes latencies was lost {losses} times while it measured this shape: {cause_of_death(str(error))}"
                ) from None
        else:
            return latency


def _wait_for(device: Any, away: Callable[[bool], None]) -> None:
    """Return when the device is back; raises RuntimeError where it never will be."""
    is_away = False
    while True:
        try:
            ray.get(device.is_there.remote())
        except RayActorError as error:
            if error.actor_init_failed:
                raise RuntimeError(f"the process that takes latencies does not start: {cause_of_death(str(error))}") from None
            if not is_away:
                is_away = True
                away(True)
            time.sleep(RAYLET_SECONDS)
        else:
            if is_away:
                away(False)
            return


@contextmanager
def _said_to_measure_for(asker: str) -> Iterator[None]:
    """Leaves a word in the key-value store that every Ray cluster has, which only a death in here leaves there."""
    with suppress(Exception):  # a measurement does not fail because nobody may ask
        internal_kv._internal_kv_put(_asker_key(asker), b"measures", overwrite=True, namespace=NAMESPACE)
    try:
        yield
    finally:
        with suppress(Exception):
            internal_kv._internal_kv_del(_asker_key(asker), namespace=NAMESPACE)


def _had_measured_for(asker: str) -> bool:
    """Whether the device that is back was lost while it measured for this asker; asked once a loss."""
    with suppress(Exception):
        return bool(internal_kv._internal_kv_del(_asker_key(asker), namespace=NAMESPACE))
    return False


def _asker_key(asker: str) -> bytes:
    return f"device:{asker}".encode()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a process of Ray runs."""

    host: str
    node: str
    """Ray's id of the node."""
    process: int

    def __str__(self) -> str:
        return f"{self.host}, Ray's node {self.node[:12]}"

    @classmethod
    def here(cls) -> Self:
        """The place of the process that calls."""
        return cls(platform.node(), ray.get_runtime_context().get_node_id(), os.getpid())
