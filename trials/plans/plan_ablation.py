"""What each arm of an ablation costs at each scale, before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from analysis.text.words import duration, quantity
from search_space import cost
from trials.plans.plan_study import plan_study
from trials.study.ablation_spec import AblationSpec, Arm, arms_of

LARGEST_STEP, TIMED_TOKENS = 4096, 128
"""Tokens of a step above which a sequence of so many is timed in its place: such a batch is for more machines than this one."""


@dataclass(frozen=True, kw_only=True)
class ArmPlan:
    """The cost of one arm at one scale."""

    scale: str
    arm: str
    label: str
    parameters: int
    non_embedding_parameters: int
    seeds: int
    training_tokens: int
    """Tokens of each seed."""
    training_flops: int
    """FLOPs of each seed."""
    training_seconds: float
    """Seconds of each seed on this machine, estimated from a few timed steps."""

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


def plan_ablation(ablation: AblationSpec) -> list[ArmPlan]:
    """Every arm at every scale; arms of equal latency as large as the baseline, since their sizes are not known before they are timed."""
    return [_planned(arm, scale, len(ablation.scales[scale].seeds)) for scale in ablation.scales for arm in arms_of(ablation, scale)]


def _planned(arm: Arm, scale: str, seeds: int) -> ArmPlan:
    proxy = arm.study.proxy
    large = proxy.batch_sequences * proxy.context_tokens > LARGEST_STEP
    timed = proxy.model_copy(update={"batch_sequences": 1, "context_tokens": TIMED_TOKENS}) if large else proxy
    (sample,) = plan_study(arm.study.model_copy(update={"proxy": timed})).samples
    flops = sample.training_tokens * cost.training_flops_per_token(arm.architecture, proxy.context_tokens)
    return ArmPlan(
        scale=scale,
        arm=arm.name,
        label=arm.architecture.label,
        parameters=cost.parameters(arm.architecture),
        non_embedding_parameters=cost.non_embedding_parameters(arm.architecture),
        seeds=seeds,
        training_tokens=sample.training_tokens,
        training_flops=flops,
        training_seconds=sample.training_seconds * flops / sample.training_flops,
    )


def ablation_text(arms: Sequence[ArmPlan]) -> str:
    """A line for each arm, and the sum of each scale."""
    lines = []
    for scale in dict.fromkeys(arm.scale for arm in arms):
        here = [arm for arm in arms if arm.scale == scale]
        seconds = duration(sum(arm.seeds * arm.training_seconds for arm in here))
        flops = quantity(sum(arm.seeds * arm.training_flops for arm in here))
        lines.append(f"{scale}: {flops} FLOPs, {seconds} on this machine with one training at a time")
        lines += [
            f"  {arm.arm:<16} {arm.label:<44} {arm.parameters:>12,} parameters, {arm.non_embedding_parameters:>12,} of them in the body, "
            f"{arm.seeds} x {quantity(arm.training_tokens)} tokens, {duration(arm.training_seconds)} each"
            for arm in here
        ]
    return "\n".join(lines)
