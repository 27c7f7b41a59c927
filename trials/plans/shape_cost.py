"""What training one shape costs, before anything runs: counted, and timed on a few steps of this machine."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch.nn import functional

from search_space import cost
from search_space.architecture import Architecture
from search_space.sharing import Sharing
from trials.machine.memory import trials_on_a_machine, usable_bytes
from trials.network.decoder import Network
from trials.study.spec import StudySpec
from trials.training.failures import OutOfMemory
from trials.training.footprint import activation_bytes, fit_batch, footprint, readable_bytes
from trials.training.schedules import stated_tokens

LARGEST_WHOLE = 30_000_000
"""Parameters above which one block is timed instead of the whole network."""
LONGEST_TIMED_TOKENS = 1024
"""Longest sequence of one timed step; what longer ones cost is scaled by FLOPs, and more of them change nothing a token."""
FEWEST_TIMED_TOKENS = 64
MOST_STEP_FLOPS, MOST_STEP_BYTES = 1.5e10, 300 << 20
"""Largest timed step, a few tenths of a second; of more, fewer tokens are timed, and then another shape."""
WIDE_BLOCK = Architecture(
    vocab_size=1024,
    hidden_size=2048,
    num_unique_layers=1,
    num_attention_heads=16,
    num_key_value_heads=8,
    head_dim=128,
    intermediate_size=2048,
)
"""A block that is timed in the place of larger ones, which go at its FLOPs a second."""
OPTIMIZER_SHARE = {"muon": 0.6, "adamw": 0.1}
"""Time of the optimizer's step over forward and backward at 0.3M parameters; smaller for larger networks (docs/findings.md)."""


@dataclass(frozen=True, kw_only=True)
class ShapeCost:
    """One shape, and what training it costs."""

    label: str
    parameters: int
    training_tokens: int
    training_flops: int
    training_seconds: float
    """Seconds of training on this machine, estimated from a few timed steps."""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What the shape that takes most memory will take, and what a trial may have on this machine."""

    label: str
    peak_bytes: int
    """Predicted for a trial's process, or for its share of a GPU; of a single sequence where not even that fits."""
    micro_batches: int | None
    """Parts that its batch is split into; None where not even a single sequence fits, so that the trial will be refused."""
    usable_bytes: int

    def __str__(self) -> str:
        has = f"{readable_bytes(self.peak_bytes)} for {self.label}, of {readable_bytes(self.usable_bytes)} that a trial may take"
        if self.micro_batches is None:
            return f"{has}: it does not fit; lower proxy.context_tokens or workers.count"
        return has if self.micro_batches == 1 else f"{has}, each batch in {self.micro_batches} parts"


def largest_memory(study: StudySpec, shapes: Sequence[Architecture]) -> Memory:
    """Memory of the shape with the largest step; on the machine that asks, or on its GPU where the study wants one and it has one."""
    proxy, device = study.proxy, "cuda" if study.workers.gpus and torch.cuda.is_available() else "cpu"
    shape = max(shapes, key=lambda shape: footprint(shape, proxy, device=device).peak)
    usable = usable_bytes(device, trials_on_a_machine(study.workers))
    try:
        found, parts = fit_batch(shape, proxy, usable, device=device), True
    except OutOfMemory:
        found, parts = footprint(shape, proxy, device=device, sequences=1), False
    return Memory(label=shape.label, peak_bytes=found.peak, micro_batches=found.micro_batches if parts else None, usable_bytes=usable)


def shape_cost(study: StudySpec, shape: Architecture) -> ShapeCost:
    """Tokens, FLOPs and seconds of a shape's training in a study."""
    per_token = _seconds_per_token(study, shape)
    tokens = round(study.proxy.seconds / per_token) if study.proxy.seconds else trained_tokens(study, shape)
    return ShapeCost(
        label=shape.label,
        parameters=cost.parameters(shape),
        training_tokens=tokens,
        training_flops=tokens * cost.training_flops_per_token(shape, study.proxy.context_tokens),
        training_seconds=study.proxy.seconds or tokens * per_token,
    )


def trained_tokens(study: StudySpec, shape: Architecture) -> int:
    """Training tokens with what the cooldowns' branches add to the trunk."""
    proxy = study.proxy
    return round((stated_tokens(proxy, shape) or 0) * (1 + proxy.decay * sum(proxy.cooldowns)))


def _seconds_per_token(study: StudySpec, shape: Architecture) -> float:
    """Forward and backward on random tokens with throw-away weights, the best of three, and the optimizer's share."""
    flops = cost.training_flops_per_token(shape, study.proxy.context_tokens)
    # one block and a small vocabulary have the width's speed; scaled by FLOPs below
    block = replace(
        shape, num_unique_layers=1, vocab_size=min(shape.vocab_size, 1024), layer_types=shape.layer_types[:1], sharing=Sharing()
    )
    for timed in (shape, block, WIDE_BLOCK):
        context, sequences = _timed_tokens(study, timed)
        if cost.parameters(timed) <= LARGEST_WHOLE and _is_short(timed, context, sequences):
            break
    threads = torch.get_num_threads()
    torch.set_num_threads(study.workers.trial_threads)
    try:
        network = Network(timed)
        tokens = torch.randint(timed.vocab_size, (sequences, context + 1), generator=torch.Generator().manual_seed(0))
        elapsed = min(_step(network, tokens) for _ in range(4))
    finally:
        torch.set_num_threads(threads)
    scale = flops / cost.training_flops_per_token(timed, context)
    return elapsed * scale * (1 + OPTIMIZER_SHARE[study.proxy.optimizer]) / (sequences * context)


def _timed_tokens(study: StudySpec, timed: Architecture) -> tuple[int, int]:
    """Tokens of a sequence, and sequences, of a step that takes little time and memory, where so few tokens can."""
    context = min(study.proxy.context_tokens, LONGEST_TIMED_TOKENS)
    sequences = min(study.proxy.batch_sequences, LONGEST_TIMED_TOKENS // context)
    while context * sequences > FEWEST_TIMED_TOKENS and not _is_short(timed, context, sequences):
        if sequences > 1:
            sequences = -(-sequences // 2)
        else:
            context //= 2
    return context, sequences


def _is_short(timed: Architecture, context: int, sequences: int) -> bool:
    """Whether a step, whose logits and attention maps are whole, stays within the bounds."""
    tokens = context * sequences
    held = activation_bytes(timed, sequences, context, "float32") + 12 * tokens * timed.vocab_size
    held += 8 * timed.num_attention_heads * context * tokens
    return tokens * cost.training_flops_per_token(timed, context) <= MOST_STEP_FLOPS and held <= MOST_STEP_BYTES


def _step(network: Network, tokens: torch.Tensor) -> float:
    start = time.perf_counter()
    logits = network(tokens[:, :-1])
    functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten()).backward()  # type: ignore[no-untyped-call]
    return time.perf_counter() - start
