"""How far a loss on some text is from that on all text like it: words of one document are no independent draws, documents are."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from analysis.statistics.arrays import Array
from analysis.statistics.intervals import LEVEL


def ratio_error(amounts: Array, sizes: Array, units: npt.NDArray[np.int64]) -> tuple[int, float | None]:
    """The number of units among the draws, and the standard error of sum(amounts) / sum(sizes); None for fewer than two units.

    All three have one value a draw: nats, bytes and the number of the document, say. Units are taken for draws of their own, whatever their
    words have in common (linearised ratio of cluster totals: Cochran 1977, Sampling Techniques, equation 6.13 with clusters as units;
    Liang and Zeger 1986 for the name robust).
    """
    _, places = np.unique(units, return_inverse=True)
    totals, weights = np.bincount(places, amounts), np.bincount(places, sizes)
    count = len(totals)
    if count < 2 or not weights.sum():
        return count, None
    residuals = totals - totals.sum() / weights.sum() * weights
    return count, math.sqrt(count / (count - 1) * float(residuals @ residuals)) / float(weights.sum())


def half_width(error: float, count: int, level: float = LEVEL) -> float:
    """Half the width of the interval at `level` that so many units' standard error gives: Student's t with `count` - 1 freedoms."""
    from scipy.special import stdtrit

    return float(stdtrit(count - 1, (1 + level) / 2)) * error
