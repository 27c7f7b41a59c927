"""Whether a trial that is part of the way through its tokens may still matter to the front.

A trial's latency is known before it trains and its loss is not. What the loss will be is read off the trials that have finished: a
line from the loss at a rung (and the latency) to the final loss, with the uncertainty that so few points leave. docs/method.md,
"Stopping early", has the derivation and docs/findings.md, 2026-11-26, what it saves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

Array = npt.NDArray[np.float64]

RUNGS: tuple[float, ...] = (1 / 16, 1 / 8, 1 / 4, 1 / 2)
"""Shares of a trial's tokens at which it is judged."""
ENOUGH = 8
"""Finished trials below which nothing is stopped."""
LEAST_CHANCE = 0.1
"""A trial goes on where it stands on the final front with at least this chance."""
LEAST_GAIN = 0.0
"""A trial goes on where it is expected to add at least this share to the front's hypervolume."""
SLOPE, SLOPE_SPREAD = 0.5, 0.5
"""Prior of how much of a difference at a rung is left at the end."""
LATENCY_SPREAD = 0.5
"""The same for a latency's logarithm, around nothing."""
NOISE, NOISE_WEIGHT = 0.5, 4.0
"""Prior of what the line leaves unexplained, in units of the losses' spread at the rung, and how many trials it is worth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How far one trial has come."""

    number: int
    latency_ms: float | None
    """Known before the training; None where it could not be taken."""
    seen: Mapping[int, float]
    """Training tokens to validation bits per byte at that many tokens, ascending."""
    final: float | None
    """Finished bits per byte; None for a trial that has not finished."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What becomes of a trial at a rung."""

    goes_on: bool
    chance: float
    """Of mattering to the front, 0 to 1."""
    reason: str
    """One plain sentence."""


def judge(own: Course, others: Sequence[Course], tokens: int) -> Verdict:
    """Whether a trial goes on from a rung.

    It is compared with the others' losses after equally many tokens, and with the final losses of those that finished.
    """
    loss, latency = own.seen.get(tokens), own.latency_ms
    if latency is None or loss is None or not (math.isfinite(latency) and latency > 0 and math.isfinite(loss)):
        return Verdict(goes_on=True, chance=1.0, reason="It has no latency or no loss to be judged by.")
    rows = [row for other in others if (row := _row(other, tokens)) is not None]
    reached = np.array(rows, dtype=np.float64).reshape(-1, 3)  # latency, loss at the rung, final loss or NaN
    finished = reached[~np.isnan(reached[:, 2])]
    if len(finished) < ENOUGH:
        return Verdict(goes_on=True, chance=1.0, reason=f"Only {len(finished)} trials have finished, too few to judge by.")
    faster = finished[finished[:, 0] <= latency]
    if not len(faster):
        return Verdict(goes_on=True, chance=1.0, reason="No finished trial is as fast.")
    middle, scale, freedom = extrapolated(finished, float(reached[:, 1].std()), (latency, loss))
    level = float(faster[:, 2].min())
    chance = float(student.cdf((level - middle) / scale, freedom))
    if not (reached[reached[:, 0] <= latency, 1] < loss).any():
        return Verdict(goes_on=True, chance=chance, reason=f"No trial as fast had lost less by {tokens:,} tokens.")
    outlook = f"{middle:.3f} ± {scale:.3f} bits per byte foreseen, {level:.3f} reached by a trial as fast: {chance:.0%} chance"
    finals = middle + scale * student.ppf((np.arange(64) + 0.5) / 64, freedom)
    gain = expected_gain(finished[:, [0, 2]], latency, finals)
    return Verdict(goes_on=chance >= LEAST_CHANCE and gain >= LEAST_GAIN, chance=chance, reason=f"{outlook}.")


def extrapolated(finished: Array, spread: float, own: tuple[float, float]) -> tuple[float, float, float]:
    """The final loss foreseen for a latency and a loss at a rung: middle, scale and degrees of freedom of a Student distribution.

    A conjugate Bayesian line. Its priors are in units of the losses' spread at the rung, so that they hold for any corpus.
    """
    unit = spread or 1.0
    center = np.array([np.log(finished[:, 0]).mean(), finished[:, 1].mean()])
    mean = float(finished[:, 2].mean())
    features = np.column_stack([np.ones(len(finished)), np.log(finished[:, 0]) - center[0], (finished[:, 1] - center[1]) / unit])
    prior = np.array([0.0, 0.0, SLOPE])
    precision = np.diag([0.01, LATENCY_SPREAD**-2, SLOPE_SPREAD**-2]) * NOISE**2
    values = (finished[:, 2] - mean) / unit
    posterior = precision + features.T @ features
    weights = np.linalg.solve(posterior, precision @ prior + features.T @ values)
    left = values - features @ weights
    freedom = NOISE_WEIGHT + len(values)
    shift = weights - prior
    variance = (NOISE_WEIGHT * NOISE**2 + left @ left + shift @ precision @ shift) / freedom
    asked = np.array([1.0, math.log(own[0]) - center[0], (own[1] - center[1]) / unit])
    scale = math.sqrt(variance * (1 + asked @ np.linalg.solve(posterior, asked)))
    return mean + unit * float(asked @ weights), unit * scale, freedom


def expected_gain(finished: Array, latency: float, finals: Array) -> float:
    """Mean share that a trial's possible final losses add to the finished trials' hypervolume below their medians."""
    edge = max(float(np.median(finished[:, 0])), latency * 1.1)
    top = float(finished[:, 1].max())
    order = finished[np.argsort(finished[:, 0], kind="stable")]
    steps = np.append(order[:, 0], edge)
    levels = np.minimum.accumulate(order[:, 1])
    whole = float((np.clip(np.diff(np.minimum(steps, edge)), 0, None) * (top - levels)).sum())
    widths = np.clip(np.minimum(steps[1:], edge) - np.maximum(steps[:-1], latency), 0, None)
    gained = float((widths[:, None] * np.clip(levels[:, None] - finals[None, :], 0, None)).sum(axis=0).mean())
    return gained / whole if whole else 1.0


def _row(other: Course, tokens: int) -> tuple[float, float, float] | None:
    """Latency, loss at the rung, final loss or NaN; None for a trial that did not get there or says nothing usable."""
    loss, latency = other.seen.get(tokens), other.latency_ms
    if latency is None or loss is None or not (math.isfinite(latency) and latency > 0 and math.isfinite(loss)):
        return None
    return latency, loss, other.final if other.final is not None and math.isfinite(other.final) else math.nan
