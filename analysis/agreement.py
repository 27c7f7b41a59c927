"""Do two measurements put the same things in the same order? Kendall's tau with an interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import kendalltau

RESAMPLES = 2000
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Agreement:
    """Kendall's tau-b of two rankings: 1 where all pairs are in the same order, -1 where all are in the opposite one."""

    tau: float
    low: float
    """Lower end of the 95 % interval."""
    high: float

    def __str__(self) -> str:
        return f"{self.tau:.2f} ({self.low:.2f} to {self.high:.2f})"


def agreement(first: Sequence[float], second: Sequence[float]) -> Agreement:
    """How far two measurements of the same things agree on their order.

    The interval is the percentile bootstrap's over the things (Efron & Tibshirani 1993, chapter 13), seeded: it says what other
    things of the same kind might have given, and is wide where there are few. ValueError for fewer than 3 or unequal numbers.
    """
    if len(first) != len(second) or len(first) < 3:
        raise ValueError(f"an agreement needs the same 3 or more things twice, found {len(first)} and {len(second)}")
    a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    rows = np.random.default_rng(0).integers(0, len(a), (RESAMPLES, len(a)))
    taus = [tau for row in rows if np.isfinite(tau := _tau(a[row], b[row]))]
    low, high = np.quantile(taus, ((1 - LEVEL) / 2, (1 + LEVEL) / 2)) if taus else (np.nan, np.nan)
    return Agreement(_tau(a, b), float(low), float(high))


def _tau(a: np.ndarray, b: np.ndarray) -> float:
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(kendalltau(a, b).statistic)
