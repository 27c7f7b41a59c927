"""The one level of intervals, and the interval that draws have."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from analysis.statistics.arrays import Array

LEVEL = 0.9
"""Share that an interval holds where nothing else is said; all are central."""


def standard_errors(level: float = LEVEL) -> float:
    """How many standard errors the central interval at `level` of a normal estimate reaches to each side."""
    return NormalDist().inv_cdf((1 + level) / 2)


def percentile_interval(values: Array, level: float = LEVEL) -> tuple[float, float]:
    """Central interval of draws (draws,) that holds the share `level`."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
