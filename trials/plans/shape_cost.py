"""What training shapes costs, before anything runs: counted, and by the pace that is known of this machine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import torch

from analysis.text.words import disk, duration
from search_space import cost
from search_space.architecture import Architecture
from trials.machine.memory import trials_on_a_machine, usable_bytes
from trials.plans.stage_estimate import KnownPaces
from trials.study.spec import StudySpec
from trials.training.failures import OutOfMemory
from trials.training.footprint import fit_batch, footprint, readable_bytes, state_bytes
from trials.training.schedules import stated_tokens
from trials.trial.checkpoint import INTERVAL_SECONDS, SHARE_OF_TIME


@dataclass(frozen=True, kw_only=True)
class ShapeCost:
    """One shape, and what training it costs."""

    label: str
    parameters: int
    training_tokens: int
    training_flops: int
    training_seconds: float | None
    """Seconds of training at the pace that is known of this machine; None where it trains elsewhere."""


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


@dataclass(frozen=True, kw_only=True)
class StatesPlan:
    """How large the states of a study's trials are, how often they are written, and how many are kept."""

    largest_bytes: int
    """Bytes of the largest shape's state: weights, and what the optimizers keep, in float32."""
    most_kept: int
    """Trials that are under way at once, each with one state; a trial that is over has none."""
    every_seconds: float
    """Seconds of training between two states of a trial; more where writing one takes more than `SHARE_OF_TIME` of them."""

    @classmethod
    def of(cls, study: StudySpec, shapes: Iterable[Architecture]) -> Self | None:
        """The states of a study with these shapes; None where its budget is seconds, for such a training has no state to go on from."""
        if study.proxy.seconds is not None:
            return None
        largest = max(state_bytes(shape, study.proxy) for shape in shapes)
        return cls(largest_bytes=largest, most_kept=study.workers.count, every_seconds=INTERVAL_SECONDS)

    def __str__(self) -> str:
        return (
            f"up to {disk(self.largest_bytes)} for each of {self.most_kept} trials under way, every {self.every_seconds:.0f} s or, where "
            f"writing takes long, in {SHARE_OF_TIME:.0%} of the time; deleted at the trial's end"
        )


def states_text(states: StatesPlan | None) -> str:
    """What a plan says of them."""
    return "none: a training that is to last seconds begins anew where its worker is lost" if states is None else str(states)


def shape_cost(study: StudySpec, shape: Architecture, known: KnownPaces | None) -> ShapeCost:
    """Tokens, FLOPs and seconds of a shape's training in a study; of a budget in seconds the tokens need the pace, and are 0 without it."""
    per_token = None if known is None else known.law.seconds_per_token(shape, study.proxy)
    tokens = trained_tokens(study, shape)
    if study.proxy.seconds:
        tokens = round(study.proxy.seconds / per_token) if per_token else 0
    return ShapeCost(
        label=shape.label,
        parameters=cost.parameters(shape),
        training_tokens=tokens,
        training_flops=tokens * cost.training_flops_per_token(shape, study.proxy.context_tokens),
        training_seconds=study.proxy.seconds or (None if per_token is None else tokens * per_token),
    )


def of_training(shape: ShapeCost) -> str:
    """`, 21 s of training`; nothing where the seconds are not known."""
    return "" if shape.training_seconds is None else f", {duration(shape.training_seconds)} of training"


def trained_tokens(study: StudySpec, shape: Architecture) -> int:
    """Training tokens with what the cooldowns' branches add to the trunk."""
    proxy = study.proxy
    return round((stated_tokens(proxy, shape) or 0) * (1 + proxy.decay * sum(proxy.cooldowns)))
