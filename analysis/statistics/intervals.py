"""The one level of intervals, and the interval that draws have."""

from __future__ import annotations

import numpy as np

from analysis.statistics.arrays import Array

LEVEL = 0.9
"""Share that an interval holds where nothing else is said; all are central."""


def percentile_interval(values: Array, level: float = LEVEL) -> tuple[float, float]:
    """Central interval of draws (draws,) that holds the share `level`."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
