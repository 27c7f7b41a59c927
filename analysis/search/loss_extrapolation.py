"""What trials that were stopped early would have reached, learnt from those that went on: for a sampler, never for a front.

At the tokens where a trial stopped, the finished ones say how a loss there goes with the loss at the end: a straight line, whose
scatter is how far off an estimate may be.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from analysis.records.record import Outcome, TrialRecord

PAIRS = 5
"""Finished trials that must have been at the same tokens: a line takes two of them, and fewer than three more tell no scatter."""


@dataclass(frozen=True, slots=True)
class LossEstimate:
    """What a stopped trial would have reached at its full budget."""

    bits_per_byte: float
    deviation: float
    """Standard deviation of what that may be off by."""


def loss_estimates(records: Iterable[TrialRecord]) -> dict[int, LossEstimate]:
    """By the trial's number, of each stopped one that at least `PAIRS` finished ones of equal budget passed at the same tokens."""
    records = list(records)
    finished = [(record, course) for record in records if record.finished and (course := bits_by_tokens(record))]
    found: dict[int, LossEstimate] = {}
    for record in records:
        course = bits_by_tokens(record) if record.outcome is Outcome.STOPPED else {}
        if not course:
            continue
        tokens = max(course)
        pairs = [
            (seen[tokens], _final(other)) for other, seen in finished if tokens in seen and _planned(other) == _planned(record) > tokens
        ]
        if len(pairs) >= PAIRS:
            found[record.number] = _line(np.array(pairs), course[tokens])
    return found


def _line(pairs: np.ndarray[tuple[int, int], np.dtype[np.float64]], at: float) -> LossEstimate:
    """Least squares with a slope that one pair more draws to 1, its predictive deviation by Student's t (Gelman et al. 2013, ch. 14)."""
    count, (centre, level) = len(pairs), pairs.mean(axis=0)
    x, y = (pairs - pairs.mean(axis=0)).T
    weight = float(x @ x) * (1 + 1 / count)
    slope = (float(x @ y) + float(x @ x) / count) / weight if weight else 1.0
    freedom = count - 2
    scatter = float(((y - slope * x) ** 2).sum()) / freedom
    beyond = (at - centre) ** 2 / weight if weight else 0.0
    deviation = math.sqrt(scatter * (1 + 1 / count + beyond) * freedom / (freedom - 2))
    return LossEstimate(float(level + slope * (at - centre)), deviation)


def bits_by_tokens(record: TrialRecord) -> Mapping[int, float]:
    """Validation bits per byte by tokens; empty where the record has no quality to convert nats by."""
    training = record.training
    if training is None or training.validation is None or not training.validation.loss:
        return {}
    bits_per_nat = training.validation.bits_per_byte / training.validation.loss
    losses = {point.tokens: point.validation_loss for point in training.curve}
    return {tokens: loss * bits_per_nat for tokens, loss in losses.items() if loss is not None and math.isfinite(loss)}


def _final(record: TrialRecord) -> float:
    assert record.training is not None
    assert record.training.validation is not None
    return record.training.validation.bits_per_byte


def _planned(record: TrialRecord) -> int:
    assert record.training is not None
    return record.training.planned_tokens
