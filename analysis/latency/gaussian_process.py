"""What a trend leaves over, as a Gaussian process of the places of points: it corrects near what was seen, and is nought far from it."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_solve, cholesky, solve_triangular

from analysis.statistics.arrays import Array

AMPLITUDES, NOISES = np.geomspace(0.004, 0.3, 10), np.geomspace(0.002, 0.12, 10)
"""Deviations, in log time, that are compared: of the process and of the noise."""
LENGTHS, ADDITIVE = (0.7, 1.4, 2.8), (0.0, 0.5, 1.0)
"""Distances between outlines, in their standard deviations, and shares of the variance that are sums of functions of one number."""
EXPECTED_AMPLITUDE, EXPECTED_NOISE, PRIOR_SPREAD = 0.03, 0.015, 1.0
"""Centres and deviation, in logarithms, of their priors."""

PREDICTED_AT_ONCE = 1000
"""Places that are predicted at once."""


class Kernel:
    """Covariance: sums of functions of one number each, and functions of all of them together."""

    def __init__(self, length: float, additive: float, amplitude: float = 1.0) -> None:
        self.length, self.additive, self.amplitude = length, additive, amplitude

    def between(self, one: Array, other: Array) -> Array:
        """Shape [points of one, points of other]."""
        squares = ((one[:, None, :] - other[None, :, :]) / self.length) ** 2
        apart, together = np.exp(-0.5 * squares).mean(axis=2), np.exp(-0.5 * squares.sum(axis=2) / math.sqrt(squares.shape[2]))
        covariance: Array = self.amplitude**2 * (self.additive * apart + (1 - self.additive) * together)
        return covariance


class Process:
    """The process given what was left over."""

    def __init__(self, kernel: Kernel, places: Array, left: Array, noise: Array) -> None:
        """`noise` is the variance of each, shape [points]."""
        self._kernel, self._places = kernel, places
        self._lower = cholesky(kernel.between(places, places) + np.diag(noise), lower=True, check_finite=False)
        self._answer = cho_solve((self._lower, True), left, check_finite=False)

    def at(self, places: Array) -> tuple[Array, Array]:
        """Mean and variance, in pieces, for the memory's sake."""
        parts = [self._at(places[start : start + PREDICTED_AT_ONCE]) for start in range(0, max(1, len(places)), PREDICTED_AT_ONCE)]
        return np.concatenate([mean for mean, _ in parts]), np.concatenate([variance for _, variance in parts])

    def _at(self, places: Array) -> tuple[Array, Array]:
        kernel = self._kernel.between(places, self._places)
        half = solve_triangular(self._lower, kernel.T, lower=True, check_finite=False)
        return kernel @ self._answer, np.maximum(self._kernel.amplitude**2 - (half * half).sum(axis=0), 1e-12)


def left_out(covariance: Array, left: Array, noise: Array, others: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Mean and variance at the one point that is not among the others, whose `left` and `noise` [others] are given."""
    cross = covariance[others][:, ~others][:, 0]
    lower = cholesky(covariance[np.ix_(others, others)] + np.diag(noise), lower=True, check_finite=False)
    half = solve_triangular(lower, cross, lower=True, check_finite=False)
    mean = float(cross @ cho_solve((lower, True), left, check_finite=False))
    return mean, max(float(covariance[~others, ~others][0] - half @ half), 1e-12)


def plausible(places: Array, left: Array, trust: Array) -> tuple[Kernel, float]:
    """The kernel and the noise's deviation of the largest likelihood times priors; a point's variance of noise is over its trust."""
    root = np.sqrt(trust)
    amplitudes, noises = AMPLITUDES[:, None, None], NOISES[None, :, None]
    priors = 0.5 * ((np.log(amplitudes / EXPECTED_AMPLITUDE) ** 2 + np.log(noises / EXPECTED_NOISE) ** 2)[..., 0] / PRIOR_SPREAD**2)
    best: tuple[float, Kernel, float] | None = None
    for length in LENGTHS:
        for additive in ADDITIVE:
            values, vectors = np.linalg.eigh(root[:, None] * Kernel(length, additive).between(places, places) * root)
            variances = amplitudes**2 * np.maximum(values, 0.0) + noises**2
            surprise = 0.5 * ((vectors.T @ (root * left)) ** 2 / variances + np.log(variances)).sum(axis=2) + priors
            row, column = np.unravel_index(int(surprise.argmin()), surprise.shape)
            if best is None or surprise[row, column] < best[0]:
                best = float(surprise[row, column]), Kernel(length, additive, float(AMPLITUDES[row])), float(NOISES[column])
    assert best is not None
    return best[1:]
