"""What a point is expected to add to the hypervolume of a front of two minimised objectives, in closed form."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtr

from analysis.fronts.domination import non_dominated
from analysis.statistics.arrays import Array


def expected_shortfall(limits: Array, mean: Array, deviation: Array) -> Array:
    """How far a normal variable is expected to lie below each limit, nought where above; shape [points, limits]."""
    gap = limits[None, :] - mean[:, None]
    width = deviation[:, None]
    if not deviation.any():
        return np.maximum(gap, 0.0)
    z = gap / np.maximum(width, 1e-300)
    shortfall: Array = gap * ndtr(z) + width * np.exp(-0.5 * np.minimum(z * z, 1400.0)) / math.sqrt(2 * math.pi)
    return shortfall


def expected_hypervolume_improvement(
    first: tuple[Array, Array], second: tuple[Array, Array], front: Array, corner: tuple[float, float]
) -> Array:
    """Expected growth of the hypervolume below `corner` for each candidate.

    `first` and `second` hold mean and deviation of the two objectives, independent and normal, deviation 0 where known; `front` has
    shape [members, 2]. The area that is not dominated falls into strips between neighbouring members, and in each strip the gain is a
    product of one expectation for each objective (Emmerich, Yang and Deutz, 2016).
    """
    inside = front[(front < corner).all(axis=1)]
    inside = inside[non_dominated(inside[:, ::-1], distinct=True)]
    ceilings = np.r_[corner[0], inside[:, 0]]
    edges = np.r_[inside[:, 1], corner[1]]
    height = expected_shortfall(ceilings, *first)
    reach = expected_shortfall(edges, *second)
    strips = np.diff(reach, axis=1, prepend=0.0)
    gain: Array = (strips * height).sum(axis=1)
    return gain
