"""An analytic loss over archfront's own space at three budgets: the search benchmark's second problem.

Nothing here was measured. The loss falls with the network's size and is worst where its proportions are extreme, and every sampler
goes the way of a real study: through `trials.search.proposer.Proposer`, which brings a suggestion to the nearest feasible new shape. The
front is exact, over all shapes of the space.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from functools import cached_property

import numpy as np
from optuna.samplers import BaseSampler, GPSampler

from analysis.fronts.domination import hypervolume, non_dominated
from analysis.objectives.problem import STANDARD, problem_of
from analysis.records.latency import Latency, Spread
from analysis.records.record import Costs, Kind, Outcome, TrialRecord
from analysis.records.training import Quality, Training
from analysis.statistics.arrays import Array
from search_space import cost
from search_space.architecture import Architecture
from search_space.budget import Budget
from search_space.space import Point, SearchSpace
from trials.search.front_sampler import FrontSampler
from trials.search.proposer import Proposer
from trials.search.samplers import SAMPLERS, Choices
from trials.trial.task import plain

SIZES = {
    "1M": (1_000_000, 24, (512, 1024, 2048)),
    "10M": (10_000_000, 32, (4096, 8192, 16384)),
    "125M": (125_000_000, 48, (16384, 32768, 49152)),
}
"""Parameters, most unique layers and vocabularies of each budget."""
CACHE_TOKENS = 512
"""Tokens whose keys and values are the third objective, and are read in the second."""
THREE = ("bits_per_byte", "total_ms", "kv_cache_bytes")


class OwnSpace:
    """Depth, heads, key-value heads, MLP ratio, sharing and vocabulary under a budget, the width solved for."""

    def __init__(self, size: str, objectives: int = 2) -> None:
        """`objectives` is 2, latency and loss, or 3, with the bytes of the KV cache."""
        self.problem = problem_of(THREE) if objectives == 3 else STANDARD
        self._count = objectives
        self._parameters, layers, vocabularies = SIZES[size]
        self.space = SearchSpace.parse(
            {
                "vocab_size": list(vocabularies),
                "num_unique_layers": {"from": 2, "to": layers},
                "head_dim": [32, 64],
                "num_attention_heads": {"ratio_of_hidden": [0.5, 1.0]},
                "num_key_value_heads": {"ratio_of_heads": [0.25, 0.5, 1.0]},
                "intermediate_size": {"ratio_of_hidden": [1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0]},
                "sharing": ["none", {"strategy": "immediate", "repeats": 2}],
            },
            Budget.parse({"parameters": self._parameters, "tolerance": 0.02}),
        )

    def loss(self, a: Architecture) -> float:
        """Bits per byte."""
        blocks = cost.non_embedding_parameters(a)
        size = 0.9 * (blocks / 5e5) ** -0.12
        best_depth = 6 * (blocks / 5e5) ** 0.22
        depth = 0.030 * math.log2(a.num_hidden_layers / best_depth) ** 2 - 0.015 * math.log2(a.num_hidden_layers / a.num_unique_layers)
        ratio = 0.02 * math.log2(a.intermediate_size / a.hidden_size / 2.6) ** 2
        heads = 0.012 * math.log2(a.num_attention_heads * a.head_dim / a.hidden_size) ** 2 + (0.006 if a.head_dim == 32 else 0.0)
        shared = 0.008 * math.log2(a.num_attention_heads / a.num_key_value_heads) ** 1.5
        words = 0.25 * (a.vocab_size / 1000) ** -0.25
        return float(0.6 + size + depth + ratio + heads + shared + words)

    def latency_ms(self, a: Architecture) -> float:
        """Launching every block, reading weights, and reading the cache."""
        launched = 0.012 * a.num_hidden_layers + 0.01
        return launched + 2 * cost.executed_matrix_parameters(a) / 4e7 + cost.kv_cache_bytes(a, CACHE_TOKENS) / 4e7

    @cached_property
    def _truth(self) -> dict[Architecture, tuple[float, ...]]:
        return {
            shape: (self.latency_ms(shape), self.loss(shape), float(cost.kv_cache_bytes(shape, CACHE_TOKENS)))[: self._count]
            for _, shape in self.space.table()
        }

    @cached_property
    def _bounds(self) -> tuple[Array, Array]:
        """Of the exact front: its best values, and its worst."""
        every = np.array(list(self._truth.values()))
        ends = every[non_dominated(every)]
        return ends.min(axis=0), ends.max(axis=0)

    @cached_property
    def _whole(self) -> float:
        return self._volume(self._truth)

    def _volume(self, shapes: Iterable[Architecture]) -> float:
        low, high = self._bounds
        scaled = (np.array([self._truth[shape] for shape in shapes]) - low) / (high - low)
        inside = scaled[(scaled <= 1).all(axis=1)]
        return float(hypervolume(inside, (1.0,) * self._count))

    def hypervolume(self, shapes: Iterable[Architecture]) -> float:
        """Share of the exact front's, each objective scaled to that front's range, the corner at its worst ends."""
        return self._volume(shapes) / self._whole

    def record(self, number: int, point: Point, shape: Architecture, noise: float) -> TrialRecord:
        """What a trial of this shape would write."""
        return TrialRecord(
            number=number,
            kind=Kind.SAMPLED,
            point=plain(point),
            architecture=shape,
            seed=0,
            outcome=Outcome.FINISHED,
            costs=Costs(**{field.name: 0 for field in fields(Costs)} | {"kv_cache_bytes": int(cost.kv_cache_bytes(shape, CACHE_TOKENS))}),
            latency=_latency(self.latency_ms(shape)),
            training=_training(self.loss(shape) + noise),
            started_at="2026-01-01T00:00:00",
            wall_seconds=1.0,
        )


def _latency(milliseconds: float) -> Latency:
    total = Spread(median=milliseconds, p10=milliseconds, p90=milliseconds)
    return Latency(
        total_ms=total,
        prefill_ms=total,
        decode_ms_per_token=total,
        repeats=1,
        prompt_tokens=1,
        new_tokens=1,
        runtime="none",
        runtime_version="0",
        precision="float32",
        threads=1,
        pinned_cpus=None,
        device="none",
        load_average=None,
        disturbed=False,
        protocol="analytic",
    )


def _training(bits: float) -> Training:
    return Training(
        tokens=1,
        planned_tokens=1,
        steps=1,
        parameters=1,
        validation=Quality(loss=bits, bits_per_byte=bits, next_token_accuracy=0.0, tokens=1),
        tokens_per_second=1.0,
        wall_seconds=1.0,
        process_seconds=1.0,
        peak_memory_bytes=None,
        device="none",
        precision="float32",
        threads=1,
    )


def more_samplers(problem: OwnSpace) -> dict[str, Callable[[Choices], Callable[[int], BaseSampler]]]:
    """Beside those of a study: ours where the latency is known beforehand, and Optuna's GP sampler."""

    def known(choices: Choices) -> Callable[[int], BaseSampler]:
        shapes = {tuple(p.values()): shape for p, (_, shape) in zip(choices.points(), problem.space.table(), strict=True)}
        sampler = FrontSampler(
            choices.distributions,
            cheap={1: lambda params: problem.latency_ms(shapes[tuple(params.values())])},
            candidates=choices.points(),
            hints=choices.sizes,
            seed=choices.seed,
        )
        return lambda _: sampler

    return {"front-known": known, "gp": lambda _: lambda seed: GPSampler(seed=seed, deterministic_objective=True)}


def run(problem: OwnSpace, sampler: str, seed: int, noise: Array, quoted: Sequence[int]) -> tuple[list[float], float]:
    """Hypervolumes after each of the quoted numbers of evaluations, and processor seconds a proposal."""
    SAMPLERS.update(more_samplers(problem))
    proposer = Proposer(problem.space, seed, sampler, problem.problem)
    records: list[TrialRecord] = []
    curve, seconds = [], 0.0
    for number, error in enumerate(noise.tolist()):
        start = time.process_time()
        proposal = proposer.propose(number, records, [])
        seconds += time.process_time() - start
        if proposal is None:
            break
        records.append(problem.record(number, *proposal, error))
        if number + 1 in quoted:
            curve.append(problem.hypervolume(record.architecture for record in records))
    return curve, seconds / len(records)
