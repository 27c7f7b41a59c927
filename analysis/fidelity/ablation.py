"""What an ablation's arms say beside the published figures: differences with intervals, and whether their signs agree."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from scipy.special import stdtrit

from analysis.statistics.arrays import Array
from analysis.statistics.intervals import LEVEL

PUBLISHED_NOISE = 0.9
"""Points of accuracy: two standard errors of an average over eight tasks as MobileLLM's (arXiv 2402.14905) has them, about 0.45 each."""

Losses = Mapping[str, Mapping[int, float]]
"""Bits per byte of each arm by seed."""


class Conclusion(StrEnum):
    """Whether our difference and the published one have the same sign."""

    AGREES = "agrees"
    DISAGREES = "disagrees"
    CANNOT_TELL = "cannot tell"
    """Our interval holds zero, the published figures contradict each other, or they show no difference."""
    NO_FIGURE = "no published figure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One arm against the baseline; positive numbers say that the arm is better."""

    arm: str
    baseline: str
    published: Mapping[str, float]
    """Points of accuracy that the arm gains, by the scale at which they were published; empty where they were not."""
    gain: float | None
    """Bits per byte that the arm saves, mean over the seeds; None where no seed has finished in every arm."""
    interval: tuple[float, float] | None
    """Central 90 % interval of the gain; None with fewer than two seeds."""
    seeds: int
    """Number of seeds that have finished in every arm."""

    @property
    def conclusion(self) -> Conclusion:
        """Read off the signs alone: points of accuracy and bits per byte have no common measure."""
        if not self.published:
            return Conclusion.NO_FIGURE
        signs = {math.copysign(1, value) if value else 0 for value in self.published.values()}
        if self.interval is None or self.interval[0] <= 0 <= self.interval[1] or len(signs) > 1 or 0 in signs:
            return Conclusion.CANNOT_TELL
        return Conclusion.AGREES if signs == {math.copysign(1, self.interval[0])} else Conclusion.DISAGREES

    @property
    def published_is_noise(self) -> bool:
        """Whether every published difference is within the noise of its own measure."""
        return bool(self.published) and all(abs(value) < PUBLISHED_NOISE for value in self.published.values())

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "arm": self.arm,
            "baseline": self.baseline,
            "published_points": dict(self.published),
            "published_is_noise": self.published_is_noise,
            "gain_bits_per_byte": self.gain,
            "interval": self.interval,
            "seeds": self.seeds,
            "conclusion": self.conclusion.value,
        }


@dataclass(frozen=True, slots=True)
class PooledNoise:
    """What a loss moves by when neither its arm nor its seed changes."""

    deviation: float
    """Standard deviation, bits per byte."""
    freedom: int
    """Degrees of freedom that it was estimated with."""


def pooled_noise(losses: Losses) -> PooledNoise | None:
    """The seed noise in what is left of all losses without their arms' means and their seeds' means (a randomised block design).

    A seed gives every arm the same data in the same order, and only seeds that finished in every arm count. None where fewer than two
    arms or seeds are left.
    """
    table = loss_table(losses)
    arms, seeds = table.shape
    if arms < 2 or seeds < 2:
        return None
    left = table - table.mean(0, keepdims=True) - table.mean(1, keepdims=True) + table.mean()
    freedom = (arms - 1) * (seeds - 1)
    return PooledNoise(math.sqrt(float((left**2).sum()) / freedom), freedom)


def compare_arms(
    losses: Losses, baseline: str, published: Mapping[str, Mapping[str, float]], noise: PooledNoise | None = None
) -> list[Difference]:
    """Each arm of `losses` but the baseline; `published` has the accuracy of arms, in percent, by scale.

    Only seeds that finished in every arm count. `noise` is that of more arms trained in the same way; without it, of these alone.
    """
    table, names = loss_table(losses), list(losses)
    seeds = table.shape[1]
    found = noise or pooled_noise(losses)
    rows = []
    for place, arm in enumerate(names):
        if arm == baseline:
            continue
        gain = float((table[names.index(baseline)] - table[place]).mean()) if seeds else None
        figures = {s: round(by_arm[arm] - by_arm[baseline], 6) for s, by_arm in published.items() if {arm, baseline} <= by_arm.keys()}
        interval = None if gain is None or seeds < 2 else estimate_interval(gain, found, math.sqrt(2 / seeds))
        rows.append(Difference(arm=arm, baseline=baseline, published=figures, gain=gain, interval=interval, seeds=seeds))
    return rows


def estimate_interval(estimate: float, noise: PooledNoise | None, scale: float) -> tuple[float, float] | None:
    """Central 90 % interval of an estimate whose standard deviation is `scale` times the noise's; None where no noise is known."""
    if noise is None:
        return None
    spread = float(stdtrit(noise.freedom, (1 + LEVEL) / 2)) * noise.deviation * scale
    return estimate - spread, estimate + spread


def loss_table(losses: Losses) -> Array:
    """[arms, seeds] of the seeds that every arm has."""
    seeds = sorted(set.intersection(*(set(by_seed) for by_seed in losses.values())))
    return np.array([[by_seed[seed] for seed in seeds] for by_seed in losses.values()]).reshape(len(losses), len(seeds))
