"""Whether a trial that trains is still likely to matter to the front; docs/method.md derives it.

Its latency is known before it trains. What it will reach is extrapolated from its losses so far, as they went with the finished losses of
the trials before it, at equal tokens only; the answer is the chance of adding something that counts to the front of the finished ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from analysis.fronts.domination import hypervolume, non_dominated
from analysis.records.record import TrialRecord
from analysis.search.loss_extrapolation import bits_by_tokens

LEAST_FINISHED = 6
"""Finished trials from which one is judged: fewer say little about how a loss goes on, and nothing about the front."""
COUNTS = 1e-3
"""Share of the front's hypervolume that a trial must add to matter."""
LEAST_CHANCE = 0.02
"""Of mattering, with which a trial still goes on (docs/findings.md)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningCurve:
    """What is known of a trial."""

    number: int
    latency_ms: float | None
    """Known before the training; None where it could not be taken."""
    seen: Mapping[int, float]
    """Validation bits per byte by the training tokens they were seen at."""
    final: float | None
    """Bits per byte at the end; None for a trial that has not finished."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppingDecision:
    """Whether a trial is trained on."""

    goes_on: bool
    chance: float
    """Of adding to the front what counts; 1 where too little is known to say."""
    reason: str
    """A sentence."""


def learning_curve(record: TrialRecord) -> LearningCurve:
    """What a record says of its trial; the latency is that of the whole workload."""
    quality = record.training.validation if record.finished and record.training else None
    return LearningCurve(
        number=record.number,
        latency_ms=None if record.latency is None else record.latency.total_ms.median,
        seen=bits_by_tokens(record),
        final=None if quality is None else quality.bits_per_byte,
    )


def decide_stop(own: LearningCurve, others: Sequence[LearningCurve], tokens: int) -> StoppingDecision:
    """At so many tokens, which `own` has been seen at, in sight of `others`, of which those that did not finish say nothing.

    A pure function: the same curves give the same decision. ValueError where `own` was not seen there.
    """
    if tokens not in own.seen:
        raise ValueError(f"a trial is judged where it was seen, at {', '.join(map(str, own.seen))} tokens, found {tokens}")
    finished = [curve for curve in others if curve.final is not None and tokens in curve.seen and curve.latency_ms is not None]
    if own.latency_ms is None:
        return StoppingDecision(goes_on=True, chance=1.0, reason="it has no latency to be judged by")
    if len(finished) < LEAST_FINISHED:
        return StoppingDecision(goes_on=True, chance=1.0, reason=f"{len(finished)} finished trials are too few to judge it by")
    if all(own.latency_ms < (curve.latency_ms or 0) for curve in finished):
        return StoppingDecision(goes_on=True, chance=1.0, reason="no finished trial is as fast: it stands on the front whatever it reaches")
    needed = _needed(math.log(own.latency_ms), finished)
    centre, scale, freedom = _expected(own, finished, tokens)
    chance = 0.0 if needed == -math.inf else float(student.cdf((needed - centre) / scale, freedom))
    goes_on = chance >= LEAST_CHANCE
    reason = (
        f"after {tokens:,} tokens its chance of adding to the front was {chance:.1%}{'' if goes_on else f', below {LEAST_CHANCE:.0%}'}: "
        f"{centre:.4f} bits per byte were expected of it, and {needed:.4f} needed at its {own.latency_ms:.3g} ms"
    )
    return StoppingDecision(goes_on=goes_on, chance=chance, reason=reason)


def _needed(log_ms: float, finished: Sequence[LearningCurve]) -> float:
    """Bits per byte at which a trial of this latency adds `COUNTS` of the hypervolume of the finished; -inf where none does.

    The corner is the worst that finished, in log latency and loss, so that units do not matter.
    """
    places = np.array([(math.log(curve.latency_ms or 0), curve.final) for curve in finished], dtype=float)
    low, corner = places.min(axis=0), places.max(axis=0)
    scale = np.where(corner > low, corner - low, 1.0)
    points = [(float(x), float(y)) for x, y in (places - low) / scale]
    points = [points[place] for place in non_dominated(points)]
    whole, x = hypervolume(points, (1.0, 1.0)), (log_ms - low[0]) / scale[0]
    if x >= 1:  # the slowest so far: only a lower loss than any yet is worth a look, however narrow the strip
        return float(low[1])
    worst, best = 1.0, -1.0
    if _added(points, (x, best), whole) < COUNTS:
        return -math.inf
    for _ in range(40):
        middle = (worst + best) / 2
        worst, best = (worst, middle) if _added(points, (x, middle), whole) >= COUNTS else (middle, best)
    return float(low[1] + scale[1] * best)


def _added(points: Sequence[tuple[float, float]], point: tuple[float, float], whole: float) -> float:
    """What a point adds to a front's hypervolume, as a share of it."""
    return (hypervolume([*points, point], (1.0, 1.0)) - whole) / max(whole, 1e-12)


def _expected(own: LearningCurve, finished: Sequence[LearningCurve], tokens: int) -> tuple[float, float, float]:
    """Centre, scale and degrees of freedom of the Student's t of its final loss, by Bayesian regression on the finished ones.

    Features: the loss here, the loss one look before (how fast it falls), log latency (deep ones start slowly). In units of their
    spreads the coefficients have standard normal priors but that of the loss here, which is centred at what keeps differences as they
    are, or makes them smaller where the losses lie farther apart here than at the end.
    """
    earlier = [at for at in own.seen if at < tokens and all(at in curve.seen for curve in finished)]
    looks = [tokens, *sorted(earlier)[-1:]]
    table = np.array([_features(curve, looks) for curve in (*finished, own)])
    final = np.array([curve.final for curve in finished], dtype=float)
    centre, spread = table[:-1].mean(axis=0), table[:-1].std(axis=0)
    scaled = (table - centre) / np.where(spread > 0, spread, 1.0)
    level, unit = float(final.mean()), float(final.std()) or 1e-6
    prior = np.zeros(len(looks) + 1)
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
"""Of the final losses' variance, what a look is taken to leave open before anything is known."""


def _features(curve: LearningCurve, looks: Sequence[int]) -> list[float]:
    here, *before = (curve.seen[at] for at in looks)
    return [here, *(seen - here for seen in before), math.log(curve.latency_ms or 1.0)]
