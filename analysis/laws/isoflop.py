"""Approach 2 of Hoffmann et al. 2022 (arXiv 2203.15556): parabolas of loss against size at equal FLOPs, and power laws of their minima."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.laws.intervals import training_weights
from analysis.laws.runs import Runs
from analysis.statistics.arrays import Array
from search_space.errors import SpecError

Rows = NDArray[np.int64]

BUDGET_WIDTH = 0.06
"""Decades of FLOPs that one budget's runs may span."""
LEAST_SIZES = 4
"""Sizes that a parabola needs: one more than its unknowns."""
LEAST_SHARE = 1 / 3
"""Runs that a budget must have, as a share of the fullest one's: fewer are runs that happen to be near each other."""


@dataclass(frozen=True)
class Parabola:
    """Loss at one FLOP budget: `log loss = height + curvature * (log N - log params) ** 2`."""

    flops: float
    """Geometric mean of the budget's runs."""
    params: float
    """N at the minimum."""
    tokens: float
    """D at the minimum: FLOPs over 6 N."""
    loss: float
    """Loss at the minimum."""
    curvature: float
    rows: tuple[int, ...]
    """The budget's runs."""


@dataclass(frozen=True)
class IsoFlop:
    """Minima at every budget and how they grow: N_opt = k_N C^a, D_opt = k_D C^b, with a + b = 1 where C = 6 N D."""

    parabolas: tuple[Parabola, ...]
    parameters: dict[str, float]
    """`a`, `b`, `k_N`, `k_D`."""
    draws: dict[str, Array]
    """Each parameter under refits with other weights of the trainings."""
    notes: tuple[str, ...]
    """Budgets that were left out, and why."""


def fit_isoflop(runs: Runs, refits: int = 1000, seed: int = 0) -> IsoFlop:
    """Fit approach 2; raises SpecError where fewer than two budgets have a minimum inside their sizes."""
    parabolas, notes = [], []
    for rows in _budgets(runs):
        flops = float(np.exp(np.log(runs.variables["flops"][rows]).mean()))
        found = _parabolas(runs, rows, np.ones((1, len(runs))))
        if found is None:
            notes.append(f"the budget of {flops:.3g} FLOPs has fewer than {LEAST_SIZES} sizes and is left out")
            continue
        minimum, height, curvature = (float(part[0]) for part in found)
        sizes = np.log(runs.variables["params"][rows])
        if curvature <= 0 or not sizes.min() <= minimum <= sizes.max():
            notes.append(f"the budget of {flops:.3g} FLOPs has no minimum inside its sizes and is left out")
            continue
        params = float(np.exp(minimum))
        parabolas.append(Parabola(flops, params, flops / 6 / params, float(np.exp(height)), curvature, tuple(int(row) for row in rows)))
    if len(parabolas) < 2:
        raise SpecError(f"isoFLOP parabolas need at least 2 budgets with a minimum inside their sizes, found {len(parabolas)}; add sizes")
    weights = training_weights(runs.groups, refits, np.random.default_rng(seed))
    minima = np.stack([_minima(runs, parabola, weights) for parabola in parabolas], axis=1)
    logs = np.log([parabola.flops for parabola in parabolas])
    point = _power_law(logs, np.log([[parabola.params for parabola in parabolas]]))
    return IsoFlop(
        tuple(parabolas),
        {name: float(values[0]) for name, values in point.items()},
        _power_law(logs, minima),
        tuple(notes),
    )


def _budgets(runs: Runs) -> list[Rows]:
    """Rows of each budget from the smallest: the fullest window of FLOPs first, then the fullest of what is left."""
    order = np.argsort(runs.variables["flops"], kind="stable")
    logs = np.log10(runs.variables["flops"][order])
    free = np.ones(len(order), dtype=np.bool_)
    budgets: list[Rows] = []
    while free.any():
        windows = free & (logs >= logs[free, None]) & (logs <= logs[free, None] + BUDGET_WIDTH)
        window = windows[int(np.argmax(windows.sum(axis=1)))]
        if budgets and window.sum() < LEAST_SHARE * len(budgets[0]):
            break
        budgets.append(order[window])
        free &= ~window
    return sorted(budgets, key=lambda rows: float(runs.variables["flops"][rows[0]]))


def _parabolas(runs: Runs, rows: Rows, weights: Array) -> tuple[Array, Array, Array] | None:
    """Place (log N), height (log loss) and curvature of the minimum for each row of weights; None where the sizes are too few."""
    if len(np.unique(runs.variables["params"][rows].round(-3))) < LEAST_SIZES:
        return None
    logs = np.log(runs.variables["params"][rows])
    centre, x = logs.mean(), logs - logs.mean()
    powers = np.stack([np.ones_like(x), x, x**2], axis=1)
    own = weights[:, rows]
    normal = np.einsum("sn,ni,nj->sij", own, powers, powers)
    right = np.einsum("sn,ni,n->si", own, powers, np.log(runs.losses[rows]))
    height, slope, curvature = np.linalg.solve(normal, right[:, :, None])[:, :, 0].T
    with np.errstate(divide="ignore", invalid="ignore"):
        return centre - slope / (2 * curvature), height - slope**2 / (4 * curvature), curvature


def _minima(runs: Runs, parabola: Parabola, weights: Array) -> Array:
    """Logarithm of N at the minimum in each refit, held within the budget's sizes, where alone a parabola says anything."""
    rows = np.array(parabola.rows)
    found = _parabolas(runs, rows, weights)
    assert found is not None
    logs = np.log(runs.variables["params"][rows])
    place, _, curvature = found
    edge = np.where(place > logs.mean(), logs.min(), logs.max())
    return np.clip(np.where(curvature > 0, place, edge), logs.min(), logs.max())


def _power_law(log_flops: Array, log_params: Array) -> dict[str, Array]:
    """Least squares of log N on log C, for each row of `log_params` (fits, budgets)."""
    x = log_flops - log_flops.mean()
    slope = log_params @ x / (x @ x)
    offset = log_params.mean(axis=1) - slope * log_flops.mean()
    return {"a": slope, "b": 1 - slope, "k_N": np.exp(offset), "k_D": np.exp(-offset) / 6}
