"""Minimises the Huber objective of a law for many fits at once: a damped Newton method on arrays of (fits, runs).

Huber's loss is only once differentiable, so general quasi-Newton code stops early on it; exact curvature with a step that is damped until
the objective falls does not, and a bootstrap becomes one call.
"""

from __future__ import annotations

import numpy as np

from analysis.laws.forms import Design, bounds, inner_slopes, log_loss, log_sum, log_terms
from analysis.statistics.arrays import Array

CHUNK = 128
"""Fits that are advanced together: their arrays stay in the processor's cache."""
DAMPING, LEAST_DAMPING, MOST_DAMPING = 1e-3, 1e-9, 1e5


def huber(residuals: Array, delta: float) -> Array:
    """Half the square within delta, linear beyond."""
    size = np.abs(residuals)
    return np.where(size <= delta, 0.5 * size**2, delta * (size - 0.5 * delta))


def minimise(
    plan: Design,
    logs: Array,
    weights: Array,
    starts: Array,
    delta: float,
    *,
    box: tuple[Array, Array] | None = None,
    tolerance: float = 1e-14,
    steps: int = 200,
) -> tuple[Array, Array]:
    """Advance every row of `starts` (fits, unknowns) to a minimum of its weighted objective; returns the minima and their objectives.

    `logs` are logarithms of the losses (runs,); `weights` count the runs, shape (fits, runs), or (1, runs) for all fits alike. `box` bounds
    the unknowns (the form's own bounds by default); equal bounds hold an unknown. A fit ends when a step promises to lower its objective by
    less than the share `tolerance`.
    """
    theta, objectives = np.empty_like(starts), np.empty(len(starts))
    box = box or bounds(plan.form, logs)
    for first in range(0, len(starts), CHUNK):
        part = slice(first, first + CHUNK)
        own = weights if len(weights) == 1 else weights[part]
        theta[part], objectives[part] = _advance(plan, logs, own, starts[part], delta, box, tolerance, steps)
    return theta, objectives


def _advance(
    plan: Design, logs: Array, weights: Array, starts: Array, delta: float, box: tuple[Array, Array], tolerance: float, steps: int
) -> tuple[Array, Array]:
    theta = np.clip(starts, *box)
    weights = np.broadcast_to(weights, (len(theta), len(logs)))
    objectives = objective(plan, logs, weights, theta, delta)
    damping, active = np.full(len(theta), DAMPING), np.arange(len(theta))
    for _ in range(steps):
        step, promised = _step(plan, logs, weights[active], theta[active], delta, damping[active], box)
        moved = np.clip(theta[active] + step, *box)
        values = objective(plan, logs, weights[active], moved, delta)
        better = values < objectives[active]
        accepted = active[better]
        theta[accepted], objectives[accepted] = moved[better], values[better]
        damping[active] = np.maximum(damping[active] * np.where(better, 0.2, 6.0), LEAST_DAMPING)
        active = active[(promised >= tolerance * objectives[active]) & (damping[active] < MOST_DAMPING)]
        if not len(active):
            break
    return theta, objectives


def objective(plan: Design, logs: Array, weights: Array, theta: Array, delta: float) -> Array:
    """Weighted sum over runs of Huber's loss, shape (fits,)."""
    return np.asarray((weights * huber(logs - log_loss(plan, theta), delta)).sum(axis=1))


def _step(
    plan: Design, logs: Array, weights: Array, theta: Array, delta: float, damping: Array, box: tuple[Array, Array]
) -> tuple[Array, Array]:
    """Newton's step with the curvature's absolute eigenvalues, damped, and the decrease that it promises."""
    slope, curvature, scale = _derivatives(plan, logs, weights, theta, delta)
    held = (box[0] == box[1]) | ((theta <= box[0]) & (slope > 0)) | ((theta >= box[1]) & (slope < 0))
    slope = np.where(held, 0.0, slope * scale)
    curvature = curvature * scale[:, :, None] * scale[:, None, :]
    curvature[held[:, :, None] | held[:, None, :]] = 0.0
    values, vectors = np.linalg.eigh(curvature)
    along = (slope[:, None, :] @ vectors)[:, 0]
    softened = along / (np.abs(values) + damping[:, None])
    return -(vectors @ softened[:, :, None])[:, :, 0] * scale, (along * softened).sum(axis=1)


def _derivatives(plan: Design, logs: Array, weights: Array, theta: Array, delta: float) -> tuple[Array, Array, Array]:
    """Gradient (fits, unknowns) and Hessian (fits, unknowns, unknowns) of the objective, and a natural length of each unknown.

    With T the columns of the terms and s their shares of the sum, the log-sum has gradient g = sum of s T and Hessian sum of s T T' - g g'.
    """
    inside, shares = log_sum(log_terms(plan, theta))
    gradient = inner_slopes(plan, shares)
    outer = theta[:, -1, None] if plan.form.outer else np.ones((len(theta), 1))
    residuals = logs - outer * inside
    pull = np.clip(residuals, -delta, delta) * weights
    quadratic = (np.abs(residuals) <= delta) * weights
    lift = pull * outer
    curvature = _gram(lift if plan.form.outer else lift + quadratic, gradient)
    for parts, share in zip(plan.columns, shares, strict=True):
        lifted = lift * share
        for i, left in parts:
            for j, right in parts:
                curvature[:, i, j] -= lifted @ (left * right)
    if plan.form.outer:
        cross = _along(pull, gradient)
        curvature[:, -1, :] -= cross
        curvature[:, :, -1] -= cross
        gradient *= outer[:, None]
        gradient[:, -1] = inside
        curvature += _gram(quadratic, gradient)
    majorant = weights * np.minimum(1.0, delta / np.maximum(np.abs(residuals), 1e-300))
    size = _along(majorant, gradient**2)
    scale = 1.0 / np.sqrt(np.maximum(size, 1e-24 * size.max(axis=1, keepdims=True) + 1e-300))
    return -_along(pull, gradient), curvature, scale


def _along(weights: Array, gradient: Array) -> Array:
    """Weighted sum over runs, shape (fits, unknowns)."""
    return np.asarray((gradient @ weights[:, :, None])[:, :, 0])


def _gram(weights: Array, gradient: Array) -> Array:
    """Sum over runs of weight * g g', shape (fits, unknowns, unknowns)."""
    return np.asarray((gradient * weights[:, None, :]) @ gradient.transpose(0, 2, 1))
