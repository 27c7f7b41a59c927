"""How much a seed is expected to move a quality before a study has replicates: by optimizer, size and length, from what was measured.

The middle is that of a Gaussian process of the logarithm of the noise over the logarithms of parameters and tokens, one for each optimizer
and the two correlated, with a deviation of its own for each setting (what else a recipe and a text have). Where nothing near was measured
it comes back to the expectation that holds for every recipe. How far a noise may be from the middle is the same everywhere, and far.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from analysis.statistics.arrays import Array
from analysis.statistics.noise_rows import NOISE_ROWS, NoiseRow

NOISE_SHARE = 0.008
"""Standard deviation between seeds of one shape, over the quality itself, that is the middle of what is expected where nothing near was
measured. Eleven settings of twelve shapes and two seeds gave 0.25 to 1.4 %, half of them 0.4 to 0.7 % (docs/findings.md, 2026-11-29:
intervals where nobody knows how much a seed moves a loss); this is above the middle of these, because noise that is taken for too small
makes false winners."""
NOISE_DOUBT = 2.0
"""Standard deviation of the logarithm of the noise around that: two of three within a factor of 7, next to no expectation. With the
0.5 to 0.7 between those settings intervals hold less where the noise is another one, and no more where it is not (docs/findings.md,
2026-11-30: how much should be expected of a noise that nobody knows)."""
BETWEEN_SETTINGS, OF_SETTING = 0.7, 0.6
"""Standard deviation of the logarithm between settings as the middle is drawn to measured ones by it, more than the 0.5 of the entry of
2026-11-29, and the part of it which each setting has for itself, however near another one was measured."""
REACH = math.log(8)
"""Ratio of parameters or tokens, as a logarithm, within which settings are neighbours."""
OTHER_OPTIMIZER = 0.3
"""Correlation of the shared part between optimizers: AdamW's noise falls along a training, Muon's does not."""
NEAR = 0.75
"""Share of the shared variance that is left, below which rows count as near in words."""


@dataclass(frozen=True, slots=True)
class NoisePrior:
    """What is expected of a noise: a log-normal distribution."""

    share: float
    """Median, over the quality itself."""
    doubt: float
    """Standard deviation of the logarithm."""
    is_near: bool = False
    """Whether trainings of about this recipe, size and length were measured."""


USUAL_NOISE = NoisePrior(NOISE_SHARE, NOISE_DOUBT)
"""Expectation for a recipe that nothing is known of."""


ANSWER_NOISE = NoisePrior(0.03, NOISE_DOUBT)
"""Expectation for a share of questions: the binomial deviation of a thousand of them at one half, over one half. Near chance the answers of
two seeds have little to do with each other."""


@lru_cache
def expected_noise(optimizer: str, parameters: float | None, tokens: float | None, rows: tuple[NoiseRow, ...] = NOISE_ROWS) -> NoisePrior:
    """The noise of trainings of about so many parameters and tokens; the usual one where one of these is not known."""
    if parameters is None or tokens is None or not rows:
        return USUAL_NOISE
    places = np.log([(row.parameters, row.tokens) for row in rows])
    optimizers = [row.optimizer for row in rows]
    asked = np.log([(parameters, tokens)])
    own, shared = OF_SETTING**2, BETWEEN_SETTINGS**2 - OF_SETTING**2
    errors = np.array([1 / (2 * row.freedom) for row in rows])  # variance of the logarithm of a deviation, to first order
    cross = shared * _likeness(asked, [optimizer], places, optimizers)[0]
    covariance = shared * _likeness(places, optimizers, places, optimizers) + np.diag(own + errors)
    weights = np.linalg.solve(covariance, cross)
    off = np.log([row.share for row in rows]) - math.log(NOISE_SHARE)
    left, moved = shared - float(weights @ cross), float(weights @ off)
    return NoisePrior(NOISE_SHARE * math.exp(moved), NOISE_DOUBT, is_near=left < NEAR * shared)


def _likeness(ours: Array, our_optimizers: Sequence[str], theirs: Array, their_optimizers: Sequence[str]) -> Array:
    """Correlation of the shared part between settings, [ours, theirs]."""
    far = ((ours[:, None, :] - theirs[None, :, :]) ** 2).sum(axis=2)
    same = np.array([[1.0 if one == other else OTHER_OPTIMIZER for other in their_optimizers] for one in our_optimizers])
    likeness: Array = same * np.exp(-far / (2 * REACH**2))
    return likeness
