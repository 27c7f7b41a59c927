"""What moves a number from shape to shape: blocks, heads, key-value heads and sharing, each with the others held, and how sure that is.

The logarithm of the number is fitted to the logarithms of what the shapes differ in, by least squares. Pairs of shapes tie where a seed
moves them as much as they differ; a slope through all of them has the information of each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

from analysis.statistics.arrays import Array
from analysis.statistics.intervals import LEVEL
from analysis.text.words import probability
from search_space.architecture import Architecture

LEAST_FREEDOM = 3
"""Shapes that must be left beyond the terms: with fewer the residuals hardly say how much is chance."""
MOST_EXPLAINED = 0.8
"""Share of a factor's variance, over the shapes, that the others may explain; beyond it what each does cannot be told from them."""
SURE = 0.95
"""Chance from which an effect's sign is stated."""
LITTLE = 0.01
"""Share of the number below which a doubling hardly matters: about what a seed moves a small shape's loss by."""


@dataclass(frozen=True, slots=True)
class Factor:
    """Something that shapes differ in, in doublings."""

    name: str
    """What one doubling is, as a row says it."""
    question: str
    """What a reader asks, as the beginning of a sentence."""
    more: str
    fewer: str
    """What is better where a doubling lowers the number, and where it raises it."""
    doublings: Callable[[Architecture], float]


SHAPE_FACTORS = (
    Factor(
        "twice the stored blocks",
        "Deep and thin or wide and shallow",
        "deep and thin",
        "wide and shallow",
        lambda a: math.log2(a.num_unique_layers),
    ),
    Factor("twice the query heads", "Many heads or few", "many", "few", lambda a: math.log2(a.num_attention_heads)),
    Factor(
        "twice the key-value heads",
        "Many key-value heads or few",
        "many",
        "few",
        lambda a: math.log2(a.num_key_value_heads / a.num_attention_heads),
    ),
    Factor(
        "each block run twice",
        "Blocks that share weights",
        "sharing",
        "no sharing",
        lambda a: math.log2(a.num_hidden_layers / a.num_unique_layers),
    ),
)
"""What a reader of MobileLLM (arXiv 2402.14905) asks, in its order; all at the same number of parameters where that is a study's budget."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What one doubling of a factor does to a number, the other factors held: shares of the number, such as -0.02."""

    factor: Factor
    change: float
    low: float
    high: float
    """Ends of the 90 % interval."""
    lowers: float
    """Probability that it lowers the number."""

    @property
    def better(self) -> str | None:
        """Which way is better for a number that is better where smaller; None where that cannot be told."""
        if max(self.lowers, 1 - self.lowers) < SURE:
            return None
        return self.factor.more if self.lowers > 0.5 else self.factor.fewer

    @property
    def verdict(self) -> str:
        """Which way is better and how sure that is, that it hardly matters, or that it cannot be told."""
        is_little = self.low > -LITTLE and self.high < LITTLE
        chance = max(self.lowers, 1 - self.lowers)
        if self.better is not None:
            return f"{self.better}, {probability(chance)} sure{f', by less than {LITTLE:.0%}' if is_little else ''}"
        if is_little:
            return f"hardly matters, less than {LITTLE:.0%}"
        below = probability(min(chance, SURE - 0.01))  # as it is written, too, below what a side is stated from
        return f"cannot tell, {below} for {self.factor.more if self.lowers > 0.5 else self.factor.fewer}"

    @property
    def change_text(self) -> str:
        """Such as `+1.2% (+0.7% to +1.6%)`."""
        return f"{self.change:+.1%} ({self.low:+.1%} to {self.high:+.1%})"


def effects(shapes: Sequence[Architecture], values: Sequence[float]) -> list[Effect]:
    """The effects on positive values, one a shape, of the factors that can be told apart; none where the shapes are too few."""
    columns = {factor: np.array([factor.doublings(shape) for shape in shapes], dtype=float) for factor in SHAPE_FACTORS}
    told = _told_apart({factor: column for factor, column in columns.items() if len(shapes) and np.ptp(column) > 0})
    freedom = len(shapes) - len(told) - 1
    if not told or freedom < LEAST_FREEDOM:
        return []
    design = np.column_stack([np.ones(len(shapes)), *told.values()])
    logs = np.log(np.array(values, dtype=float))
    slopes = np.linalg.lstsq(design, logs, rcond=None)[0]
    variance = float(((logs - design @ slopes) ** 2).sum()) / freedom
    errors = np.sqrt(variance * np.diag(np.linalg.inv(design.T @ design)))
    reach = float(stdtrit(freedom, (1 + LEVEL) / 2))
    return [
        Effect(
            factor,
            math.expm1(slope),
            math.expm1(slope - reach * error),
            math.expm1(slope + reach * error),
            float(stdtr(freedom, -slope / error)) if error else float(slope < 0),
        )
        for factor, slope, error in zip(told, slopes[1:].tolist(), errors[1:].tolist(), strict=True)
    ]


def _told_apart(columns: dict[Factor, Array]) -> dict[Factor, Array]:
    """The factors without those that the ones before them explain."""
    told: dict[Factor, Array] = {}
    for factor, column in columns.items():
        others = np.column_stack([np.ones(len(column)), *told.values()])
        rest = column - others @ np.linalg.lstsq(others, column, rcond=None)[0]
        if rest.var() > (1 - MOST_EXPLAINED) * column.var():
            told[factor] = column
    return told
