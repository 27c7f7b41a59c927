"""What tokens beyond a training's end would take from the loss, learnt from the finished losses before it.

A training with cooldowns has finished losses at several token counts, made by one seed, so that their differences hold no seed noise.
Along tokens a shape's loss is taken to follow a power whose exponent all shapes share; how steep each is has a spread of its own.
Exponent, spread and scatter are summed over a grid (docs/method.md, "After longer training").
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from analysis.records.record import TrialRecord
from analysis.records.replicates import repetitions, validation
from analysis.statistics.arrays import Array

EXPONENTS, USUAL_EXPONENT, EXPONENT_DEVIATION = np.linspace(0.05, 1.0, 20), 0.35, 0.2
"""Grid of the tokens' exponent; middle and deviation of its prior, about where published fits lie (0.28 in arXiv 2203.15556, 0.37 in
2404.10102, 0.33 and more for short trainings: docs/findings.md, 2026-11-26: a ladder of five sizes predicts its own top)."""
COEFFICIENT_SPREADS = np.array([0.01, 0.03, 0.1, 0.3, 1.0])
"""Grid of the shapes' spread in coefficient, over the mean coefficient."""
SCATTERS = np.geomspace(1e-4, 1e-2, 9)
"""Grid of the scatter of one loss around its shape's curve, over the losses' mean."""


def loss_drops(records: Sequence[TrialRecord]) -> dict[int, list[tuple[Array, Array]]]:
    """Lengths of each training with cooldowns and its losses over those at its own end, by the shape's first trial."""
    found: dict[int, list[tuple[Array, Array]]] = {}
    for first, *again in repetitions(records):
        for record in (first, *again):
            training = record.training
            if training is not None and training.cooldowns:
                end = validation(record).bits_per_byte
                lengths = np.array([cooldown.tokens / training.tokens for cooldown in training.cooldowns])
                found.setdefault(first.number, []).append(
                    (lengths, np.array([cooldown.bits_per_byte - end for cooldown in training.cooldowns]))
                )
    return found


def draw_token_exponents(
    rows: Mapping[int, Sequence[tuple[Array, Array]]], numbers: Sequence[int], level: float, draws: int, random: np.random.Generator
) -> tuple[Array, Array]:
    """Each shape's coefficient and the shared exponent as they may be: [draws, shapes] and [draws].

    A difference to the end is coefficient x (length^-exponent - 1) with the scatter of two losses; shapes without cooldowns follow the
    others.
    """
    trainings = [(number, lengths, drops) for number, found in rows.items() for lengths, drops in found]
    cells: list[tuple[float, float, float, float]] = []
    told: list[tuple[dict[int, float], dict[int, float]]] = []
    odds: list[float] = []
    for exponent in EXPONENTS:
        typical, fit = max(abs(_typical(trainings, exponent)), 1e-9), _Fit.of(trainings, exponent)
        for scatter in SCATTERS * level:
            inside, weighted, log_odds = fit.scaled(scatter)
            for spread in COEFFICIENT_SPREADS * typical:
                mean, precision, odd = _pooled(inside, weighted, spread)
                cells.append((exponent, spread, mean, precision))
                told.append((inside, weighted))
                odds.append(log_odds + odd - 0.5 * ((exponent - USUAL_EXPONENT) / EXPONENT_DEVIATION) ** 2)
    share = np.exp(np.array(odds) - max(odds))
    picked = random.choice(len(cells), size=draws, p=share / share.sum())
    coefficients, exponents = np.empty((draws, len(numbers))), np.empty(draws)
    for place in np.unique(picked):
        exponent, spread, mean, precision = cells[place]
        these = np.flatnonzero(picked == place)
        common = mean + random.standard_normal((len(these), 1)) / np.sqrt(precision)
        information, estimates = (np.array([each.get(number, 0.0) for number in numbers]) for each in told[place])
        own = information + spread**-2
        coefficients[these] = (estimates + common * spread**-2) / own + random.standard_normal((len(these), len(numbers))) / np.sqrt(own)
        exponents[these] = exponent
    return coefficients, exponents


def _typical(trainings: Sequence[tuple[int, Array, Array]], exponent: float) -> float:
    """Mean coefficient, each training for itself."""
    curves = [(_curve(lengths, exponent), drops) for _, lengths, drops in trainings]
    return float(np.mean([(drops @ curve) / (curve @ curve) for curve, drops in curves]))


def _curve(lengths: Array, exponent: float) -> Array:
    found: Array = lengths**-exponent - 1
    return found


@dataclass(frozen=True, slots=True)
class _Fit:
    """What drops say of each shape's coefficient at one exponent, in units of the scatter's variance."""

    information: dict[int, float]
    estimates: dict[int, float]
    """Each estimate times its information."""
    squares: float
    """Sum of the squares of all drops."""
    count: int

    @classmethod
    def of(cls, trainings: Sequence[tuple[int, Array, Array]], exponent: float) -> Self:
        """All drops of a training share the loss at its end: their covariance is I + 11', its inverse I - 11' / (m + 1)."""
        information: dict[int, float] = {}
        estimates: dict[int, float] = {}
        squares = 0.0
        for number, lengths, drops in trainings:
            curve, shared = _curve(lengths, exponent), len(drops) + 1
            information[number] = information.get(number, 0.0) + float(curve @ curve - curve.sum() ** 2 / shared)
            estimates[number] = estimates.get(number, 0.0) + float(curve @ drops - curve.sum() * drops.sum() / shared)
            squares += float(drops @ drops - drops.sum() ** 2 / shared)
        return cls(information, estimates, squares, sum(len(drops) for _, _, drops in trainings))

    def scaled(self, scatter: float) -> tuple[dict[int, float], dict[int, float], float]:
        """Information and estimates at a scatter, and the log likelihood of the drops less what a coefficient explains."""
        variance = scatter**2
        log_odds = -0.5 * self.squares / variance - self.count * math.log(scatter)
        information, estimates = ({n: value / variance for n, value in part.items()} for part in (self.information, self.estimates))
        return information, estimates, log_odds


def _pooled(information: Mapping[int, float], weighted: Mapping[int, float], spread: float) -> tuple[float, float, float]:
    """The mean coefficient with its precision under a flat prior, and the log likelihood of the shapes' own around it."""
    inside = np.array(list(information.values()))
    told = np.array(list(weighted.values()))
    joint = inside + spread**-2
    precision = float((spread**-2 - spread**-4 / joint).sum())
    linear = float((told * spread**-2 / joint).sum())
    log_odds = float((0.5 * told**2 / joint - 0.5 * np.log(joint * spread**2)).sum())
    return linear / precision, precision, log_odds + 0.5 * linear**2 / precision - 0.5 * float(np.log(precision))
