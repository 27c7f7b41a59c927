"""What trials that were stopped early would have reached, learnt from those that went on: for a sampler, never for a front.

At the tokens where a trial stopped, the finished ones say how a loss there goes with the loss at the end: a straight line, whose
scatter is how far off an estimate may be.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from analysis.records.record import Outcome, TrialRecord

LEAST_TRIALS = 5
"""Finished trials that must have been at the same tokens: a line takes two of them, and fewer than three more tell no scatter."""


@dataclass(frozen=True, slots=True)
class LossEstimate:
    """What a stopped trial would have reached at its full budget."""

    bits_per_byte: float
    deviation: float
    """Standard deviation of what that may be off by."""


class LossExtrapolation:
    """Learns from trials as they come."""

    def __init__(self) -> None:
        self._pairs: dict[tuple[int, int], array[float]] = {}
        """Losses there in float32 and at the end as deployed of each finished trial, by its budget and the tokens where it was seen."""
        self._stopped: dict[int, tuple[tuple[int, int], float]] = {}

    def add(self, record: TrialRecord) -> None:
        """One more trial; only what finished or was stopped says anything."""
        if not record.finished and record.outcome is not Outcome.STOPPED:
            return
        course, training = bits_by_tokens(record), record.training
        if not course or training is None or training.validation is None:
            return
        whole = training.planned_tokens
        if record.finished:
            for tokens, bits in course.items():
                self._pairs.setdefault((whole, tokens), array("d")).extend((bits, training.validation.deployed.bits_per_byte))
        else:
            tokens = max(course)
            self._stopped[record.number] = (whole, tokens), course[tokens]

    def estimates(self) -> dict[int, LossEstimate]:
        """Final loss of each stopped trial, by number, that `LEAST_TRIALS` finished ones of equal budget or more passed at its tokens."""
        lines: dict[tuple[int, int], _Line] = {}
        found: dict[int, LossEstimate] = {}
        for number, (place, bits) in self._stopped.items():
            pairs = self._pairs.get(place, ())
            if len(pairs) >= 2 * LEAST_TRIALS and place[1] < place[0]:
                if place not in lines:
                    lines[place] = _Line.through(np.array(pairs).reshape(-1, 2))
                found[number] = lines[place].at(bits)
        return found


@dataclass(frozen=True, slots=True)
class _Line:
    """Least squares with a slope that one pair more draws to 1, its predictive deviation by Student's t (Gelman et al. 2013, ch. 14)."""

    count: int
    centre: float
    level: float
    slope: float
    weight: float
    scatter: float

    @classmethod
    def through(cls, pairs: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> _Line:
        """The line of at least `LEAST_TRIALS` pairs, [pairs, 2]."""
        count, (centre, level) = len(pairs), pairs.mean(axis=0)
        x, y = (pairs - pairs.mean(axis=0)).T
        weight = float(x @ x) * (1 + 1 / count)
        slope = (float(x @ y) + float(x @ x) / count) / weight if weight else 1.0
        scatter = float(((y - slope * x) ** 2).sum()) / (count - 2)
        return cls(count, float(centre), float(level), slope, weight, scatter)

    def at(self, loss: float) -> LossEstimate:
        """The end of a trial with that loss here."""
        freedom = self.count - 2
        beyond = (loss - self.centre) ** 2 / self.weight if self.weight else 0.0
        deviation = math.sqrt(self.scatter * (1 + 1 / self.count + beyond) * freedom / (freedom - 2))
        return LossEstimate(self.level + self.slope * (loss - self.centre), deviation)


def bits_by_tokens(record: TrialRecord) -> Mapping[int, float]:
    """Validation bits per byte by tokens; empty where the record has no quality to convert nats by."""
    training = record.training
    if training is None or training.validation is None or not training.validation.loss:
        return {}
    bits_per_nat = training.validation.bits_per_byte / training.validation.loss
    losses = {point.tokens: point.validation_loss for point in training.curve}
    return {tokens: loss * bits_per_nat for tokens, loss in losses.items() if loss is not None and math.isfinite(loss)}
