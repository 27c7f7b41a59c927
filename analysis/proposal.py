"""Which point to try next: the one expected to add most to the front of two minimised objectives, as a function of what is told.

The first few are spread over what the points are known to cost. From then on each objective that is not known beforehand has a
model; candidates from all over the space and from near the front are scored in closed form, and the best of them are improved one
choice at a time. Points in flight count with the values that the model expects of them, so that no two are alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.acquisition import expected_improvement
from analysis.axes import Array, Axes, Feature
from analysis.candidates import Rows, Source
from analysis.surrogate import Surrogate, Variances, fit_variances

Flags = npt.NDArray[np.bool_]
STARTS = 5
"""Finished trials that the models want."""
STARTING = 2_000
"""Points that each of the first is chosen from."""
DRAWN, NEAR = 300, 300
"""Candidates of one proposal from all over the space, and from near the front."""
CLIMBS, SWEEPS = 2, 6
"""How many of the best candidates are improved, and by how many changes at most."""
MARGIN = 0.05
"""The hypervolume's corner lies this share of the front's extent beyond its worst values."""
MODELLED = 300
"""Trials that a model sees at most."""
FITTED = 120
"""Trials that its variances are fitted to at most."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Points, and what is known of them without a trial."""

    rows: Rows
    """Nearest levels, 0 where an axis has no effect; shape [points, axes]."""
    places: Array
    """Shape [points, axes]."""
    active: Flags
    """Whether each axis has an effect; shape [points, axes]."""
    costs: Array
    """Objectives known beforehand, NaN in the column of one that is not; shape [points, 2]."""
    allowed: Flags
    """Shape [points]."""

    def __getitem__(self, chosen: Any) -> Batch:
        return Batch(self.rows[chosen], self.places[chosen], self.active[chosen], self.costs[chosen], self.allowed[chosen])

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, slots=True)
class Told:
    """The trials so far, in order of their number; the groups share no trial."""

    finished: Batch
    values: Array
    """Of the finished, both to be minimised; shape [points, 2]."""
    pending: Batch
    failed: Batch
    """Points that turned out to be impossible."""
    others: Batch
    """Points that are not to be tried again, and say nothing."""

    @property
    def tried(self) -> list[Batch]:
        """All of them."""
        return [self.finished, self.pending, self.failed, self.others]


@dataclass
class Proposer:
    """Proposes points of one space; what it keeps between calls saves time and decides nothing."""

    axes: Axes
    source: Source
    look: Callable[[Rows], Batch]
    """What is known of rows of levels."""
    fits: dict[bytes, Variances] = field(default_factory=dict)

    def propose(self, told: Told, random: np.random.Generator) -> Rows:
        """The row to try next: a new one where there is one, else one of the front's again; raises LookupError where none is allowed."""
        seen = {key for batch in told.tried for key in _keys(batch.rows)}
        if len(told.finished) < STARTS:
            pool = self._new(self.source.draw(STARTING, random), seen)
            if len(pool):
                return pool.rows[_spread(pool, told)]
        scorer = _Scorer(self.axes, told, self.fits) if len(told.finished) > 1 else None
        if scorer is None:
            raise LookupError
        parents = scorer.front_rows
        pool = self._new(np.concatenate([self.source.draw(DRAWN, random), self.source.near(parents, NEAR, random)]), seen)
        if not len(pool):
            return parents[random.integers(len(parents))]
        return self._climb(pool, scorer, seen)

    def _climb(self, pool: Batch, scorer: _Scorer, seen: set[bytes]) -> Rows:
        scores = scorer.scores(pool)
        tops = np.argsort(-scores)[:CLIMBS]
        heights = [(float(scores[top]), pool.rows[top]) for top in tops]
        rising = list(range(len(tops)))
        for _ in range(SWEEPS):
            around = [self._new(self.source.around(heights[place][1]), seen) for place in rising]
            still = []
            for place, batch in zip(rising, around, strict=True):
                if not len(batch):
                    continue
                scores = scorer.scores(batch)
                best = int(np.argmax(scores))
                if scores[best] > heights[place][0]:
                    heights[place] = (float(scores[best]), batch.rows[best])
                    still.append(place)
            rising = still
            if not rising:
                break
        return max(heights, key=lambda height: height[0])[1]

    def _new(self, rows: Rows, seen: set[bytes]) -> Batch:
        """The allowed among these that were not tried, each once."""
        batch = self.look(rows)
        found: dict[bytes, int] = {}
        for place, key in enumerate(_keys(batch.rows)):
            if batch.allowed[place] and key not in seen:
                found.setdefault(key, place)
        return batch[list(found.values())]


class _Scorer:
    """What a point is expected to add, in sight of all that is told."""

    def __init__(self, axes: Axes, told: Told, fits: dict[bytes, Variances]) -> None:
        self._axes = axes
        kept = _kept(told)
        batch, values = told.finished[kept], told.values[kept]
        known = ~np.isnan(batch.costs)
        values = np.where(known, batch.costs, values)
        sample = _sample(len(told.finished))
        self._known = known.all(axis=0)
        logs = _logs(told.finished.costs[sample][:, self._known])
        self._centre, self._scale = logs.mean(axis=0), np.maximum(logs.std(axis=0), 1e-9)
        self._models: list[Surrogate | None] = []
        features, running = self._features(batch), self._features(told.pending)
        believed = np.where(np.isnan(told.pending.costs), 0.0, told.pending.costs)
        for objective in range(2):
            if known[:, objective].all():
                self._models.append(None)
                continue
            target = told.values[sample, objective]
            key = b"%d" % objective + told.finished.places[sample].tobytes() + target.tobytes()
            if key not in fits:
                while len(fits) > 3:
                    fits.pop(next(iter(fits)))
                fits[key] = fit_variances(self._features(told.finished[sample]), target)
            model = Surrogate(features, values[:, objective], fits[key])
            values[:, objective] = model.predict(features)[0]
            if len(told.pending):
                believed[:, objective] = model.predict(running)[0]
                both = [Feature(a.name, a.kind, np.concatenate([a.columns, b.columns])) for a, b in zip(features, running, strict=True)]
                model = Surrogate(both, np.concatenate([told.values[kept][:, objective], believed[:, objective]]), fits[key])
            self._models.append(model)
        self._chance = self._success(told, batch, features)
        rows = np.concatenate([batch.rows, told.pending.rows])
        may = np.concatenate([batch.allowed, told.pending.allowed])
        points = np.concatenate([values, believed])
        if may.any():
            rows, points = rows[may], points[may]
        members = _undominated(points)
        self.front_rows, self._front = rows[members], points[members]
        extent = np.ptp(self._front, axis=0) if len(members) > 1 else np.ptp(values, axis=0)
        self._corner = self._front.max(axis=0) + MARGIN * extent

    def scores(self, batch: Batch) -> Array:
        features = self._features(batch)
        expected = []
        for objective, model in enumerate(self._models):
            expected.append((batch.costs[:, objective], np.zeros(len(batch))) if model is None else model.predict(features))
        gain = expected_improvement(expected[0], expected[1], self._front, (self._corner[0], self._corner[1]))
        return gain * self._chance(features)

    def _features(self, batch: Batch) -> list[Feature]:
        known = (_logs(batch.costs[:, self._known]) - self._centre) / self._scale
        return self._axes.features(batch.places, batch.active, known)

    def _success(self, told: Told, batch: Batch, features: list[Feature]) -> Callable[[list[Feature]], Any]:
        """The chance that a trial does not fail, from those that did."""
        return lambda _: 1.0


def _logs(costs: Array) -> Array:
    """Logarithms where positive."""
    return np.where(costs > 0, np.log(np.maximum(costs, 1e-300)), costs)


def _spread(pool: Batch, told: Told) -> int:
    tried = np.concatenate([batch.places for batch in told.tried])
    known = pool.costs[:, ~np.isnan(pool.costs).any(axis=0)]
    sizes = _logs(known)[:, 0] if known.shape[1] else np.where(pool.active, pool.places, 0.0).mean(axis=1)
    wanted = sizes.min() + _halves(len(tried)) * np.ptp(sizes)
    off = np.abs(sizes - wanted)
    near = np.argsort(off, kind="stable")[: max(1, len(pool) // 50)]
    if not len(tried):
        return int(near[0])
    gaps = np.abs(pool.places[near][:, None] - tried[None]).sum(axis=2).min(axis=1)
    return int(near[np.argmax(gaps)])


def _halves(number: int) -> float:
    """0, 1, 1/2, 1/4, 3/4, 1/8, ...: places that fill an interval evenly however many are taken (van der Corput, 1935)."""
    if number < 2:
        return float(number)
    number -= 1
    share, part = 0.0, 0.5
    while number:
        share += part * (number & 1)
        number >>= 1
        part /= 2
    return share


def _sample(count: int) -> npt.NDArray[np.int64]:
    """The finished trials that variances are fitted to; the same over many trials, so that a fit can be used again."""
    first = count
    if count > FITTED:
        first = FITTED
        while first * 1.25 <= count:
            first = int(first * 1.25)
    elif count > 40:
        first = count // 10 * 10
    return np.unique(np.linspace(0, first - 1, min(first, FITTED)).astype(np.int64))


def _kept(told: Told) -> npt.NDArray[np.int64]:
    """The finished trials that a model sees: the nearest to the front, and the others evenly."""
    count = len(told.finished)
    if count <= MODELLED:
        return np.arange(count)
    members = told.values[_undominated(told.values)]
    scale = np.maximum(np.ptp(told.values, axis=0), 1e-12)
    beyond = ((told.values[:, None] - members[None]) / scale).max(axis=2).min(axis=1)
    order = np.argsort(beyond, kind="stable")
    close = order[: 2 * MODELLED // 3]
    rest = np.sort(order[len(close) :])
    return np.sort(np.concatenate([close, rest[np.linspace(0, len(rest) - 1, MODELLED - len(close)).astype(np.int64)]]))


def _undominated(points: Array) -> npt.NDArray[np.int64]:
    order = np.lexsort((points[:, 0], points[:, 1]))
    best = np.minimum.accumulate(points[order, 0])
    return order[np.concatenate([[True], points[order[1:], 0] < best[:-1]])]


def _keys(rows: Rows) -> list[bytes]:
    return [row.tobytes() for row in np.ascontiguousarray(rows)]
