"""What rounding costs an ablation's arms: each arm's loss by it, and whether another shape or another recipe loses less."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from statistics import NormalDist, fmean
from typing import Any

import numpy as np
from scipy.special import stdtrit

from analysis.fidelity.ablation import PooledNoise, estimate_interval, pooled_noise
from analysis.records.training import Quality
from analysis.statistics.intervals import LEVEL
from analysis.statistics.seed_noise import squares_within

LossInterval = tuple[float, float]
"""Central 90 % interval, bits per byte."""
_Found = tuple[float | None, LossInterval | None]
_BySeed = Mapping[int, float]


class RoundingConclusion(StrEnum):
    """Whether an arm loses less by rounding than what it is compared with."""

    LESS = "loses less"
    MORE = "loses more"
    CANNOT_TELL = "cannot tell"
    """The interval holds zero, or there is none."""
    BASELINE = "baseline"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundedArm:
    """An arm's finished networks as one runtime rounds them to one precision."""

    name: str
    recipe: str
    """Equal for arms that were trained by the same recipe."""
    against: str | None
    """The arm that it is compared with, of another shape or of another recipe; None for the baseline."""
    qualities: Mapping[int, Quality]
    """Quality in float32 and as rounded, by seed."""

    @property
    def losses(self) -> dict[int, float]:
        """Bits per byte that rounding costs, by seed."""
        return {seed: found.rounding_loss for seed, found in self.qualities.items() if found.rounding_loss is not None}

    @property
    def deployed(self) -> dict[int, float]:
        """Bits per byte as rounded, by seed."""
        return {seed: found.deployed.bits_per_byte for seed, found in self.qualities.items() if found.rounded is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundingAnswer:
    """What rounding costs one arm, beside what it is compared with; positive differences say that the arm is better."""

    arm: str
    against: str | None
    seeds: int
    float32: float | None
    """Bits per byte before rounding, mean over the seeds; None where no seed has finished."""
    loss: float | None
    """Bits per byte that rounding costs, mean over the seeds."""
    loss_interval: LossInterval | None
    """Central 90 % interval, seeds and documents drawn; None with fewer than two seeds."""
    less_lost: float | None
    """The other arm's loss by rounding less this one's."""
    less_lost_interval: LossInterval | None
    saved: float | None
    """The other arm's bits per byte as rounded less this one's: what is deployed."""
    saved_interval: LossInterval | None

    @property
    def conclusion(self) -> RoundingConclusion:
        """Read off the interval of the difference between the two losses."""
        if self.against is None:
            return RoundingConclusion.BASELINE
        if self.less_lost_interval is None or self.less_lost_interval[0] <= 0 <= self.less_lost_interval[1]:
            return RoundingConclusion.CANNOT_TELL
        return RoundingConclusion.LESS if self.less_lost_interval[0] > 0 else RoundingConclusion.MORE

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {**asdict(self), "conclusion": self.conclusion.value}


def compare_rounding(arms: Sequence[RoundedArm]) -> list[RoundingAnswer]:
    """Each arm's loss by rounding and its differences from the arm that it is compared with.

    Seeds move the arms of one recipe alike, and pairs of arms that differ in recipe alike: that is assumed, and only seeds that
    finished in all of these count in the noise (`analysis.fidelity.ablation.pooled_noise`).
    """
    named = {arm.name: arm for arm in arms}
    return [_answer(arm, None if arm.against is None else named[arm.against], arms) for arm in arms]


def _answer(arm: RoundedArm, other: RoundedArm | None, arms: Sequence[RoundedArm]) -> RoundingAnswer:
    alike = [each for each in arms if each.recipe == arm.recipe]
    losses = list(arm.losses.values())
    less: _Found = (None, None)
    saved: _Found = (None, None)
    if other is not None:
        pairs = [(each, next(found for found in arms if found.name == each.against)) for each in alike if each.against is not None]
        pairs = [pair for pair in pairs if (pair[1].recipe == arm.recipe) == (other.recipe == arm.recipe)]
        less = _difference(other.losses, arm.losses, [(b.losses, a.losses) for a, b in pairs], same=other.recipe == arm.recipe)
        saved = _difference(other.deployed, arm.deployed, [(b.deployed, a.deployed) for a, b in pairs], same=other.recipe == arm.recipe)
    return RoundingAnswer(
        arm=arm.name,
        against=arm.against,
        seeds=len(losses),
        float32=fmean(found.bits_per_byte for found in arm.qualities.values()) if arm.qualities else None,
        loss=fmean(losses) if losses else None,
        loss_interval=_loss_interval(arm, alike),
        less_lost=less[0],
        less_lost_interval=less[1],
        saved=saved[0],
        saved_interval=saved[1],
    )


def _loss_interval(arm: RoundedArm, alike: Iterable[RoundedArm]) -> LossInterval | None:
    """Where the mean loss of all seeds and all text like this lies: seeds, pooled over the arms of a recipe, and documents move it."""
    losses = list(arm.losses.values())
    freedom, squares = squares_within([list(each.losses.values()) for each in alike if each.losses])
    errors = [found.rounded.difference_error for found in arm.qualities.values() if found.rounded and found.rounded.difference_error]
    if not losses or not freedom:
        return None
    by_seeds = float(stdtrit(freedom, (1 + LEVEL) / 2)) * math.sqrt(squares / freedom / len(losses))
    by_documents = NormalDist().inv_cdf((1 + LEVEL) / 2) * math.sqrt(fmean(error**2 for error in errors)) if errors else 0.0
    reach, middle = math.hypot(by_seeds, by_documents), fmean(losses)
    return middle - reach, middle + reach


def _difference(other: _BySeed, own: _BySeed, pairs: Sequence[tuple[_BySeed, _BySeed]], *, same: bool) -> _Found:
    """Mean over the seeds of both of `other` less `own`, and its interval; `same` where all arms are of one recipe.

    There the baseline is in every pair, and the noise is that of its arms; else each pair has a difference of its own, whose noise it is.
    """
    seeds = sorted(other.keys() & own.keys())
    if not seeds:
        return None, None
    gain = fmean(other[seed] - own[seed] for seed in seeds)
    if same:
        arms = {"baseline": pairs[0][0], **{str(place): each for place, (_, each) in enumerate(pairs)}}
        noise, several = pooled_noise(arms), 2.0
    else:
        noise, several = _noise_of_pairs(pairs), 1.0
    return gain, estimate_interval(gain, noise if len(seeds) > 1 else None, math.sqrt(several / len(seeds)))


def _noise_of_pairs(pairs: Sequence[tuple[_BySeed, _BySeed]]) -> PooledNoise | None:
    """What a pair's difference moves by from seed to seed; None where no pair has two."""
    differences = [[other[seed] - own[seed] for seed in other.keys() & own.keys()] for other, own in pairs]
    freedom, squares = squares_within([found for found in differences if found])
    return PooledNoise(float(np.sqrt(squares / freedom)), freedom) if freedom else None
