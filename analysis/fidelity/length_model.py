"""What shapes lose after trainings of any length, learnt from trainings of mixed lengths; docs/method.md, "Trainings of mixed lengths".

The logarithm of a loss is a course along the length that all shapes share, plus how a shape differs from the others: by as much at every
length, by more the longer it trains, or now more and now less. Each of the three follows what shapes differ in, and each shape has a part
of its own of it. A training's seed moves all its losses alike, and every loss has a scatter. All of it is one Gaussian process; how large
each part is has a log-normal prior, and is drawn, not chosen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

from analysis.statistics.arrays import Array, Indices
from search_space.architecture import Architecture

OCTAVES = 3.0
"""Doublings that a length is measured in: a study's own trainings are at least an eighth of its target."""
COURSE, COURSE_BENDS = 1.0, 0.3
"""Deviations of the shared course's level and slope, and of its bends, in logarithms of a loss: too wide to say anything."""
DEVIATIONS = {
    "difference": 0.02,
    "own difference": 0.01,
    "growing difference": 0.02,
    "own growing difference": 0.005,
    "bending difference": 0.005,
    "own bending difference": 0.003,
    "seed": 0.003,
    "scatter": 0.003,
}
"""Centres of the priors of the parts' deviations, in logarithms of a loss: what shapes differ in moves it by a few percent, and a seed by
a third of one (docs/findings.md, 2026-12-01: what trainings of mixed lengths say of the long ones)."""
CENTRES = np.log(list(DEVIATIONS.values()))
SIZE_SPREADS = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.7, 0.7])
"""Deviations of the logarithms of those sizes."""
WIDEST_SIZE = 3.0
"""How far from its centre the logarithm of a size is looked for."""
LEAST_CURVATURE = 0.3
"""Least curvature of the odds' logarithm about the likeliest sizes; with less, sizes would be drawn that nothing speaks for."""
SIZE_DRAWS = 24
"""Sets of sizes that are drawn."""
STABILISER = 1e-9
"""Added to variances, so that rounding cannot spoil equal points."""

LEARNT_FACTORS: tuple[Callable[[Architecture], float], ...] = (
    lambda shape: math.log2(shape.num_unique_layers),
    lambda shape: math.log2(shape.num_hidden_layers / shape.num_unique_layers),
    lambda shape: math.log2(shape.hidden_size),
    lambda shape: math.log2(shape.num_attention_heads),
    lambda shape: math.log2(shape.num_attention_heads * shape.head_dim / shape.hidden_size),
    lambda shape: math.log2(shape.num_key_value_heads / shape.num_attention_heads),
    lambda shape: math.log2(shape.intermediate_size / shape.hidden_size),
    lambda shape: float(shape.mlp == "swiglu"),
)
"""What shapes differ in; whatever else they differ in is a part of their own."""


@dataclass(frozen=True, slots=True)
class SeenLoss:
    """A finished loss: of a training's end, or of a cooldown on its way."""

    shape: int
    """Place of its shape among the shapes."""
    training: int
    """Which training it is of: the losses of one share its seed."""
    length: float
    """Tokens over the target's."""
    bits_per_byte: float


class LengthModel:
    """Losses of shapes over lengths, given some of them."""

    def __init__(self, shapes: Sequence[Architecture], seen: Sequence[SeenLoss], random: np.random.Generator) -> None:
        """Needs one loss at least; `random` draws how large the parts are."""
        logs = np.log([each.bits_per_byte for each in seen])
        self._level = float(logs.mean())
        self._rest: Array = logs - self._level
        columns = _factor_columns(shapes)
        self._alike: Array = columns @ columns.T / max(columns.shape[1], 1)
        self._shapes: Indices = np.array([each.shape for each in seen])
        self._shortages = _shortages([each.length for each in seen])
        trainings = np.array([each.training for each in seen])
        one_training = (trainings[:, None] == trainings).astype(float)
        shared, *differences = self._kernels(self._shapes, self._shortages, self._shapes, self._shortages)
        self._shared = shared + STABILISER * np.eye(len(seen))
        self._parts = [*differences, one_training, np.eye(len(seen))]
        self._sizes, self._odds = self._draw_sizes(random)

    def draw(self, lengths: Sequence[float], draws: int, random: np.random.Generator) -> tuple[Array, Array]:
        """True losses in bits per byte at these lengths, [draws, lengths, shapes], and what one training is off by, [draws].

        The second is the standard deviation of the logarithm that a seed and a loss's scatter make together.
        """
        logs, noises = [], []
        for variances, count in zip(self._sizes, random.multinomial(draws, self._odds), strict=True):
            if count:
                mean, covariance = self._posterior(variances, lengths)
                lower = np.linalg.cholesky(covariance + 10 * STABILISER * np.eye(len(mean)))
                logs.append(mean + random.standard_normal((count, len(mean))) @ lower.T)
                noises.append(np.full(count, math.sqrt(variances[-2] + variances[-1])))
        order = random.permutation(draws)
        return np.exp(np.concatenate(logs)[order]).reshape(draws, len(lengths), -1), np.concatenate(noises)[order]

    def _posterior(self, variances: Array, lengths: Sequence[float]) -> tuple[Array, Array]:
        """Mean and covariance of the true losses' logarithms, by length and then by shape."""
        count = len(self._alike)
        shapes, shortages = np.tile(np.arange(count), len(lengths)), np.repeat(_shortages(lengths), count)
        factor = cho_factor(self._covariance(variances), lower=True)
        across = _summed(variances, self._kernels(shapes, shortages, self._shapes, self._shortages))
        prior = _summed(variances, self._kernels(shapes, shortages, shapes, shortages))
        mean: Array = self._level + across @ cho_solve(factor, self._rest)
        return mean, prior - across @ cho_solve(factor, across.T)

    def _kernels(self, shapes: Indices, shortages: Array, others: Indices, other_shortages: Array) -> list[Array]:
        """The shared course, and then each part of what shapes differ by at a size of 1."""
        slope = np.outer(shortages, other_shortages)
        bend = np.exp(-0.5 * (shortages[:, None] - other_shortages) ** 2)
        alike, own = self._alike[np.ix_(shapes, others)], (shapes[:, None] == others).astype(float)
        course = COURSE**2 * (1 + slope) + COURSE_BENDS**2 * bend
        return [course, alike, own, slope * alike, slope * own, bend * alike, bend * own]

    def _covariance(self, variances: Array) -> Array:
        return _summed(variances, [self._shared, *self._parts])

    def _surprise(self, logs: Array) -> tuple[float, Array]:
        """Negative logarithm of likelihood times priors, and its slopes, by the logarithms of the parts' sizes."""
        variances = np.exp(2 * logs)
        factor = cho_factor(self._covariance(variances), lower=True)
        answer = cho_solve(factor, self._rest)
        excess = cho_solve(factor, np.eye(len(answer))) - np.outer(answer, answer)
        off = (logs - CENTRES) / SIZE_SPREADS
        slopes = variances * [float((excess * part).sum()) for part in self._parts] + off / SIZE_SPREADS
        return float(0.5 * self._rest @ answer + np.log(np.diag(factor[0])).sum() + 0.5 * off @ off), slopes

    def _draw_sizes(self, random: np.random.Generator) -> tuple[list[Array], Array]:
        """Sets of variances, and the odds of each.

        They are drawn as a normal distribution about the likeliest has them, and weighted by how likely they are (importance sampling).
        """
        bounds = [(centre - WIDEST_SIZE, centre + WIDEST_SIZE) for centre in CENTRES]
        best = minimize(self._surprise, CENTRES, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 60}).x
        steps = 0.1 * np.eye(len(best))
        curvature = np.stack([(self._surprise(best + step)[1] - self._surprise(best - step)[1]) / 0.2 for step in steps])
        values, vectors = np.linalg.eigh((curvature + curvature.T) / 2)
        off = random.standard_normal((SIZE_DRAWS, len(best)))
        drawn = best + (off / np.sqrt(np.maximum(values, LEAST_CURVATURE))) @ vectors.T
        logs = np.array([0.5 * each @ each - self._surprise(sizes)[0] for each, sizes in zip(off, drawn, strict=True)])
        odds = np.exp(logs - logs.max())
        return [np.exp(2 * sizes) for sizes in drawn], odds / odds.sum()


def _summed(variances: Array, kernels: Sequence[Array]) -> Array:
    """The shared course and the parts of shapes, each times its variance; variances of a training's own parts are left over."""
    shared, *parts = kernels
    found: Array = sum((variance * part for variance, part in zip(variances, parts, strict=False)), shared)
    return found


def _factor_columns(shapes: Sequence[Architecture]) -> Array:
    """What shapes differ in, each in its own deviations; shape [shapes, factors]."""
    columns = np.array([[factor(shape) for factor in LEARNT_FACTORS] for shape in shapes], dtype=float)
    varied = columns.std(axis=0) > 0
    found: Array = (columns[:, varied] - columns[:, varied].mean(axis=0)) / columns[:, varied].std(axis=0)
    return found


def _shortages(lengths: Sequence[float]) -> Array:
    """How much shorter than the target, in `OCTAVES`: 0 at the target."""
    found: Array = -np.log2(np.array(lengths, dtype=float)) / OCTAVES
    return found
