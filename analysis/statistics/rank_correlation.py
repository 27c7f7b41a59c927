"""Whether two measurements put the same things in the same order: Kendall's tau with an interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.statistics.arrays import Array

RESAMPLES = 2000
CORRELATION_LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class RankCorrelation:
    """Kendall's tau-b of two rankings: 1 where all pairs are in the same order, -1 where all are in the opposite one."""

    tau: float
    low: float
    """Lower end of the 95 % interval."""
    high: float

    def __str__(self) -> str:
        return f"{self.tau:.2f} ({self.low:.2f} to {self.high:.2f})"


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> RankCorrelation:
    """How far two measurements of the same things agree on their order; NaN where one of them knows no order.

    The interval is the percentile bootstrap's over the things (Efron & Tibshirani 1993, chapter 13), seeded: it says what other
    things of the same kind might have given, and is wide where there are few. ValueError for fewer than 3 or unequal numbers.
    """
    return mean_rank_correlation([(first, second)])


def mean_rank_correlation(pairs: Sequence[tuple[Sequence[float], Sequence[float]]]) -> RankCorrelation:
    """The mean tau of pairs of measurements of the same things in one order; interval and errors are those of `rank_correlation`."""
    number = len(pairs[0][0])
    for first, second in pairs:
        if not 3 <= number == len(first) == len(second):
            raise ValueError(f"an agreement needs the same 3 or more things twice, found {len(first)} and {len(second)}")
    signs = [[np.sign(np.subtract.outer(values, values)) for values in np.asarray(pair, float)] for pair in pairs]
    times = np.random.default_rng(0).multinomial(number, np.full(number, 1 / number), RESAMPLES)
    taus = np.mean([_taus(a, b, times) for a, b in signs], axis=0)
    taus = taus[np.isfinite(taus)]
    low, high = np.quantile(taus, ((1 - CORRELATION_LEVEL) / 2, (1 + CORRELATION_LEVEL) / 2)) if len(taus) else (np.nan, np.nan)
    whole = np.ones((1, number))
    return RankCorrelation(float(np.mean([_taus(a, b, whole)[0] for a, b in signs])), float(low), float(high))


def _taus(a: Array, b: Array, times: npt.NDArray[Any]) -> Array:
    """Tau-b of resamples in which each thing stands so many times [resamples, things], from the signs of all differences."""

    def total(pairs: Array) -> Array:
        summed: Array = ((times @ pairs) * times).sum(1)
        return summed

    with np.errstate(invalid="ignore"):  # no pair in any order: 0 / 0
        taus: Array = total(a * b) / np.sqrt(total(a * a) * total(b * b))
    return taus
