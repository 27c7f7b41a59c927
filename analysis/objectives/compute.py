"""What a shape takes in arithmetic."""

from __future__ import annotations

from analysis.objectives.objective import Objective, Wording
from analysis.objectives.observed import Observed
from analysis.text.words import quantity, share_less, short


def _training_flops(seen: Observed) -> float | None:
    return None if seen.training_tokens is None else seen.training_tokens * seen.costs.training_flops_per_token


COMPUTE = (
    Objective(
        name="training_flops",
        words=Wording(
            label="training FLOPs",
            axis="Training FLOPs",
            tick_format="~s",
            tick=short,
            write=quantity,
            phrase="{} training FLOPs",
            best="cheapest to train",
            no_worse="with no more training FLOPs",
            gain=lambda ours, theirs: f"takes {share_less(ours, theirs)} fewer training FLOPs",
            amount=quantity,
            meaning="FLOPs of the shape's training: its planned tokens times the closed form of docs/method.md; evaluation is left out.",
        ),
        value=_training_flops,
        scale="log",
        known="shape",
        noise="none",
    ),
)
