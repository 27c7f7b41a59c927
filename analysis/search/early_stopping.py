"""Whether a trial that trains is still likely to matter to the front; docs/method.md derives it.

Its other objectives are known before it trains. What it will reach is extrapolated from its losses so far, as they went with the finished
losses of the trials before it, at equal tokens only; the answer is the chance of adding something that counts to the front of the finished.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr

from analysis.fronts.domination import hypervolume, non_dominated
from analysis.objectives.objective import Objective
from analysis.objectives.observed import Observed
from analysis.objectives.problem import STANDARD, Problem
from analysis.records.record import TrialRecord
from analysis.search.loss_extrapolation import bits_by_tokens
from analysis.statistics.arrays import Array
from analysis.text.words import joined

LEAST_FINISHED = 6
"""Finished trials from which one is judged: fewer say little about how a loss goes on, and nothing about the front."""
COUNTS = 1e-3
"""Share of the front's hypervolume that a trial must add to matter."""
LEAST_CHANCE = 0.02
"""Chance of mattering with which a trial still goes on (docs/findings.md, 2026-11-26: what stopping early saves and loses)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningCurve:
    """What is known of a trial."""

    number: int
    known: tuple[float, ...] | None
    """Values of the objectives that are known before the training, in the study's order; None where one could not be taken."""
    seen: Mapping[int, float]
    """Validation bits per byte by the training tokens they were seen at."""
    final: float | None
    """Bits per byte at the end; None for a trial that has not finished."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppingDecision:
    """Whether a trial is trained on."""

    goes_on: bool
    chance: float
    """Probability of adding to the front what counts; 1 where too little is known to say."""
    reason: str
    """A sentence."""


def learning_curve(record: TrialRecord, problem: Problem = STANDARD) -> LearningCurve:
    """What a record says of its trial."""
    told = problem.objectives[problem.require_forecast_place()]
    values = [objective.value(Observed.of(record)) for objective in known_before(problem)]
    return LearningCurve(
        number=record.number,
        known=None if None in values else tuple(value for value in values if value is not None),
        seen=bits_by_tokens(record),
        final=told.value(Observed.of(record)) if record.finished else None,
    )


def known_before(problem: Problem) -> list[Objective]:
    """The objectives that are known before a training; SpecError where bits per byte is not the only other one."""
    forecast_place = problem.require_forecast_place()
    return [objective for place, objective in enumerate(problem.objectives) if place != forecast_place]


def decide_stop(own: LearningCurve, others: Sequence[LearningCurve], tokens: int, problem: Problem = STANDARD) -> StoppingDecision:
    """Whether a trial ends at so many tokens, where `own` was seen, in sight of `others`; those that did not finish say nothing.

    A pure function: the same curves give the same decision. ValueError where `own` was not seen there.
    """
    if tokens not in own.seen:
        raise ValueError(f"a trial is judged where it was seen, at {', '.join(map(str, own.seen))} tokens, found {tokens}")
    before = known_before(problem)
    labels = joined([objective.words.label for objective in before])
    if own.known is None:
        return StoppingDecision(goes_on=True, chance=1.0, reason=f"it has no {labels} to be judged by")
    finished = [curve for curve in others if curve.final is not None and tokens in curve.seen and curve.known is not None]
    if len(finished) < LEAST_FINISHED:
        return StoppingDecision(goes_on=True, chance=1.0, reason=f"{len(finished)} finished trials are too few to judge it by")
    table = np.array([_scaled(before, curve) for curve in (*finished, own)])
    places, here = table[:-1], table[-1]
    losses = np.array([curve.final for curve in finished], dtype=float)
    if not (places <= here).all(axis=1).any():
        reason = f"no finished trial is as good in {labels}: it stands on the front whatever it reaches"
        return StoppingDecision(goes_on=True, chance=1.0, reason=reason)
    needed = _needed(here, places, losses)
    centre, scale, freedom = _expected(own, finished, tokens, table)
    chance = 0.0 if needed == -math.inf else float(stdtr(freedom, (needed - centre) / scale))
    goes_on = chance >= LEAST_CHANCE
    at = joined([objective.said(value) for objective, value in zip(before, own.known, strict=True)])
    reason = (
        f"after {tokens:,} tokens its chance of adding to the front was {chance:.1%}{'' if goes_on else f', below {LEAST_CHANCE:.0%}'}: "
        f"{centre:.4f} bits per byte were expected of it, and {needed:.4f} needed at its {at}"
    )
    return StoppingDecision(goes_on=goes_on, chance=chance, reason=reason)


def _scaled(before: Sequence[Objective], curve: LearningCurve) -> list[float]:
    """What is known of a trial before its training, on each objective's scale."""
    return [objective.scaled(value) for objective, value in zip(before, curve.known or (), strict=True)]


def _needed(here: Array, known: Array, losses: Array) -> float:
    """Bits per byte at which a trial adds `COUNTS` of the hypervolume of the finished; -inf where none does.

    `here` is what is known of it before its training, `known` that of the finished, [trials, objectives]. The corner is the worst that
    finished, on the objectives' scales, so that units do not matter.
    """
    places = np.column_stack([known, losses])
    low, corner = places.min(axis=0), places.max(axis=0)
    scale = np.where(corner > low, corner - low, 1.0)
    points = ((places - low) / scale)[non_dominated((places - low) / scale)].tolist()
    at, ends = ((here - low[:-1]) / scale[:-1]).tolist(), [1.0] * len(low)
    if max(at) >= 1:  # as bad as the worst so far: only a lower loss than of all that are as good is worth a look, however narrow the strip
        return float(losses[(known <= here).all(axis=1)].min())
    whole = hypervolume(points, ends)

    def added(loss: float) -> float:
        """What a trial of this loss adds, as a share of what there is."""
        return (hypervolume([*points, [*at, loss]], ends) - whole) / max(whole, 1e-12)

    worst, best = 1.0, -1.0
    if added(best) < COUNTS:
        return -math.inf
    for _ in range(40):
        middle = (worst + best) / 2
        worst, best = (worst, middle) if added(middle) >= COUNTS else (middle, best)
    return float(low[-1] + scale[-1] * best)


def _expected(own: LearningCurve, finished: Sequence[LearningCurve], tokens: int, known: Array) -> tuple[float, float, float]:
    """Centre, scale and degrees of freedom of the Student's t of its final loss, by Bayesian regression on the finished ones.

    Features: the loss here, the loss one look before (how fast it falls), and what is known beforehand (deep ones, which are slow, start
    slowly): `known` of the finished and at last of its own, [trials, objectives]. In units of their spreads the coefficients have standard
    normal priors but that of the loss here, which is centred at what keeps differences as they are, or makes them smaller where the losses
    lie farther apart here than at the end.
    """
    earlier = [at for at in own.seen if at < tokens and all(at in curve.seen for curve in finished)]
    looks = [tokens, *sorted(earlier)[-1:]]
    table = np.column_stack([[_losses(curve, looks) for curve in (*finished, own)], known])
    final = np.array([curve.final for curve in finished], dtype=float)
    centre, spread = table[:-1].mean(axis=0), table[:-1].std(axis=0)
    scaled = (table - centre) / np.where(spread > 0, spread, 1.0)
    level, unit = float(final.mean()), float(final.std()) or 1e-6
    prior = np.zeros(table.shape[1])
    prior[0] = min(1.0, spread[0] / unit)
    x, y = scaled[:-1], (final - level) / unit - scaled[:-1] @ prior
    precision = x.T @ x + np.eye(len(prior))
    found = np.linalg.solve(precision, x.T @ y)
    freedom = len(final) + 1.0  # with the prior's two, less the level's one
    rest = y - x @ found
    variance = (2 * PRIOR_VARIANCE + float(rest @ rest) + float(found @ found)) / freedom
    beyond = 1 + 1 / len(final) + float(scaled[-1] @ np.linalg.solve(precision, scaled[-1]))
    return level + unit * float(scaled[-1] @ (prior + found)), unit * math.sqrt(variance * beyond), freedom


PRIOR_VARIANCE = 0.25
"""Share of the final losses' variance that a look is taken to leave open before anything is known."""


def _losses(curve: LearningCurve, looks: Sequence[int]) -> list[float]:
    here, *before = (curve.seen[at] for at in looks)
    return [here, *(seen - here for seen in before)]
