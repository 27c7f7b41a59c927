"""What the true qualities behind noisy ones may be: the shapes' own distribution and the seeds' noise, fitted together.

A measured quality is the shape's true one and the noise of its seed. The best of many measured ones has a selection bias (the
winner's curse), so each true quality is drawn towards what shapes of its latency have, the more the larger the noise is beside the
shapes' own differences: empirical Bayes (Efron and Morris 1975; Efron 2011, "Tweedie's formula and selection bias"). Neither of
the two spreads is taken for known: both are summed over a grid, so that few trials give wide answers.

One seed a shape tells the sum of the two variances and not which is which. The prior leaves the share that is the shapes' own open, even
from 0 to 1: intervals then hold whatever the noise truly is (benchmarks/noise.py), and replicates decide.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.statistics.arrays import Array, in_pieces
from analysis.statistics.noise_prior import USUAL_NOISE, NoisePrior

MOST_NOISE, MOST_NOISE_DOUBT = 0.02, 0.2
"""Share of the quality, 1.5 times the largest that was measured (docs/findings.md, 2026-11-29: intervals where nobody knows how much a seed
moves a loss), beyond which a noise is believed only where replicates say so, and by how much of its logarithm that is uncertain: with less
four shapes that differ by 8 % are told apart (docs/findings.md, 2026-11-30: how much should be expected of a noise that nobody knows)."""
NOISE_FREEDOM = 2
"""Degrees of freedom that the middle is worth beside replicates in the one number that a report states."""
DRAWS, SHARED_DRAWS = 4000, 64
"""Number of draws of true qualities, and of what all shapes share where only their moments are asked for."""
EACH = 500
"""Shapes up to which the trend and the two spreads are fitted to each, beyond to sums over those of equally many seeds."""
FAR_WORSE, TRIMMINGS, LEAST_KEPT = 3.0, 10, 8
"""Standard deviations above the trend beyond which a shape is no longer taken for one of the many, rounds of looking for such, and how
many must stay."""
NOISE_GRID = np.geomspace(1 / 10, 10, 27)
"""Grid of the noise, over its prior."""
SPREAD_GRID = np.geomspace(1 / 30, 3, 33)
"""Grid of the shapes' own spread, over the measured qualities' standard deviation."""


@dataclass(frozen=True, slots=True)
class SeedNoise:
    """How much the seed moves a quality."""

    size: float
    """Standard deviation of one training: replicates and prior pooled."""
    freedom: int
    """Degrees of freedom of the study's own replicates; 0 where only the prior is known."""


def estimate_seed_noise(seeds: Sequence[Sequence[float]], expected: NoisePrior = USUAL_NOISE) -> SeedNoise:
    """The standard deviation within shapes, pooled with what is expected by degrees of freedom; `seeds` has each shape's values."""
    freedom, squares = squares_within(seeds)
    prior = expected.share * _level(_means(seeds))
    return SeedNoise(float(np.sqrt((NOISE_FREEDOM * prior**2 + squares) / (NOISE_FREEDOM + freedom))), freedom)


def draw_true_qualities(
    seeds: Sequence[Sequence[float]],
    log_latency: Array,
    random: np.random.Generator,
    draws: int = DRAWS,
    expected: NoisePrior = USUAL_NOISE,
) -> tuple[Array, Array]:
    """True qualities as they may be, [draws, shapes], from the values that each shape's seeds gave (better where smaller).

    With each draw comes the noise that it takes for true, a standard deviation between seeds; [draws].
    """
    return TrueQualities(seeds, log_latency, expected).draw(random, draws)


class TrueQualities:
    """What the true qualities of some shapes may be, given what their seeds gave."""

    def __init__(self, seeds: Sequence[Sequence[float]], log_latency: Array, expected: NoisePrior = USUAL_NOISE) -> None:
        """`seeds` has each shape's values, better where smaller; `log_latency` is what qualities follow, [shapes].

        `expected` is the noise that is expected of such trainings.
        """
        self._means = _means(seeds)
        self._counts = np.array([len(values) for values in seeds], dtype=float)
        self._trend = _trend(log_latency)
        self._usual = _usual(self._means, self._trend)
        level = _level(self._means)
        prior = expected.share * level
        scale = max(float(np.std(self._means[self._usual])), prior)
        self._noises, self._spreads = (grid.ravel() for grid in np.meshgrid(prior * NOISE_GRID, scale * SPREAD_GRID))
        gram, self._lines, fit = self._fit_each() if len(seeds) <= EACH else self._fit_sums()
        log_odds = 0.5 * fit + _log_prior(self._noises / level, self._spreads / level, expected, level, seeds)
        odds = np.exp(log_odds - log_odds.max())
        self._odds = odds / odds.sum()
        self._roots = np.linalg.inv(np.linalg.cholesky(gram))  # gram = L L', so (L^-1)' z has covariance gram^-1

    def _fit_each(self) -> tuple[Array, Array, Array]:
        """Precision of the trend's terms, the terms, and twice the log likelihood, in each cell of the grid of noise and spread."""
        means, trend, usual = self._means, self._trend, self._usual
        own, error = self._variances(np.arange(len(self._noises)), slice(None))  # [cells, 1] and [cells, shapes]
        weights = usual / (own + error)
        gram = np.einsum("cs,si,sj->cij", weights, trend, trend)
        lines = np.linalg.solve(gram, ((weights * means) @ trend)[:, :, None])[:, :, 0]  # [cells, terms]
        misfit = (weights * (means - lines @ trend.T) ** 2).sum(axis=1)
        return gram, lines, np.log(weights[:, usual]).sum(axis=1) - np.linalg.slogdet(gram)[1] - misfit

    def _fit_sums(self) -> tuple[Array, Array, Array]:
        """What `_fit_each` gives, rounding apart, from sums over the shapes of equally many seeds."""
        cells, terms = len(self._noises), self._trend.shape[1]
        centre = float(self._means[self._usual].mean())
        gram, level, squares, logs = np.zeros((cells, terms, terms)), np.zeros((cells, terms)), np.zeros(cells), np.zeros(cells)
        for count in np.unique(self._counts):
            alike = self._usual & (self._counts == count)
            means, trend = self._means[alike] - centre, self._trend[alike]
            weight = 1 / (self._spreads**2 + self._noises**2 / count)
            gram += weight[:, None, None] * (trend.T @ trend)
            level += weight[:, None] * (means @ trend)
            squares += weight * (means @ means)
            logs += len(means) * np.log(weight)
        lines = np.linalg.solve(gram, level[:, :, None])[:, :, 0].astype(np.float64)
        fit: Array = logs - np.linalg.slogdet(gram)[1] - (squares - (lines * level).sum(axis=1))
        lines[:, 0] += centre
        return gram, lines, fit

    def draw(
        self, random: np.random.Generator, draws: int = DRAWS, among: slice | npt.NDArray[np.bool_] = slice(None)
    ) -> tuple[Array, Array]:
        """True qualities as they may be of some of the shapes, [draws, shapes], and the noise that each draw takes for true, [draws]."""
        cells, qualities = self._lines_of_draws(random, draws, among)
        for rows in in_pieces(qualities):
            deviation = self._move_to_centre(qualities[rows], cells[rows], among)
            deviation *= random.standard_normal(deviation.shape)
            qualities[rows] += deviation
        return qualities, self._noises[cells]

    def moments(self, random: np.random.Generator) -> tuple[Array, Array]:
        """Mean and standard deviation of each shape's true quality, [shapes], over few draws of what the shapes share."""
        cells, centres = self._lines_of_draws(random, SHARED_DRAWS, slice(None))
        variance = np.zeros(centres.shape[1])
        for rows in in_pieces(centres):
            deviation = self._move_to_centre(centres[rows], cells[rows], slice(None))
            variance += np.square(deviation, out=deviation).sum(axis=0)
        return centres.mean(axis=0), np.sqrt(centres.var(axis=0) + variance / SHARED_DRAWS)

    def _lines_of_draws(
        self, random: np.random.Generator, draws: int, among: slice | npt.NDArray[np.bool_]
    ) -> tuple[npt.NDArray[np.int64], Array]:
        """A cell of the grid of noise and spread for each draw, and what its trend says of each shape, [draws, shapes]."""
        cells = random.choice(len(self._odds), size=draws, p=self._odds)
        terms = self._trend.shape[1]
        shaken = self._lines[cells] + np.einsum("dji,dj->di", self._roots[cells], random.standard_normal((draws, terms)))
        return cells, shaken @ self._trend[among].T

    def _move_to_centre(self, line: Array, cells: npt.NDArray[np.int64], among: slice | npt.NDArray[np.bool_]) -> Array:
        """Move what the trend says to the middle of what the true qualities may be; their standard deviations, [draws, shapes]."""
        own, error = self._variances(cells, among)
        kept = own + error
        np.divide(1.0, kept, out=kept)
        kept *= own  # share of a measured difference from the trend that is the shape's own
        kept[:, ~self._usual[among]] = 1.0
        line *= 1 - kept
        line += self._means[among] * kept
        error *= kept
        return np.sqrt(error, out=error)

    def _variances(self, cells: npt.NDArray[np.int64], among: slice | npt.NDArray[np.bool_]) -> tuple[Array, Array]:
        """Variances of the shapes' own differences, [cells, 1], and of the error of each shape's mean, [cells, shapes]."""
        return self._spreads[cells, None] ** 2, self._noises[cells, None] ** 2 / self._counts[among]


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
        kept = off <= FAR_WORSE * width + np.median(off[usual])
        if kept.sum() < LEAST_KEPT or (kept == usual).all():
            break
        usual = kept
    return usual


def _means(seeds: Sequence[Sequence[float]]) -> Array:
    means = np.array([values[0] for values in seeds], dtype=float)
    for rows, values in _by_length(seeds):
        means[rows] = values.mean(axis=1)
    return means


def _by_length(seeds: Sequence[Sequence[float]]) -> Iterator[tuple[list[int], Array]]:
    """The shapes of several seeds, those of equally many together: their rows, and their values as a matrix."""
    rows: dict[int, list[int]] = {}
    for row, values in enumerate(seeds):
        if len(values) > 1:
            rows.setdefault(len(values), []).append(row)
    return ((some, np.array([seeds[row] for row in some])) for some in rows.values())


def squares_within(seeds: Sequence[Sequence[float]]) -> tuple[int, float]:
    """Degrees of freedom and sum of squares between the values of one shape, over all shapes."""
    squares = np.zeros(len(seeds))
    for rows, values in _by_length(seeds):
        squares[rows] = values.shape[1] * values.var(axis=1)
    return sum(map(len, seeds)) - len(seeds), float(sum(squares))  # one after the other, so that rounding is always the same


def _level(means: Array) -> float:
    """The quality itself, of which noises are shares."""
    return abs(float(np.median(means))) or 1.0


def _log_prior(noises: Array, spreads: Array, expected: NoisePrior, level: float, seeds: Sequence[Sequence[float]]) -> Array:
    """Log prior of noise and spread, shares of the level, and what replicates say of the noise, on a grid even in the logarithms of both.

    A share of the variance that is even from 0 to 1 (Daniels 1999) has the density share (1 - share) there.
    """
    freedom, squares = squares_within(seeds)
    share = spreads**2 / (spreads**2 + noises**2)
    likely = -0.5 * (np.log(noises / expected.share) / expected.doubt) ** 2
    beyond = np.maximum(np.log(noises / MOST_NOISE), 0)
    result: Array = np.log(share * (1 - share)) + likely - 0.5 * (beyond / MOST_NOISE_DOUBT) ** 2
    result -= freedom * np.log(noises) + squares / level**2 / (2 * noises**2)
    return result
