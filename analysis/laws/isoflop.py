"""Approach 2 of Hoffmann et al. 2022 (arXiv 2203.15556): parabolas of loss against size at equal FLOPs, and power laws of their minima.

Two careful people choose other sizes around the minimum, another curve and other budgets, and find another exponent. So an interval is
taken over refits that differ in all of them, not in the weights of the trainings alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

import numpy as np

from analysis.laws.intervals import training_weights
from analysis.laws.runs import Runs
from analysis.statistics.arrays import Array, Indices
from search_space.errors import SpecError

WINDOWS = (8.0, 4.0, math.inf)
"""Factors from the size with the lowest loss within which a budget's sizes are fitted: of the drawn parabolas, and others of refits
(docs/findings.md, 2026-11-28: the exponent of isoFLOP minima, by us and by others)."""
DEGREES = (2, 3)
"""Degrees of the polynomials whose minima are looked for: that of the drawn parabolas, and another of refits."""
MINIMUM_GRID = 500
"""Places among a window's sizes at which a refit's minimum is looked for."""
BUDGET_WIDTH = 0.06
"""Decades of FLOPs that one budget's runs may span."""
LEAST_SIZES = 4
"""Sizes that a parabola needs: one more than its unknowns."""
LEAST_BUDGET_SHARE = 1 / 3
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
    """The budget's runs that the parabola is fitted to."""


@dataclass(frozen=True)
class IsoFlop:
    """Minima at every budget and how they grow: N_opt = k_N C^a, D_opt = k_D C^b, with a + b = 1 where C = 6 N D."""

    parabolas: tuple[Parabola, ...]
    parameters: dict[str, float]
    """`a`, `b`, `k_N`, `k_D`."""
    draws: dict[str, Array]
    """Each parameter under refits with other weights of trainings and budgets, other windows and degrees."""
    notes: tuple[str, ...]
    """Budgets that were left out, and why."""


def fit_isoflop(runs: Runs, refits: int = 1000, seed: int = 0) -> IsoFlop:
    """Fit approach 2; raises SpecError where fewer than two budgets have a minimum inside their sizes."""
    parabolas, budgets, notes, asked = [], [], [], _budgets(runs)
    for rows in asked:
        flops = float(np.exp(np.log(runs.variables["flops"][rows]).mean()))
        if len(np.unique(runs.variables["params"][rows].round(-3))) < LEAST_SIZES:
            notes.append(f"the budget of {flops:.3g} FLOPs has fewer than {LEAST_SIZES} sizes and is left out")
            continue
        near = _window(runs, rows, WINDOWS[0], LEAST_SIZES)
        minimum, height, curvature = _parabola(runs, near)
        sizes = np.log(runs.variables["params"][rows])
        if curvature <= 0 or not sizes.min() <= minimum <= sizes.max():
            notes.append(f"the budget of {flops:.3g} FLOPs has no minimum inside its sizes and is left out")
            continue
        params = math.exp(minimum)
        parabolas.append(Parabola(flops, params, flops / 6 / params, math.exp(height), curvature, tuple(int(row) for row in near)))
        budgets.append(rows)
    if len(parabolas) < 2:
        raise SpecError(
            f"isoFLOP parabolas need at least 2 budgets with a minimum inside their sizes, found {len(parabolas)} of {len(asked)} among "
            f"{runs.found} runs{f', for {notes[0]}' if notes else ''}; add sizes"
        )
    random = np.random.default_rng(seed)
    weights = training_weights(runs.groups, refits, random)
    minima = np.stack([_minima(runs, rows, weights) for rows in budgets], axis=1)
    logs = np.log([parabola.flops for parabola in parabolas])
    point = _power_law(logs, np.log([[parabola.params for parabola in parabolas]]), np.ones((1, len(logs))))
    return IsoFlop(
        tuple(parabolas),
        {name: float(values[0]) for name, values in point.items()},
        _power_law(logs, minima, random.exponential(size=minima.shape)),
        tuple(notes),
    )


def _budgets(runs: Runs) -> list[Indices]:
    """Indices of each budget from the smallest: the fullest window of FLOPs first, then the fullest of what is left."""
    order = np.argsort(runs.variables["flops"], kind="stable")
    logs = np.log10(runs.variables["flops"][order])
    free = np.ones(len(order), dtype=np.bool_)
    budgets: list[Indices] = []
    while free.any():
        windows = free & (logs >= logs[free, None]) & (logs <= logs[free, None] + BUDGET_WIDTH)
        window = windows[int(np.argmax(windows.sum(axis=1)))]
        if budgets and window.sum() < LEAST_BUDGET_SHARE * len(budgets[0]):
            break
        budgets.append(order[window])
        free &= ~window
    return sorted(budgets, key=lambda rows: float(runs.variables["flops"][rows[0]]))


def _window(runs: Runs, rows: Indices, factor: float, least: int) -> Indices:
    """The budget's runs whose size is within a factor of that with the lowest loss, or the nearest few sizes where these are more."""
    sizes = np.log(runs.variables["params"][rows])
    away = np.abs(sizes - sizes[int(np.argmin(runs.losses[rows]))])
    nearest = np.unique(away.round(9))[:least]
    near: Indices = rows[away <= max(math.log(factor), float(nearest[-1]) + 1e-9)]
    return near


def _parabola(runs: Runs, rows: Indices) -> tuple[float, float, float]:
    """Place (log N), height (log loss) and curvature of the minimum."""
    logs = np.log(runs.variables["params"][rows])
    curvature, slope, height = (float(value) for value in np.polyfit(logs - logs.mean(), np.log(runs.losses[rows]), 2))
    if curvature == 0:
        return math.inf, height, 0.0
    return float(logs.mean()) - slope / (2 * curvature), height - slope**2 / (4 * curvature), curvature


def _minima(runs: Runs, rows: Indices, weights: Array) -> Array:
    """Logarithm of N at the minimum in each refit, of windows and degrees in turn, held within the sizes that it is fitted to."""
    ways = list(product(WINDOWS, DEGREES))
    minima = np.empty(len(weights))
    for number, (factor, degree) in enumerate(ways):
        near = _window(runs, rows, factor, degree + 2)
        logs, own = np.log(runs.variables["params"][near]), weights[number :: len(ways)][:, near]
        centre, spread = logs.mean(), max(float(np.ptp(logs)), 1e-9)
        powers = np.vander((logs - centre) / spread, degree + 1)
        normal = np.einsum("sn,ni,nj->sij", own, powers, powers) + 1e-12 * np.eye(degree + 1)
        right = np.einsum("sn,ni,n->si", own, powers, np.log(runs.losses[near]))
        coefficients = np.linalg.solve(normal, right[:, :, None])[:, :, 0]
        places = np.linspace(logs.min(), logs.max(), MINIMUM_GRID)
        losses = coefficients @ np.vander((places - centre) / spread, degree + 1).T
        minima[number :: len(ways)] = places[losses.argmin(axis=1)]
    return minima


def _power_law(log_flops: Array, log_params: Array, weights: Array) -> dict[str, Array]:
    """Least squares of log N on log C, for each row of `log_params` and of the budgets' weights, both [fits, budgets]."""
    shares = weights / weights.sum(axis=1, keepdims=True)
    centres, heights = shares @ log_flops, (shares * log_params).sum(axis=1)
    x = log_flops - centres[:, None]
    slope = (shares * log_params * x).sum(axis=1) / (shares * x**2).sum(axis=1)
    offset = heights - slope * centres
    return {"a": slope, "b": 1 - slope, "k_N": np.exp(offset), "k_D": np.exp(-offset) / 6}
