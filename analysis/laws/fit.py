"""Fits a law to runs, by Newton's method from a screened grid.

The objective is the sum over runs of a loss function of `log(observed) - log(predicted)`: Huber's with delta 1e-3, as Hoffmann et al. 2022
(arXiv 2203.15556) state it, or the absolute value (`lad`), which is what their published numbers minimise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np

from analysis.laws.forms import Design, Form, design, form_parameters, log_loss, log_terms
from analysis.laws.newton import huber, minimise
from analysis.laws.options import LOSS_FUNCTIONS
from analysis.statistics.arrays import Array
from search_space.errors import SpecError, unknown_key

HUBER_DELTA = 1e-3
LAD_DELTAS = tuple(10.0**-power for power in range(3, 11))
"""Huber's loss over delta tends to the absolute value; each delta starts where the last one ended."""
EXPONENT_GRID = (0.05, 0.15, 0.3, 0.5, 0.8, 1.3)
"""Exponents that a search starts from."""
REFINED = 6
"""Points of the grid that are refined."""


@dataclass(frozen=True)
class Fit:
    """A law with its unknowns found."""

    form: Form
    theta: Array
    """The unknowns as they are fitted, shape (unknowns,), in the order of `form.unknowns`."""
    centres: Mapping[str, float]
    """Means of the variables' logarithms, at which coefficients are fitted."""
    objective: float
    """Sum over runs of the loss function at the optimum."""
    loss_function: str
    residuals: Array
    """log(observed) - log(predicted), shape (runs,)."""

    @property
    def parameters(self) -> dict[str, float]:
        """The law's parameters by name, as its formula writes them."""
        return {name: float(value[0]) for name, value in form_parameters(self.form, self.theta[None], self.centres).items()}

    def predict(self, variables: Mapping[str, Array]) -> Array:
        """Predicted loss at the rows of `variables`, shape (rows,)."""
        return np.asarray(predict_losses(self.form, self.theta[None], self.centres, variables)[0])


def fit_law(form: Form, variables: Mapping[str, Array], losses: Array, loss_function: str = "huber", *, quick: bool = False) -> Fit:
    """The best fit of the form to runs with `losses` (runs,) at `variables` (each (runs,)); `quick` gives up its last digits.

    Raises SpecError where there are fewer runs than unknowns or the loss function has another name.
    """
    if loss_function not in LOSS_FUNCTIONS:
        raise unknown_key(f"loss function {loss_function}", loss_function, LOSS_FUNCTIONS)
    plan, logs = design(form, variables), np.log(losses)
    if len(losses) <= len(form.unknowns):
        raise SpecError(
            f"{form.name} has {len(form.unknowns)} unknowns and needs more runs than that, found {len(losses)}; "
            "add runs, or choose a smaller form"
        )
    every_run = np.ones((1, len(logs)))
    starts = screened_starts(plan, losses, 3 if quick else REFINED)
    rough, objectives = minimise(plan, logs, every_run, starts, HUBER_DELTA, tolerance=1e-3 if quick else 1e-5, steps=12 if quick else 30)
    best = refine(plan, logs, every_run, rough[[int(np.argmin(objectives))]], loss_function, quick=quick)
    return finished_fit(plan, logs, best[0], loss_function)


def refine(plan: Design, logs: Array, weights: Array, theta: Array, loss_function: str, *, quick: bool = False) -> Array:
    """Minima (fits, unknowns) of the named loss function, from `theta` (fits, unknowns) and run counts `weights` (fits or 1, runs).

    `quick` is for refits, whose last digits nobody reads: a higher tolerance, fewer deltas and steps.
    """
    deltas = LAD_DELTAS if loss_function == "lad" else (HUBER_DELTA,)
    tolerance, steps = (1e-6, 30) if quick else (1e-14, 200)
    for delta in deltas[:3] if quick else deltas:
        theta, _ = minimise(plan, logs, weights, theta, delta, tolerance=tolerance, steps=steps)
    return theta


def predict_losses(form: Form, theta: Array, centres: Mapping[str, float], variables: Mapping[str, Array]) -> Array:
    """Predicted losses, shape (fits, rows), of `theta` (fits, unknowns) at the rows of `variables`."""
    return np.asarray(np.exp(log_loss(design(form, variables, centres), theta)))


def screened_starts(plan: Design, losses: Array, count: int) -> Array:
    """The best points (count or fewer, unknowns) of a grid of exponents: with these fixed, the coefficients follow from least squares."""
    signed = (0.0, 0.3)
    points = np.array(list(product(*(signed if name in plan.form.signed else EXPONENT_GRID for name in plan.form.exponents))))
    theta = np.concatenate([np.zeros((len(points), len(plan.columns))), points], axis=1)
    outer = points[:, -1:] if plan.form.outer else np.ones((len(points), 1))
    target = losses ** (1.0 / outer)
    terms = np.exp(np.stack(log_terms(plan, theta), axis=-1)) / target[:, :, None]
    normal, right = np.einsum("snk,snl->skl", terms, terms), terms.sum(axis=1)
    normal += 1e-10 * np.einsum("skk->sk", normal).max(axis=1)[:, None, None] * np.eye(normal.shape[1])
    coefficients = np.linalg.solve(normal, right[:, :, None])[:, :, 0]
    floor = 1e-3 * target.min(axis=1, keepdims=True)
    theta[:, : coefficients.shape[1]] = np.log(np.maximum(coefficients, floor))
    misfit = huber(np.log(losses) - log_loss(plan, theta), HUBER_DELTA).sum(axis=1)
    return np.asarray(theta[np.argsort(misfit, kind="stable")[:count]])


def finished_fit(plan: Design, logs: Array, theta: Array, loss_function: str) -> Fit:
    """The fit that the unknowns `theta` (unknowns,) are."""
    residuals = logs - log_loss(plan, theta[None])[0]
    values = np.abs(residuals) if loss_function == "lad" else huber(residuals, HUBER_DELTA)
    return Fit(plan.form, theta, plan.centres, float(values.sum()), loss_function, residuals)
