"""What a point is expected to add to the hypervolume of a front of two or three minimised objectives, in closed form."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import ndtr

from analysis.fronts.domination import non_dominated, open_boxes
from analysis.statistics.arrays import Array

Normal = tuple[Array, Array]
"""Mean and standard deviation of an objective at some points, each of shape [points]; deviation 0 where it is known."""


def expected_shortfall(limits: Array, mean: Array, deviation: Array) -> Array:
    """How far a normal variable is expected to lie below each limit, nought where above; shape [points, limits]."""
    gap = limits[None, :] - mean[:, None]
    width = deviation[:, None]
    if not deviation.any():
        return np.maximum(gap, 0.0)
    z = gap / np.maximum(width, 1e-300)
    shortfall: Array = gap * ndtr(z) + width * np.exp(-0.5 * np.minimum(z * z, 1400.0)) / math.sqrt(2 * math.pi)
    return shortfall


def expected_hypervolume_improvement(objectives: Sequence[Normal], front: Array, corner: Sequence[float]) -> Array:
    """Expected growth of the hypervolume below `corner` for each candidate; shape [points].

    The objectives of a candidate are independent and normal. `front` has shape [members, objectives]. What it leaves open falls into
    boxes, and in each box the gain is a product of one expectation for each objective.
    """
    return _in_strips(objectives[0], objectives[1], front, corner) if len(objectives) == 2 else _in_boxes(objectives, front, corner)


def _in_strips(first: Normal, second: Normal, front: Array, corner: Sequence[float]) -> Array:
    """Two objectives: the boxes are strips between neighbouring members (Emmerich, Yang and Deutz, 2016)."""
    inside = front[(front < corner).all(axis=1)]
    inside = inside[non_dominated(inside[:, ::-1], distinct=True)]
    ceilings = np.r_[corner[0], inside[:, 0]]
    edges = np.r_[inside[:, 1], corner[1]]
    height = expected_shortfall(ceilings, *first)
    reach = expected_shortfall(edges, *second)
    strips = np.diff(reach, axis=1, prepend=0.0)
    gain: Array = (strips * height).sum(axis=1)
    return gain


def _in_boxes(objectives: Sequence[Normal], front: Array, corner: Sequence[float]) -> Array:
    """Three objectives: at most 2 n + 1 boxes of n members (Yang, Emmerich, Deutz and Bäck 2019, arXiv 1904.12672).

    A point dominates of a box what lies above it: in each objective the shortfall below the box's upper side, less the one below its
    lower side.
    """
    lower, upper = open_boxes(front, corner)
    gain = np.ones((len(objectives[0][0]), len(upper)))
    for normal, low, high in zip(objectives, lower.T, upper.T, strict=True):
        sides, places = np.unique(np.r_[low, high], return_inverse=True)
        below = expected_shortfall(sides[np.isfinite(sides)], *normal)
        if not np.isfinite(sides[0]):  # nothing lies below minus infinity
            below = np.concatenate([np.zeros((len(below), 1)), below], axis=1)
        gain *= below[:, places[len(low) :]] - below[:, places[: len(low)]]
    gains: Array = gain.sum(axis=1)
    return gains
