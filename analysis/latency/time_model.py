"""A time as a trend of what a shape asks of a device, times the exponential of a Gaussian process: a model of one kind of time.

The trend is a sum with a price for each term, not negative, that minimises the relative error (least squares of Lawson and Hanson, 1974,
with a ridge); or, for columns that are no work, a product of powers. What it leaves over, the logarithm of measured over expected
time, is a Gaussian process of the shapes' outlines: near what was measured it corrects the trend, and far from it, as at twice the largest
size, the trend alone is left. How far the trend can be trusted is seen from refits under random weights of the measurements (Rubin's
Bayesian bootstrap, 1981), and outside of what was measured the doubt grows with the distance.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from analysis.latency.gaussian_process import Process, left_out, plausible
from analysis.statistics.arrays import Array

RIDGES = (1e-5, 1e-4, 1e-3, 1e-2)
"""Weights of the squared prices, each in shares of the mean time, or of the squared powers, against the mean squared error."""
ALIKE = 1e-9
"""One less the correlation of two terms from which on they are one."""
TREND_REFITS, SEED = 32, 0
"""Number of refits of the trend under random weights, and the seed of those weights."""
OUTLYING, LEAST_MISS = 5.0, 0.005
"""A point that the trend misses by more than so many times the median miss, taken as that much at least, is trusted less by the square."""
TIME_DRIFT = 0.2
"""Deviation of the logarithm of a time where one of a shape's numbers lies outside of the measured ones by a factor of e: that much a law
that holds among them was wrong outside, on the worst of three devices (docs/findings.md, 2026-11-28: latencies of larger shapes than were
measured, from a table's smaller ones)."""
LEAST_SPREAD = 0.05
"""Least spread of one number over the measured shapes, in logarithms, below which it is not stretched any further."""


class Trend(Protocol):
    """How terms make up a time."""

    def fit(self, terms: Array, times: Array, weights: Array, ridge: float) -> Array:
        """Coefficients [terms] from terms [points, terms]; the weights [points] have mean 1."""

    def logs(self, terms: Array, coefficients: Array) -> Array:
        """Logarithms of the expected times; shape [points]."""


class Prices:
    """A sum of terms, each times a price that is not negative."""

    def fit(self, terms: Array, times: Array, weights: Array, ridge: float) -> Array:
        """Prices, in ms a unit of each term."""
        relative = terms / times[:, None]
        scales = np.maximum(relative.mean(axis=0), 1e-300)
        root = np.sqrt(weights)
        system = np.vstack([root[:, None] * relative / scales, math.sqrt(ridge * len(times)) * np.eye(len(scales))])
        found, _ = nnls(system, np.concatenate([root, np.zeros(len(scales))]))
        prices: Array = found / scales
        return prices

    def logs(self, terms: Array, coefficients: Array) -> Array:
        """Logarithms of the sums."""
        logs: Array = np.log(np.maximum(terms @ coefficients, 1e-300))
        return logs


class Powers:
    """A product of powers: terms are logarithms, the first of them 1 for all points."""

    def fit(self, terms: Array, times: Array, weights: Array, ridge: float) -> Array:
        """Exponents; the first one is the logarithm of the constant and has no ridge."""
        penalty = ridge * weights.sum() * np.append(0.0, np.maximum(terms[:, 1:].var(axis=0), 1e-9))
        weighted = terms.T * weights
        return np.asarray(np.linalg.solve(weighted @ terms + np.diag(penalty), weighted @ np.log(times)), dtype=np.float64)

    def logs(self, terms: Array, coefficients: Array) -> Array:
        """Logarithms of the products."""
        logs: Array = terms @ coefficients
        return logs


class TimeModel:
    """The model given measured times."""

    def __init__(self, trend: Trend, terms: Array, outlines: Array, times: Array, trust: Array | None = None) -> None:
        """`terms` [points, terms], `outlines` [points, numbers], logarithms of what tells shapes apart, and `times` [points] above 0.

        `trust` [points], at most 1, is the weight of each time where they do not count alike: its noise has that much less of it.
        """
        self._trust = np.ones(len(times)) if trust is None else trust
        self._trend, self._times, self._used = trend, times, _distinct(terms / (times[:, None] if isinstance(trend, Prices) else 1))
        self._count, self._terms = terms.shape[1], terms[:, self._used]
        self._ridge = min(RIDGES, key=self._missed)
        left = np.log(times) - trend.logs(self._terms, self._fit())
        allowed = OUTLYING * max(float(np.median(np.abs(left))), LEAST_MISS)
        self._trust = self._trust * np.minimum(1.0, allowed / np.maximum(np.abs(left), 1e-12)) ** 2
        self._coefficients = self._fit()
        self._centre, self._stretch = outlines.mean(axis=0), np.maximum(outlines.std(axis=0), LEAST_SPREAD)
        self._outlines, self._places = outlines, (outlines - self._centre) / self._stretch
        left = np.log(times) - trend.logs(self._terms, self._coefficients)
        self._kernel, self.noise = plausible(self._places, left, self._trust)
        self._process = Process(self._kernel, self._places, left, self.noise**2 / self._trust)

    def shares(self) -> Array:
        """Mean share of each term in the priced times of the points; shape [terms]."""
        parts = self._terms * self._coefficients
        all_of_them = np.zeros(self._count)
        all_of_them[self._used] = (parts / parts.sum(axis=1, keepdims=True)).mean(axis=0)
        return all_of_them

    def trend(self, terms: Array) -> Array:
        """Logarithm of the time by the trend alone; shape [points]."""
        return self._trend.logs(terms[:, self._used], self._coefficients)

    def expect(self, terms: Array, outlines: Array) -> Array:
        """Logarithm of the time; shape [points]."""
        expected: Array = self.trend(terms) + self._process.at((outlines - self._centre) / self._stretch)[0]
        return expected

    def predict(self, terms: Array, outlines: Array) -> tuple[Array, Array]:
        """Logarithm of the time and its standard deviation, without the noise of a measurement; shape [points]."""
        mean, variance = self._process.at((outlines - self._centre) / self._stretch)
        drift = TIME_DRIFT * log_distance(outlines, self._outlines)
        return self.trend(terms) + mean, np.sqrt(variance + self._doubt(terms[:, self._used]) ** 2 + drift**2)

    @cached_property
    def left_out(self) -> tuple[Array, Array]:
        """Each point's logarithm of time and deviation as `predict` has them, from all other points, at the same variances."""
        count = len(self._times)
        means, deviations = np.empty(count), np.empty(count)
        covariance, noise = self._kernel.between(self._places, self._places), self.noise**2 / self._trust
        for place in range(count):
            others = np.arange(count) != place
            coefficients = self._fit(others)
            left = np.log(self._times[others]) - self._trend.logs(self._terms[others], coefficients)
            mean, variance = left_out(covariance, left, noise[others], others)
            means[place] = self._trend.logs(self._terms[place : place + 1], coefficients)[0] + mean
            drift = TIME_DRIFT * log_distance(self._outlines[place : place + 1], self._outlines[others])[0]
            deviations[place] = math.hypot(math.sqrt(variance), drift)
        return means, np.sqrt(deviations**2 + self._doubt(self._terms) ** 2)

    def _fit(self, weights: Array | npt.NDArray[np.bool_] | None = None, ridge: float | None = None) -> Array:
        share = self._trust if weights is None else self._trust * weights
        return self._trend.fit(self._terms, self._times, share / share.mean(), self._ridge if ridge is None else ridge)

    def _missed(self, ridge: float) -> float:
        """Mean distance, in logarithms, of each point from the trend of all others."""
        count = len(self._times)
        logs = [self._trend.logs(self._terms[place : place + 1], self._fit(np.arange(count) != place, ridge))[0] for place in range(count)]
        return float(np.abs(np.array(logs) - np.log(self._times)).mean())

    def _doubt(self, terms: Array) -> Array:
        doubt: Array = np.array([self._trend.logs(terms, row) for row in self._refits]).std(axis=0)
        return doubt

    @cached_property
    def _refits(self) -> list[Array]:
        """Coefficients under random weights, each ridge in turn: where ridges matter, as far outside, none is to be trusted."""
        weights = np.random.default_rng(SEED).exponential(size=(TREND_REFITS, len(self._times)))
        return [self._fit(row, RIDGES[number % len(RIDGES)]) for number, row in enumerate(weights)]


def log_distance(outlines: Array, measured: Array) -> Array:
    """How far outside of the measured points the number of each point lies that lies furthest outside, 0 for none; shape [points]."""
    outside = np.maximum(outlines - measured.max(axis=0), measured.min(axis=0) - outlines)
    return np.asarray(np.maximum(outside, 0.0).max(axis=1))


def _distinct(columns: Array) -> npt.NDArray[np.int64]:
    """Numbers of the columns that are not proportional to an earlier one, nor nought."""
    sizes = np.sqrt((columns**2).sum(axis=0))
    kept: list[int] = []
    for number, size in enumerate(sizes):
        if size and all(columns[:, number] @ columns[:, other] < (1 - ALIKE) * size * sizes[other] for other in kept):
            kept.append(number)
    return np.array(kept, dtype=np.int64)
