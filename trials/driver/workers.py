"""What Ray's workers do beside trials, such as the finals, and where they run."""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from analysis.records.record import FreshSeed, RatePoint, TrialRecord
from analysis.records.training import Quality
from search_space.architecture import Architecture
from trials.cluster.shared_text import SharedText, text_here
from trials.machine.niceness import take_back_niceness
from trials.machine.oom_count import OomCount, oom_count, oom_kills
from trials.machine.process_pool import Result
from trials.study.spec import StudySpec
from trials.training.conditions import Conditions
from trials.training.failures import TrainingFailed
from trials.trial.task import outcome_of

if TYPE_CHECKING:
    from trials.corpus.blocks import TokenBlocks
    from trials.network.decoder import Network

COUNT_SECONDS = 20.0
"""How long a node may take to read the kernel's count of processes that it ended; a new worker may have to start for it."""
RAYLET_SECONDS = 2.0
"""How long a raylet that is asked to end may live on after the first of its workers; its end is the study's, and no trial's."""


class Examiner:
    """Evaluates trained networks on the test split, has them write, and trains finalists at other rates."""

    def __init__(self) -> None:
        take_back_niceness()

    def quality(self, record: TrialRecord, weights: bytes, text: SharedText | TokenBlocks, study: StudySpec) -> Quality:
        """Quality of a trial's weights in a safetensors file's bytes, on as many tokens as an evaluation of the search had; as rounded too
        where the trial was judged so.
        """
        import torch

        from trials.rounding.table import rounding_as
        from trials.training.evaluation import evaluate_deployed

        torch.set_num_threads(study.workers.trial_threads)
        network = _network_of(record.architecture, weights).to(study.workers.device)
        proxy, rounding = study.proxy, rounding_as(record.rounded_quality)
        return evaluate_deployed(network, text_here(text), "test", proxy.evaluation_tokens, proxy.context_tokens, rounding)

    def continued(
        self, shape: Architecture, weights: bytes, text: SharedText | TokenBlocks, study: StudySpec
    ) -> tuple[list[int], list[int]]:
        """The first tokens of the test split, and those with which the weights go on; on the CPU."""
        from trials.training.sampled_text import continuation

        return continuation(_network_of(shape, weights), text_here(text), study.proxy.context_tokens)

    def fresh(self, record: TrialRecord, text: SharedText | TokenBlocks, study: StudySpec, seed: int) -> FreshSeed:
        """The trial's shape trained by the study's recipe with this seed, judged on both splits as the trial was; else the reason."""
        from trials.rounding.table import rounding_as
        from trials.training.evaluation import evaluate_deployed
        from trials.training.proxy_run import train
        from trials.trial.judgement import judge_finished

        proxy, conditions, blocks = study.proxy, Conditions.of(study.workers), text_here(text)
        rounding = rounding_as(record.rounded_quality)
        try:
            network, training = train(record.architecture, blocks, proxy, seed=seed, conditions=conditions)
            splits = replace(blocks, validations={}, tasks={})  # of which nothing is kept
            training = judge_finished(training, network.to(conditions.device), splits, proxy, rounding)
            test = evaluate_deployed(network, blocks, "test", proxy.evaluation_tokens, proxy.context_tokens, rounding)
        except Exception as error:
            outcome, reason = outcome_of(error)
            return FreshSeed(seed=seed, reason=f"{outcome}: {reason}")
        return FreshSeed(seed=seed, validation=training.validation, test=test)

    def rate_point(self, record: TrialRecord, text: SharedText | TokenBlocks, study: StudySpec, factor: float) -> RatePoint:
        """The finalist's loss at a multiple of the study's rate."""
        from trials.experiments.lr_check import bits_at

        try:
            bits = bits_at(record.architecture, text_here(text), study, study.proxy, factor, record.seed)
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


def promptly(work: Callable[..., Result], *arguments: Any) -> Result:
    """What `work` returns as a task on Ray, as nice as its node and no nicer."""
    take_back_niceness()
    return work(*arguments)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a process of Ray runs."""

    host: str
    node: str
    """Ray's id of the node."""
    process: int
    ended_for_memory: OomCount | None = None
    """How many processes the kernel had ended there for want of memory, as this one began."""

    def __str__(self) -> str:
        return f"{self.host}, Ray's node {self.node[:12]}"

    @classmethod
    def here(cls) -> Self:
        """The place of the process that calls."""
        return cls(platform.node(), ray.get_runtime_context().get_node_id(), os.getpid(), oom_count())


class MemoryKills:
    """What the kernel ended for want of memory on the nodes of one run; each that it counts is one worker's death at most."""

    def __init__(self) -> None:
        self._taken: dict[tuple[str, str], int] = {}

    def of(self, place: Place) -> str | None:
        """How the kernel's count has risen since a process at that place began, in words; None where it has not, or nobody can say."""
        before = place.ended_for_memory
        now = None if before is None else _kills_at(place.node, before.file)
        if before is None or now is None:
            return None
        key = place.node, before.file
        explained = max(before.kills, self._taken.get(key, 0))
        if now <= explained:
            return None
        self._taken[key] = explained + 1
        return f"oom_kill of {before.file} on {place.host} rose from {before.kills} to {now}"


def _kills_at(node: str, file: str) -> int | None:
    """What a node reads in that file of its kernel's; None where it does not answer."""
    there = NodeAffinitySchedulingStrategy(node, soft=False)
    try:
        asked = ray.remote(oom_kills).options(num_cpus=0, max_retries=0, scheduling_strategy=there).remote(Path(file))
        found: int | None = ray.get(asked, timeout=COUNT_SECONDS)
    except RayError:
        return None
    return found
