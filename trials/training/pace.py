"""How long training steps take in one way of making them."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

import numpy as np
import torch

from search_space.architecture import Architecture
from trials.corpus.blocks import TokenBlocks
from trials.machine.processors import waited_seconds
from trials.study.spec import ProxySpec
from trials.training.conditions import Conditions
from trials.training.evaluation import evaluate
from trials.training.mode import TimedMode, TrainingMode
from trials.training.proxy_run import ProxyRun

TIMED_SECONDS = 0.7
"""Seconds of timed steps for each shape, after the first two; at least two more."""
LONGEST_STEP_TOKENS = 1024
"""Longest step that is timed on a CPU, where more tokens change little a token."""
JUDGED_SECONDS, MOST_JUDGED_TOKENS = 0.15, 16_384
"""Least seconds of timed evaluation, where so many tokens take as long; a large block takes them for a few tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTimes:
    """What a shape's steps take in one way of making them."""

    step_tokens: int
    seconds_per_token: float
    start_seconds: float
    """Seconds of the first step beyond its tokens: compiling, and warming up."""
    evaluation_seconds_per_token: float | None
    """Seconds a token of an evaluation; None where it was not asked."""
    processor_share: float
    """Share of its processors that the process had; less than 1 where other work waited for them too."""


def products_per_second(precision: str) -> float:
    """FLOPs a second of a training's products here, with the threads that torch has now: processors without bfloat16 make them slowly."""
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    rows, weights = torch.ones(256, 1024, dtype=dtype), torch.ones(1024, 1024, dtype=dtype)
    seconds = []
    for _ in range(2):
        begun = time.thread_time()
        rows @ weights
        seconds.append(time.thread_time() - begun)
    return 2 * rows.shape[0] * weights.numel() / max(min(seconds), 1e-9)


def time_mode(proxy: ProxySpec, shapes: Sequence[Architecture], way: TrainingMode, device: str = "cpu") -> TimedMode:
    """Train throw-away networks of these shapes on made-up tokens for a moment."""
    found = [time_steps(proxy, shape, way, device) for shape in shapes]
    start = fmean(each.start_seconds for each in found) if way.compile else 0.0  # else it is the process that warms up
    return TimedMode(way=way, seconds_per_token=fmean(each.seconds_per_token for each in found), start_seconds=max(0.0, start))


def time_steps(proxy: ProxySpec, shape: Architecture, way: TrainingMode, device: str = "cpu", *, judges: bool = False) -> StepTimes:
    """Train a throw-away network of the shape on made-up tokens for a moment; where it `judges`, evaluate it too."""
    proxy, stamps = _timing_recipe(proxy, way, device), list[float]()

    def note() -> float:
        stamps.append(time.perf_counter())
        return 0.0

    blocks = _made_up(shape.vocab_size)
    run = ProxyRun(shape, blocks, proxy, seed=0, conditions=Conditions(threads=way.threads, device=device, pause=note))
    tokens, begun, waited = run.plan.tokens_per_step, time.perf_counter(), waited_seconds()
    run.run(until_tokens=2 * tokens)  # compiles, and warms up
    first, steps = stamps[1] - stamps[0], list[float]()
    while len(steps) < 2 or time.perf_counter() - begun - first < TIMED_SECONDS:
        stamps.clear()
        run.run(until_tokens=run.tokens + tokens)
        steps.append(stamps[1] - stamps[0])  # the second moment is before the evaluation at the end of a stretch
    judged = _judged(run, blocks, proxy, device) if judges else None
    share = 1 - (waited_seconds() - waited) / (time.perf_counter() - begun) / way.threads
    return StepTimes(
        step_tokens=tokens,
        seconds_per_token=median(steps) / tokens,
        start_seconds=first - median(steps),
        evaluation_seconds_per_token=judged,
        processor_share=min(1.0, max(0.05, share)),
    )


def _judged(run: ProxyRun, blocks: TokenBlocks, proxy: ProxySpec, device: str) -> float:
    """Seconds a token of an evaluation, after one that warms up, of more and more tokens until it takes long enough to tell."""
    network, tokens = run.network.to(device), proxy.context_tokens
    evaluate(network, blocks, "validation", proxy.context_tokens, proxy.context_tokens)
    while True:
        taken = math.inf
        for _ in range(2):  # one that is long may have been held up, which of few tokens would be believed of many
            begun = time.perf_counter()
            evaluate(network, blocks, "validation", tokens, proxy.context_tokens)
            taken = min(taken, time.perf_counter() - begun)
            if taken < JUDGED_SECONDS:
                break
        if taken >= JUDGED_SECONDS or tokens >= MOST_JUDGED_TOKENS:
            return taken / tokens
        tokens *= 2


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
