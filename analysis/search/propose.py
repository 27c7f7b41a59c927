"""Which point to try next: the one expected to add most to the front of two or three minimised objectives, as a function of what is told.

The first few are spread over what the points are known to cost. From then on candidates from all over the space and from near the
front are scored in closed form, and the best of them are improved by one choice at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from analysis.search.axes import Axes
from analysis.search.candidates import Rows, Source, keys
from analysis.search.objective_models import Batch, ObjectiveModels, Observations
from analysis.search.surrogate import Variances

MODELLED_TRIALS = 4
"""Finished trials that the models want."""
STARTING = 1_000
"""Points that each of the first is chosen from."""
ABOUT = 100
"""One in so many of them is near enough to the wanted cost."""
DRAWN, NEAR_FRONT = 200, 200
"""Candidates of one proposal from all over the space, and from near the front."""
CLIMBS, CLIMB_STEPS = 2, 6
"""How many of the best candidates are improved, and in how many steps at most."""


class NothingAllowedError(LookupError):
    """No point that was looked at is allowed."""


@dataclass
class AcquisitionOptimizer:
    """Proposes points of one space; what it keeps between calls saves time and decides nothing."""

    axes: Axes
    source: Source
    look: Callable[[Rows], Batch]
    """What is known of rows of levels."""
    fits: dict[bytes, Variances] = field(default_factory=dict)
    limits: Sequence[float] | None = None
    """Limit of each objective, beyond which nothing adds to the front, infinite where there is none; None without any."""

    def propose(self, told: Observations, random: np.random.Generator) -> Rows:
        """The row to try next: a new one, or one of the front's again where none is left; raises NothingAllowedError without any."""
        seen = {key for batch in told.tried for key in keys(batch.rows)}
        if len(told.finished) < MODELLED_TRIALS:
            pool = self._new(self.source.plain(STARTING, random), seen)
            if len(pool):
                return _row(pool, _spread(pool, sum(map(len, told.tried)), random))
        if not len(told.finished):
            raise NothingAllowedError
        expectation = ObjectiveModels(self.axes, told, self.fits, self.limits)
        front = expectation.rows
        pool = self._new(np.concatenate([self.source.draw(DRAWN, random), self.source.near(front, NEAR_FRONT, random)]), seen)
        if not len(pool):
            again: Rows = front[random.integers(len(front))]
            return again
        gains = expectation.widen(pool)
        tops = np.argsort(-gains, kind="stable")[:CLIMBS]
        climbed = [self._climb(_row(pool, top), float(gains[top]), expectation, seen, random) for top in tops]
        return max(climbed, key=lambda end: end[0])[1]

    def _climb(
        self, row: Rows, gain: float, expectation: ObjectiveModels, seen: set[bytes], random: np.random.Generator
    ) -> tuple[float, Rows]:
        """Goes to the best neighbour as long as it is better."""
        for _ in range(CLIMB_STEPS):
            batch = self._new(self.source.around(row, random), seen)
            if not len(batch):
                break
            gains = expectation.gain(batch)
            best = int(np.argmax(gains))
            if gains[best] <= gain:
                break
            gain, row = float(gains[best]), _row(batch, best)
        return gain, row

    def _new(self, rows: Rows, seen: set[bytes]) -> Batch:
        """The allowed among these that were not tried, each once."""
        batch = self.look(rows)
        found: dict[bytes, int] = {}
        for place, key in enumerate(keys(batch.rows)):
            if batch.allowed[place] and key not in seen:
                found.setdefault(key, place)
        return batch[list(found.values())]


def _row(batch: Batch, place: int) -> Rows:
    row: Rows = batch.rows[place]
    return row


def _spread(pool: Batch, number: int, random: np.random.Generator) -> int:
    """A point about that place in a sequence over the known cost; over the first hint, or the mean place, where none is known."""
    known = np.concatenate([pool.costs[:, ~np.isnan(pool.costs).any(axis=0)], pool.hints], axis=1)
    sizes = np.log(np.maximum(known[:, 0], 1e-300)) if known.shape[1] else np.where(pool.active, pool.places, 0.0).mean(axis=1)
    off = np.abs(sizes - sizes.min() - _halves(number) * np.ptp(sizes))
    return int(random.choice(np.argsort(off, kind="stable")[: 1 + len(pool) // ABOUT]))


def _halves(number: int) -> float:
    """0, 1, 1/2, 1/4, 3/4, 1/8, ...: fills an interval evenly however many are taken (van der Corput, 1935)."""
    if number < 2:
        return float(number)
    number, share, part = number - 1, 0.0, 0.5
    while number:
        share += part * (number & 1)
        number, part = number >> 1, part / 2
    return share
