"""What the true qualities behind noisy ones may be: the shapes' own distribution and the seeds' noise, fitted together.

A measured quality is the shape's true one and the noise of its seed. The best of many measured ones has a selection bias (the
winner's curse), so each true quality is drawn towards what shapes of its latency have, the more the larger the noise is beside the
shapes' own differences: empirical Bayes (Efron and Morris 1975; Efron 2011, "Tweedie's formula and selection bias"). Neither of
the two spreads is taken for known: both are summed over a grid, so that few trials give wide answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.statistics.arrays import Array

NOISE_SHARE = 0.007
"""Standard deviation between seeds of one shape, over the quality itself, before a study has replicates of its own. Initial weights
alone gave 0.3 %, whole seeds 0.5 % (five shapes, differences of 0.001 to 0.020 at 1.8 bits per byte; docs/findings.md); the prior is
above both, because noise that is taken for too small makes false winners."""
NOISE_FREEDOM = 2
"""Degrees of freedom that this prior is worth: the noise may well be half or twice of it, and one replicate already counts a third."""
DRAWS = 4000
FAR, TRIMMINGS, MANY = 3.0, 10, 8
"""Standard deviations above the trend beyond which a shape is no longer taken for one of the many, rounds of looking for such, and how
many must stay."""
SIZES = np.geomspace(1 / 10, 10, 27)
"""Grid of the noise, over its prior."""
SPREADS = np.geomspace(1 / 30, 3, 33)
"""Grid of the shapes' own spread, over the measured qualities' standard deviation."""


@dataclass(frozen=True, slots=True)
class SeedNoise:
    """How much the seed moves a quality."""

    size: float
    """Standard deviation of one training: replicates and prior pooled."""
    freedom: int
    """Degrees of freedom of the study's own replicates; 0 where only the prior is known."""


def estimate_seed_noise(seeds: Sequence[Sequence[float]]) -> SeedNoise:
    """The standard deviation within shapes, pooled with the stated prior by degrees of freedom; `seeds` has each shape's values."""
    freedom, squares = _within(seeds)
    prior = _prior(seeds)
    return SeedNoise(float(np.sqrt((NOISE_FREEDOM * prior**2 + squares) / (NOISE_FREEDOM + freedom))), freedom)


def draw_true_qualities(
    seeds: Sequence[Sequence[float]], log_latency: Array, random: np.random.Generator, draws: int = DRAWS
) -> tuple[Array, Array]:
    """True qualities as they may be, [draws, shapes], from the values that each shape's seeds gave (better where smaller).

    With each draw comes the noise that it takes for true, a standard deviation between seeds; [draws].
    """
    means = np.array([np.mean(values) for values in seeds])
    counts = np.array([len(values) for values in seeds], dtype=float)
    trend = _trend(log_latency)
    usual = _usual(means, trend)
    noises, spreads = (grid.ravel() for grid in np.meshgrid(_prior(seeds) * SIZES, _scale(means[usual], seeds) * SPREADS))
    own, error = spreads[:, None] ** 2, noises[:, None] ** 2 / counts  # variances; [cells, 1] and [cells, shapes]
    weights = usual / (own + error)
    gram = np.einsum("cs,si,sj->cij", weights, trend, trend)
    lines = np.linalg.solve(gram, ((weights * means) @ trend)[:, :, None])[:, :, 0]  # [cells, terms]
    misfit = (weights * (means - lines @ trend.T) ** 2).sum(axis=1)
    log_odds = 0.5 * (np.log(weights[:, usual]).sum(axis=1) - np.linalg.slogdet(gram)[1] - misfit)
    log_odds += _log_prior(noises, seeds) + np.log(spreads)  # the grid is even in log spread, its prior in spread (Gelman 2006)
    odds = np.exp(log_odds - log_odds.max())
    cells = random.choice(len(odds), size=draws, p=odds / odds.sum())
    roots = np.linalg.inv(np.linalg.cholesky(gram))  # gram = L L', so (L^-1)' z has covariance gram^-1
    shaken = lines[cells] + np.einsum("dji,dj->di", roots[cells], random.standard_normal((draws, trend.shape[1])))
    kept = np.where(usual, own * weights, 1.0)[cells]  # share of a measured difference from the trend that is the shape's own
    centre = shaken @ trend.T * (1 - kept) + means * kept
    true_qualities: Array = centre + np.sqrt(error[cells] * kept) * random.standard_normal(centre.shape)
    return true_qualities, noises[cells]


def _trend(log_latency: Array) -> Array:
    """What quality follows along latency: a level, a slope and a bend, as far as the number of shapes allows; [shapes, terms]."""
    spread = np.ptp(log_latency)
    along = (log_latency - log_latency.mean()) / spread if spread else np.zeros_like(log_latency)
    terms = 1 if not spread or len(along) < 5 else 2 if len(along) < 8 else 3
    return along[:, None] ** np.arange(terms)


def _usual(means: Array, trend: Array) -> npt.NDArray[np.bool_]:
    """Which shapes follow the trend, the far worse ones left out: they say nothing about the others and are not drawn to them."""
    usual = np.ones(len(means), dtype=np.bool_)
    for _ in range(TRIMMINGS):
        line = np.linalg.lstsq(trend[usual], means[usual], rcond=None)[0]
        off = means - trend @ line
        width = 1.4826 * np.median(np.abs(off[usual] - np.median(off[usual])))  # a standard deviation, were they normal
        kept = off <= FAR * width + np.median(off[usual])
        if kept.sum() < MANY or (kept == usual).all():
            break
        usual = kept
    return usual


def _prior(seeds: Sequence[Sequence[float]]) -> float:
    return NOISE_SHARE * abs(float(np.median([np.mean(values) for values in seeds]))) or NOISE_SHARE


def _scale(means: Array, seeds: Sequence[Sequence[float]]) -> float:
    return max(float(np.std(means)), _prior(seeds))


def _within(seeds: Sequence[Sequence[float]]) -> tuple[int, float]:
    """Degrees of freedom and sum of squares between seeds of one shape."""
    return sum(len(values) - 1 for values in seeds), float(sum(len(values) * np.var(values) for values in seeds))


def _log_prior(noises: Array, seeds: Sequence[Sequence[float]]) -> Array:
    """Of the noise, prior (scaled inverse chi square) and replicates together, on a grid even in its logarithm."""
    freedom, squares = _within(seeds)
    result: Array = -(NOISE_FREEDOM + freedom) * np.log(noises) - (NOISE_FREEDOM * _prior(seeds) ** 2 + squares) / (2 * noises**2)
    return result
