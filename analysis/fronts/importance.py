"""Which dimensions of the shape decide an objective: PED-ANOVA, as Optuna computes it, with intervals and with what chance would give.

Watanabe, Bansal and Hutter (IJCAI 2023, arXiv 2304.10255): the values of a dimension among the best trials are compared with those
among all of them, both smoothed, by the Pearson divergence. The numbers are those of `optuna.importance.PedAnovaImportanceEvaluator`
(Optuna 5) with `target_quantile=best_share(n)` where every value of the space was tried, a test sees to it; a value that was never tried
is a level for Optuna and none here, where records alone are read. They are computed here because an interval wants hundreds of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtr

from analysis.fronts.front import Front
from analysis.records.json_writer import json_of
from analysis.records.record import TrialRecord
from analysis.statistics.arrays import Array, Flags, Indices
from analysis.statistics.intervals import LEVEL

BEST_SHARE, FEWEST_BEST = 0.1, 5
"""Share of the trials that are the best ones, Optuna's default, and how many there are at least, which its documentation asks for."""
FEWEST_SHAPES = 10
"""Shapes below which nothing is said: half of them would be the best ones."""
IMPORTANCE_DRAWS = 200
GRID_LEVELS = 50
"""Optuna's grid: of more values neighbours are taken together."""
BANDWIDTH, QUARTILES, NARROWEST = 1.059, 1.34, 0.5 / 1.64
"""Scott's rule (1992), as Optuna has it: a kernel's width in levels is never below the one that holds 90 % of it within its level."""


@dataclass(frozen=True, slots=True)
class Importance:
    """How much of what decides an objective is one dimension's: shares, which add up to 1 over the dimensions."""

    dimension: str
    share: float
    low: float
    high: float
    """Ends of the 90 % interval, by drawing the trials anew with replacement."""
    by_chance: float
    """What only one in twenty shufflings of the objective's values among the shapes gives it more of."""

    @property
    def stands_out(self) -> bool:
        """Whether it has more than chance would give it."""
        return self.share > self.by_chance


@dataclass(frozen=True, slots=True)
class DimensionLevels:
    """A dimension's values as the trials have them."""

    places: Indices
    """Which value each trial has; [trials]."""
    count: int
    ordered: bool
    """Whether values are numbers, so that neighbours are alike."""


def importances(records: Sequence[TrialRecord], front: Front) -> dict[str, list[Importance]]:
    """Importance of each dimension for each objective, by its name, the largest first; empty where shapes are too few.

    The shapes are those that finished; those that were stopped are not among them. References, which no sampler chose, are left out; a
    shape with replicates counts once, with what is known of it.
    """
    shapes = [record for record in records if record.number in front.points and record.point is not None]
    levels = levels_of([record.point for record in shapes if record.point is not None])
    if len(shapes) < FEWEST_SHAPES or not levels:
        return {}
    found = {}
    for place, objective in enumerate(front.objectives):
        costs = np.array([front.costs(record.number)[place] for record in shapes])
        if np.ptp(costs) > 0:
            found[objective.name] = importance(levels, costs)
    return found


def levels_of(points: Sequence[Mapping[str, Any]]) -> dict[str, DimensionLevels]:
    """The dimensions that vary, from the raw values of each trial."""
    found = {}
    for name in points[0] if points else ():
        values = [point.get(name) for point in points]
        numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        keys = values if numbers else [json_of(value, sort_keys=True) for value in values]
        there, places = np.unique(np.array(keys), return_inverse=True)
        if len(there) > GRID_LEVELS and numbers:
            places = np.ceil(places * (GRID_LEVELS - 1) / (len(there) - 1) - 0.5).astype(np.int64)
        if len(there) > 1:
            found[name] = DimensionLevels(places, min(len(there), GRID_LEVELS) if numbers else len(there), numbers)
    return found


def importance(levels: Mapping[str, DimensionLevels], costs: Array) -> list[Importance]:
    """Importance of each dimension for an objective of which less is better; the same trials give the same numbers."""
    random, trials = np.random.default_rng(0), len(costs)
    drawn = np.vstack([np.arange(trials), random.integers(trials, size=(IMPORTANCE_DRAWS, trials))])
    by_trials = _shares(levels, drawn, costs[drawn])
    shuffled = random.permuted(np.broadcast_to(costs, (IMPORTANCE_DRAWS, trials)), axis=1)
    by_chance = np.quantile(_shares(levels, np.broadcast_to(np.arange(trials), shuffled.shape), shuffled), 0.95, axis=1)
    ends = np.quantile(by_trials[:, 1:], ((1 - LEVEL) / 2, (1 + LEVEL) / 2), axis=1)
    rows = zip(levels, by_trials[:, 0].tolist(), *ends.tolist(), by_chance.tolist(), strict=True)
    return sorted((Importance(*row) for row in rows), key=lambda found: -found.share)


def best_share(trials: int) -> float:
    """Share of so many trials that are the best ones."""
    return max(BEST_SHARE, FEWEST_BEST / trials)


def _shares(levels: Mapping[str, DimensionLevels], drawn: Indices, costs: Array) -> Array:
    """[dimensions, draws] Importance over that of all dimensions; `drawn`, [draws, trials], says which trials these costs are of."""
    trials = costs.shape[1]
    cutoff = np.sort(costs, axis=1)[:, math.ceil(best_share(trials) * trials) - 1, None]
    best = costs <= cutoff
    found = np.array([_divergence(_counts(each, drawn, best), _counts(each, drawn, np.ones_like(best)), each) for each in levels.values()])
    total = found.sum(axis=0)
    shares: Array = np.where(total > 0, found / np.where(total > 0, total, 1.0), 1.0 / len(found))
    return shares


def _counts(levels: DimensionLevels, drawn: Indices, kept: Flags) -> Array:
    """[draws, levels] How often each value is there among the trials that are kept."""
    draws = len(drawn)
    flat = levels.places[drawn] + levels.count * np.arange(draws)[:, None]
    return np.bincount(flat[kept], minlength=draws * levels.count).reshape(draws, levels.count).astype(float)


def _divergence(best: Array, every: Array, levels: DimensionLevels) -> Array:
    """[draws] Pearson divergence of the smoothed values of the best trials from those of all."""
    smooth = _ordered_density if levels.ordered else _category_density
    top, local = smooth(best) + 1e-12, smooth(every) + 1e-12
    found: Array = (local * (top / local - 1) ** 2).sum(axis=1)
    return found


def _category_density(counts: Array) -> Array:
    """[draws, levels] Each value that is there is a kernel, weighted by how often, and one more is even over all of them."""
    kernels = (counts > 0).sum(axis=1, keepdims=True) + 1
    prior = 1 / kernels
    total = counts.sum(axis=1, keepdims=True)
    even = prior / (prior * counts.shape[1] + 1)
    density: Array = (counts / (prior * counts.shape[1] + 1) + total * even + 1 / counts.shape[1]) / (total + 1)
    return density


def _ordered_density(counts: Array) -> Array:
    """[draws, levels] A normal kernel at each value that is there, cut at the ends, and one as wide as all of them in the middle."""
    size = counts.shape[1]
    grid, total = np.arange(size, dtype=float), counts.sum(axis=1)
    mean = counts @ grid / total
    deviation = np.sqrt((counts * (grid - mean[:, None]) ** 2).sum(axis=1) / np.maximum(1, total - 1))
    heaped = counts.cumsum(axis=1)
    first = (heaped >= np.maximum(1, total // 4)[:, None]).argmax(axis=1)
    third = (heaped > (total * 3 // 4)[:, None]).argmax(axis=1)
    width = np.maximum(BANDWIDTH * np.minimum((third - first) / QUARTILES, deviation) * total**-0.2, NARROWEST)
    kernels = _cut_normals(grid[None, :], width[:, None], size)
    prior = _cut_normals(np.array([[(size - 1) / 2]]), np.array([[float(size)]]), size)[0, 0]
    density: Array = (np.einsum("dk,dkg->dg", counts, kernels) + prior) / (total + 1)[:, None]
    return density


def _cut_normals(middles: Array, widths: Array, size: int) -> Array:
    """[draws, kernels, levels] Probabilities of whole levels under normal distributions that are cut half a level beyond the ends."""
    edges = np.arange(size + 1) - 0.5
    reached = ndtr((edges - middles[..., None]) / widths[..., None])
    found: Array = np.diff(reached, axis=-1) / (reached[..., -1:] - reached[..., :1])
    return found
