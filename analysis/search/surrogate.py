"""A model of one objective over a space, with uncertainty: a Gaussian process of main effects and of their products in pairs.

Each group of features is a linear kernel with a variance of its own; the sum of all products of two groups' kernels is added with
one more variance (additive Gaussian processes, arXiv 1112.4394, orders one and two). The variances and that of the noise maximise
the marginal likelihood times weak priors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve, cholesky
from scipy.linalg.blas import dtrmm
from scipy.linalg.lapack import dtrtri
from scipy.optimize import minimize

from analysis.search.axes import Feature, FeatureGroups
from analysis.statistics.arrays import Array

PRIORS = {"known": 0.3, "main": 0.1, "curve": 0.01, "depth": 0.005, "layer": 0.005}
"""Centre of the prior of a group's variance by its kind, in units of the objective's: what is simple is likelier to matter."""
VARIANCE_SPREAD = 1.5
"""Standard deviation of the prior of a group's variance, in the variance's logarithm."""
PAIRS_VARIANCE = 0.3
"""Centre for the variance of products, which multiplies those of their two groups."""
NOISE, NOISE_SPREAD = 1e-3, 2.5
"""Centre and standard deviation of the prior of the noise, of which little is known."""
OFFSET = 1.0
"""Variance of the constant."""
JITTER, ROUNDING = 1e-8, 1e-12
"""Added to the noise, the second for each unit of the covariance's largest entry, so that rounding cannot spoil equal points."""
OPTIMISER_STEPS = 25
"""Steps of the optimiser."""
AT_ONCE = 256
"""Points that are predicted together, so that what is multiplied stays in the processor's cache."""


@dataclass(frozen=True)
class Variances:
    """What the marginal likelihood decides."""

    groups: Array
    """Variance of each group of features; shape [groups]."""
    pairs: float
    """Factor on the variance of the products of two groups."""
    noise: float
    mean: float
    scale: float
    """Scale of the values that they were fitted to: variances are in units of its square."""


def fit_variances(features: Sequence[Feature], raw: Array) -> Variances:
    """The most plausible variances for these values."""
    mean, scale = float(raw.mean()), float(raw.std()) or 1.0
    start = prior_logs(features)
    bounds = [(log - 8, log + 6) for log in start]
    asked = surprise(features, (raw - mean) / scale)
    found = np.exp(minimize(asked, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": OPTIMISER_STEPS}).x)
    return Variances(found[:-2], float(found[-2]), float(found[-1]), mean, scale)


def surprise(features: Sequence[Feature], values: Array) -> Callable[[Array], tuple[float, Array]]:
    """The negative logarithm of likelihood times priors, and its slopes, as a function of the logarithms of all variances.

    These are the groups' in order, that of the pairs and that of the noise; a constant is left out.
    """
    count = len(values)
    kernels = np.stack([(feature.columns @ feature.columns.T).ravel() for feature in features])
    squares = kernels**2
    centre = prior_logs(features)
    spread = np.append(np.full(len(centre) - 1, VARIANCE_SPREAD), NOISE_SPREAD)
    eye = np.eye(count)

    def at(logs: Array) -> tuple[float, Array]:
        weights, pairs, noise = np.exp(logs[:-2]), math.exp(logs[-2]), math.exp(logs[-1])
        total = weights @ kernels
        products = 0.5 * (total**2 - weights**2 @ squares)
        covariance = (OFFSET + total + pairs * products).reshape(count, count)
        lower = cholesky(covariance + (noise + JITTER + ROUNDING * covariance.max()) * eye, lower=True, check_finite=False)
        inverse = cho_solve((lower, True), eye, check_finite=False)
        answer = inverse @ values
        excess = 0.5 * (inverse - np.outer(answer, answer)).ravel()
        by_group = weights * (kernels @ (excess * (1 + pairs * total))) - pairs * weights**2 * (squares @ excess)
        slopes = np.append(by_group, [pairs * (excess @ products), noise * excess[:: count + 1].sum()])
        off = (logs - centre) / spread
        return float(0.5 * values @ answer + np.log(np.diag(lower)).sum() + 0.5 * off @ off), slopes + off / spread

    return at


def prior_logs(features: Sequence[Feature]) -> Array:
    """The centres of the priors, in the order of `surprise`."""
    return np.log([*map(_prior, features), PAIRS_VARIANCE, NOISE])


def prior_variances(features: Sequence[Feature], mean: float, scale: float) -> Variances:
    """What is plausible before anything is seen, for values about `mean` that differ by about `scale`."""
    return Variances(np.array([*map(_prior, features)]), PAIRS_VARIANCE, NOISE, mean, scale)


def _prior(feature: Feature) -> float:
    return PRIORS["known" if feature.name == "known" else feature.kind]


class Surrogate:
    """The process given the values of some points, and the places of others whose values are pending."""

    def __init__(
        self,
        features: FeatureGroups,
        values: Array,
        variances: Variances,
        deviations: Array | None = None,
        pending: FeatureGroups | None = None,
    ) -> None:
        """`deviations` are of what each value is off by beside the noise that all have; by default there is none such.

        A pending point counts with the value that is expected of it, which leaves every mean as it is and makes the process surer nearby.
        """
        self._variances = variances
        own = np.zeros(len(values)) if deviations is None else (deviations / variances.scale) ** 2
        scaled = (values - variances.mean) / variances.scale
        self._seen = self._weighted(features)
        kernel = self._kernel(features, self._seen)
        noise = variances.noise + JITTER + ROUNDING * kernel.max()
        lower = cholesky(kernel + np.diag(noise + own), lower=True, check_finite=False)
        self._answer = cho_solve((lower, True), scaled, check_finite=False)
        self._whitening, _ = dtrtri(lower, lower=1)
        self.smoothed: Array = variances.mean + variances.scale * (kernel @ self._answer)
        """Mean of the objective at the points themselves, in their order, and then at the pending ones."""
        self._pending = None
        if pending is not None and len(pending.columns):
            across = self._kernel(pending, self._seen)
            self.smoothed = np.append(self.smoothed, variances.mean + variances.scale * (across @ self._answer))
            self._pending = self._weighted(pending)
            self._across = self._whitening @ across.T
            left = self._kernel(pending, self._pending) - self._across.T @ self._across
            self._whitening_left, _ = dtrtri(cholesky(left + np.diag(np.full(len(left), noise)), lower=True, check_finite=False), lower=1)

    def predict(self, features: FeatureGroups) -> tuple[Array, Array]:
        """Mean and standard deviation of the objective at other points, without noise."""
        groups = self._variances.groups
        prior = self._summed(features.norms @ groups, features.norms**2 @ groups**2)
        mean, explained = np.empty_like(prior), np.empty_like(prior)
        for start in range(0, len(prior), AT_ONCE):
            some = slice(start, start + AT_ONCE)
            kernel = self._kernel(features, self._seen, some)
            mean[some] = kernel @ self._answer
            white = dtrmm(1.0, self._whitening, kernel.T, lower=1, overwrite_b=1)
            explained[some] = np.einsum("ij,ij->j", white, white)
            if self._pending is not None:
                left = self._whitening_left @ (self._kernel(features, self._pending, some).T - self._across.T @ white)
                explained[some] += np.einsum("ij,ij->j", left, left)
        deviation = np.sqrt(np.maximum(prior - explained, 1e-12))
        return self._variances.mean + self._variances.scale * mean, self._variances.scale * deviation

    def _weighted(self, features: FeatureGroups) -> FeatureGroups:
        """Columns times the variances of their groups."""
        weighted = zip(features, self._variances.groups, strict=True)
        return FeatureGroups(Feature(f.name, f.kind, weight * f.columns) for f, weight in weighted)

    def _kernel(self, others: FeatureGroups, weighted: FeatureGroups, some: slice = slice(None)) -> Array:
        """Kernel between some of the other points and weighted ones; shape [others, weighted]."""
        total, squares = others.columns[some] @ weighted.columns.T, others.pairs[some] @ weighted.pairs.T
        for one, other in zip(others, weighted, strict=True):
            if one.is_wide:
                part = one.columns[some] @ other.columns.T
                squares += np.square(part, out=part)
        return self._summed(total, squares)

    def _summed(self, total: Array, squares: Array) -> Array:
        """The kernel from the sum of the groups' kernels and the sum of their squares, of which nothing is left."""
        products = total * total
        products -= squares
        products *= 0.5 * self._variances.pairs
        total += OFFSET
        total += products
        return total
