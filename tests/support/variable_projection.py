"""The optimum of a law by another route than `analysis.laws.fit` takes, to check it by."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.optimize import minimize, nnls

from analysis.laws.fit import HUBER_DELTA, Fit, finished_fit, screened_starts
from analysis.laws.forms import Form, bounds, design, log_terms
from analysis.laws.newton import minimise
from analysis.statistics.arrays import Array


def project_law(form: Form, variables: Mapping[str, Array], losses: Array) -> Fit:
    """The optimum of the Huber objective by variable projection: with the exponents fixed the rest is linear (Golub and Pereyra 1973).

    A direct search over the exponents alone, each point solved by non-negative least squares and then for the loss function. It takes no
    exponent step with `fit_law`: where the two agree, the optimum is not an accident of either. Ten times slower.
    """
    assert form.outer is None, "variable projection needs a sum of terms"
    plan, logs = design(form, variables), np.log(losses)
    count, (low, high) = len(form.coefficients), bounds(form, logs)

    def solve(exponents: Array) -> tuple[Array, float]:
        held = np.clip(exponents, low[count:], high[count:])
        theta = np.concatenate([np.zeros(count), held])[None]
        terms = np.exp(np.stack(log_terms(plan, theta), axis=-1))[0] / losses[:, None]
        coefficients = nnls(terms, np.ones(len(losses)))[0]
        theta[0, :count] = np.log(np.maximum(coefficients, 1e-3 * losses.min()))
        box = np.concatenate([low[:count], held]), np.concatenate([high[:count], held])
        theta, objectives = minimise(plan, logs, np.ones((1, len(logs))), theta, HUBER_DELTA, box=box)
        return theta[0], float(objectives[0])

    def misfit(exponents: Array) -> float:
        return solve(exponents)[1]

    best = screened_starts(plan, losses, 1)[0, count:]
    for _ in range(2):
        best = np.asarray(minimize(misfit, best, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-16, "maxiter": 600}).x)
    return finished_fit(plan, logs, solve(best)[0], "huber")
