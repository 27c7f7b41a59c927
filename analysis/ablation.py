"""What an ablation's arms say beside the published figures: differences with intervals, and whether their signs agree."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from scipy import stats

LEVEL = 0.9
"""Of the intervals, as everywhere in archfront."""
PUBLISHED_NOISE = 0.9
"""Points of accuracy: two standard errors of an average over eight tasks as MobileLLM's (arXiv 2402.14905) has them, about 0.45 each."""

Losses = Mapping[str, Mapping[int, float]]
"""Bits per byte of each arm by seed."""


class Verdict(StrEnum):
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
    """Of the gain, central 90 %; None with fewer than two seeds."""
    seeds: int
    """That have finished in every arm."""

    @property
    def verdict(self) -> Verdict:
        """Read off the signs alone: points of accuracy and bits per byte have no common measure."""
        if not self.published:
            return Verdict.NO_FIGURE
        signs = {math.copysign(1, value) if value else 0 for value in self.published.values()}
        if self.interval is None or self.interval[0] <= 0 <= self.interval[1] or len(signs) > 1 or 0 in signs:
            return Verdict.CANNOT_TELL
        return Verdict.AGREES if signs == {math.copysign(1, self.interval[0])} else Verdict.DISAGREES

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
            "verdict": self.verdict.value,
        }


def compare(losses: Losses, baseline: str, published: Mapping[str, Mapping[str, float]]) -> list[Difference]:
    """Each arm of `losses` but the baseline; `published` has the accuracy of arms, in percent, by scale.

    A seed gives every arm the same data in the same order, so arms are compared within seeds, and the noise is what is left of all
    arms' losses after their own means and the seeds' are taken away (a randomised block design). Only seeds that finished in every arm
    count.
    """
    seeds = sorted(set.intersection(*(set(found) for found in losses.values())))
    table = np.array([[found[seed] for seed in seeds] for found in losses.values()])
    spread = _spread(table)
    rows = []
    for place, arm in enumerate(losses):
        if arm == baseline:
            continue
        gain = float((table[list(losses).index(baseline)] - table[place]).mean()) if seeds else None
        rows.append(
            Difference(
                arm=arm,
                baseline=baseline,
                published={s: round(found[arm] - found[baseline], 6) for s, found in published.items() if {arm, baseline} <= found.keys()},
                gain=gain,
                interval=None if gain is None or spread is None else (gain - spread, gain + spread),
                seeds=len(seeds),
            )
        )
    return rows


def _spread(table: np.ndarray[Any, np.dtype[np.float64]]) -> float | None:
    """Half the width of a difference's interval, from losses [arms, seeds]; None where there is nothing to take it from."""
    arms, seeds = table.shape
    if arms < 2 or seeds < 2:
        return None
    left = table - table.mean(0, keepdims=True) - table.mean(1, keepdims=True) + table.mean()
    freedom = (arms - 1) * (seeds - 1)
    deviation = math.sqrt(float((left**2).sum()) / freedom)
    return float(stats.t.ppf((1 + LEVEL) / 2, freedom)) * deviation * math.sqrt(2 / seeds)


HEADINGS = ("question", "arm against baseline", "published, points", "ours, bits per byte saved", "90 % interval", "seeds", "verdict")


def table_text(answers: Sequence[tuple[str, Sequence[Difference]]]) -> str:
    """One Markdown table of every question's differences; a star marks published differences within the noise of their measure."""
    lines = [HEADINGS, ("---",) * len(HEADINGS)]
    for question, differences in answers:
        lines += [(question if not place else "", *_cells(difference)) for place, difference in enumerate(differences)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cells(found: Difference) -> tuple[str, ...]:
    published = ", ".join(f"{value:+.1f} ({scale})" for scale, value in found.published.items())
    return (
        f"{found.arm} against {found.baseline}",
        f"{published}{' *' if found.published_is_noise else ''}" if published else "–",
        "–" if found.gain is None else f"{found.gain:+.4f}",
        "–" if found.interval is None else f"{found.interval[0]:+.4f} to {found.interval[1]:+.4f}",
        str(found.seeds),
        found.verdict.value,
    )
