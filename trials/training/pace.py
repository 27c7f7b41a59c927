"""How long training steps take in one way of making them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import fmean, median

import numpy as np

from search_space.architecture import Architecture
from trials.corpus.blocks import TokenBlocks
from trials.study.spec import ProxySpec
from trials.training.conditions import Conditions
from trials.training.mode import TimedMode, TrainingMode
from trials.training.proxy_run import ProxyRun

TIMED_SECONDS = 0.7
"""Seconds of timed steps for each shape, after the first two; at least two more."""
LONGEST_STEP_TOKENS = 1024
"""Longest step that is timed on a CPU, where more tokens change little a token."""


def time_mode(proxy: ProxySpec, shapes: Sequence[Architecture], way: TrainingMode, device: str = "cpu") -> TimedMode:
    """Train throw-away networks of these shapes on made-up tokens for a moment."""
    found = [_paces(proxy, shape, way, device) for shape in shapes]
    start = fmean(start for _, start in found) if way.compile else 0.0  # else it is the process that warms up
    return TimedMode(way=way, seconds_per_token=fmean(pace for pace, _ in found), start_seconds=max(0.0, start))


def _paces(proxy: ProxySpec, shape: Architecture, way: TrainingMode, device: str) -> tuple[float, float]:
    """Seconds a token, and what the first step takes beyond its tokens."""
    proxy, stamps = _timing_recipe(proxy, way, device), list[float]()

    def note() -> float:
        stamps.append(time.perf_counter())
        return 0.0

    run = ProxyRun(shape, _made_up(shape.vocab_size), proxy, seed=0, conditions=Conditions(threads=way.threads, device=device, pause=note))
    tokens, begun = run.plan.tokens_per_step, time.perf_counter()
    run.run(until_tokens=2 * tokens)  # compiles, and warms up
    first, steps = stamps[1] - stamps[0], list[float]()
    while len(steps) < 2 or time.perf_counter() - begun - first < TIMED_SECONDS:
        stamps.clear()
        run.run(until_tokens=run.tokens + tokens)
        steps.append(stamps[1] - stamps[0])  # the second moment is before the evaluation at the end of a stretch
    return median(steps) / tokens, first - median(steps)


def _timing_recipe(proxy: ProxySpec, way: TrainingMode, device: str) -> ProxySpec:
    """The study's recipe without end, in that way; on a CPU with steps of a bounded size."""
    context, sequences = proxy.context_tokens, proxy.batch_sequences
    if device == "cpu":
        context = min(context, LONGEST_STEP_TOKENS)
        sequences = min(sequences, LONGEST_STEP_TOKENS // context)
    changes = {
        "tokens": 1 << 40, "tokens_per_parameter": None, "flops": None, "seconds": None, "cooldowns": (),
        "context_tokens": context, "batch_sequences": sequences, "evaluations": 1, "evaluation_tokens": context,
        "precision": way.precision, "compile": way.compile,
    }  # fmt: skip
    return proxy.model_copy(update=changes)


def _made_up(vocab_size: int) -> TokenBlocks:
    ids = np.random.default_rng(0).integers(0, vocab_size, 1 << 18).astype(np.uint32)
    return TokenBlocks(ids, ids, ids, vocab_size, np.ones(vocab_size, np.int32), "made up", "0" * 64, None)
