"""What a new point is expected to add to the front of two or three minimised objectives, in sight of everything that was told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from analysis.fronts.domination import non_dominated
from analysis.search.acquisition import Normal, expected_hypervolume_improvement
from analysis.search.axes import Axes, FeatureGroups
from analysis.search.candidates import Rows
from analysis.search.surrogate import Surrogate, Variances, fit_variances, prior_variances
from analysis.statistics.arrays import Array, Flags, Indices

CORNER_MARGIN = 0.15
"""The hypervolume's corner lies this share of the front's extent beyond its worst values."""
MODELLED = 300
"""Trials that a model sees at most: of failures, as many tell as much as all (docs/findings.md, 2026-11-29: what two thousand failures cost
a proposal)."""
FITTED = 120
"""Trials that its variances are fitted to at most."""
REFITTED = 40
"""Up to so many trials the variances are fitted anew for each, beyond for every tenth or every quarter more."""
LEAST_SUCCESS = 1e-3
"""Least probability of success, however many neighbours failed."""
OPTIMISM, WIDEST = 2.0, 2.0
"""Deviations by which a point may be better than it looks, and how many extents of the front the corner may lie beyond its ends."""


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
    """Objectives known beforehand, NaN in the column of one that is not; shape [points, objectives]."""
    hints: Array
    """Other numbers that the objectives may follow, such as a computed size; shape [points, any]."""
    allowed: Flags
    """Shape [points]."""

    def __getitem__(self, chosen: Any) -> Batch:
        return Batch(*(getattr(self, name)[chosen] for name in self.__slots__))

    def __len__(self) -> int:
        return len(self.rows)

    def joined(self, other: Batch) -> Batch:
        """Points of both, the other ones at the end."""
        if not len(self) or not len(other):
            return self if len(self) else other  # where there are no points the width of their hints is unknown
        return Batch(*(np.concatenate([getattr(self, name), getattr(other, name)]) for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class Observations:
    """The trials so far, each group in order of their numbers; the groups share no trial."""

    finished: Batch
    values: Array
    """Values of the finished, all to be minimised; shape [points, objectives]."""
    stopped: Batch
    """Points whose trials ended early, with an estimate of what they would have reached: learnt from, never on the front."""
    estimates: Array
    """Values of the stopped, estimated; shape [points, objectives]."""
    deviations: Array
    """Standard deviations of the estimates, beside the noise that every value has; shape [points, objectives]."""
    pending: Batch
    failed: Batch
    """Points that turned out to be impossible."""
    others: Batch
    """Points that say nothing, and are not to be tried again."""

    @property
    def tried(self) -> list[Batch]:
        """All of them."""
        return [self.finished, self.stopped, self.pending, self.failed, self.others]


class ObjectiveModels:
    """Models of the objectives that are not known beforehand, and the front that they and the known ones make.

    The front is made of what the models say of the points tried, so noise does not make a member. Points in flight count with the
    values that are expected of them.
    """

    def __init__(self, axes: Axes, told: Observations, fits: dict[bytes, Variances], limits: Sequence[float] | None = None) -> None:
        """Needs at least one finished trial; `fits` is where variances are kept for the next call.

        What lies beyond `limits`, one for each objective and infinite where there is none, adds nothing.
        """
        self._axes, self._fits = axes, fits
        self._limits = np.inf if limits is None else np.array(limits)
        kept = _kept(np.concatenate([told.values, told.estimates]))
        whole, ended = kept[kept < len(told.values)], kept[kept >= len(told.values)] - len(told.values)
        seen, values = told.finished[whole], told.values[whole]
        stopped, estimates, deviations = told.stopped[ended], told.estimates[ended], told.deviations[ended]
        sample = _sample(len(told.finished))
        self._known: Flags = np.asarray(~np.isnan(seen.costs).any(axis=0))
        sizes = self._sizes(told.finished[sample])
        self._centre, self._scale = sizes.mean(axis=0), np.maximum(sizes.std(axis=0), 1e-9)
        finished, pending = self._features(seen), self._features(told.pending)
        learnt = finished.joined(self._features(stopped)) if len(stopped) else finished
        targets = np.concatenate([values, estimates])
        doubts = np.concatenate([np.zeros_like(values), deviations])
        self._models = [
            None if known else self._model(objective, told, sample, learnt, targets[:, objective], doubts[:, objective], pending)
            for objective, known in enumerate(self._known)
        ]
        self._success = self._success_model(finished, seen.allowed, told.failed)
        every = [
            np.concatenate([seen.costs[:, objective], told.pending.costs[:, objective]])
            if model is None
            else np.concatenate([model.smoothed[: len(seen)], model.smoothed[len(learnt[0].columns) :]])
            for objective, model in enumerate(self._models)
        ]
        points = np.stack(every, axis=1)
        rows, allowed = np.concatenate([seen.rows, told.pending.rows]), np.concatenate([seen.allowed, told.pending.allowed])
        eligible = np.flatnonzero(allowed) if allowed.any() else np.arange(len(rows))
        members = eligible[_members(points[eligible])]
        self.rows: Rows = rows[members]
        """Rows of the front's members."""
        self._front = points[members]
        extent = np.ptp(self._front, axis=0) if len(members) > 1 else np.ptp(points, axis=0)
        self._corner = self._front.max(axis=0) + CORNER_MARGIN * extent

    def widen(self, batch: Batch) -> Array:
        """Gain after the corner is moved out, in each objective, to points that no member may beat in the others.

        Else a front whose ends are not the best there are would stay where it is.
        """
        expected, chance = self._lookahead(batch)
        furthest = self._front.max(axis=0) + WIDEST * np.ptp(self._front, axis=0)
        hopes = np.stack([mean - OPTIMISM * deviation for mean, deviation in expected], axis=1)
        for objective, (own, _) in enumerate(expected):
            others = np.arange(len(expected)) != objective
            beaten: Flags = np.all(self._front[:, others] <= hopes[:, None, others], axis=2)
            hopeful = ~beaten.any(axis=1) & (chance > 0.5)
            if hopeful.any():
                self._corner[objective] = max(self._corner[objective], min(own[hopeful].max(), furthest[objective]))
        return self._gain(expected, chance)

    def gain(self, batch: Batch) -> Array:
        """Expected growth of the front's hypervolume, times the chance that the trial does not fail; shape [points]."""
        return self._gain(*self._lookahead(batch))

    def _gain(self, expected: Sequence[Normal], chance: Array) -> Array:
        return chance * expected_hypervolume_improvement(expected, self._front, np.minimum(self._corner, self._limits).tolist())

    def _lookahead(self, batch: Batch) -> tuple[list[Normal], Array]:
        """Mean and deviation of each objective, and the chance of success."""
        features = self._features(batch)
        expected = [self._predict(objective, batch, features) for objective in range(len(self._models))]
        if self._success is None:
            return expected, np.ones(len(batch))
        return expected, np.clip(self._success.predict(features)[0], LEAST_SUCCESS, 1.0)

    def _features(self, batch: Batch) -> FeatureGroups:
        return self._axes.features(batch.places, batch.active, (self._sizes(batch) - self._centre) / self._scale)

    def _sizes(self, batch: Batch) -> Array:
        """All that is known beforehand, as logarithms where positive; the width of hints is unknown where there are no points."""
        if not len(batch):
            return np.empty((0, len(self._centre)))
        numbers = np.concatenate([batch.costs[:, self._known], batch.hints], axis=1)
        sizes: Array = np.where(numbers > 0, np.log(np.maximum(numbers, 1e-300)), numbers)
        return sizes

    def _predict(self, objective: int, batch: Batch, features: FeatureGroups) -> Normal:
        model = self._models[objective]
        return (batch.costs[:, objective], np.zeros(len(batch))) if model is None else model.predict(features)

    def _model(
        self,
        objective: int,
        told: Observations,
        sample: Indices,
        learnt: FeatureGroups,
        values: Array,
        deviations: Array,
        pending: FeatureGroups,
    ) -> Surrogate:
        """A model whose variances are those of the finished alone, whose values stay: so a fit serves again while estimates change."""
        target = told.values[sample, objective]
        key = b"%d" % objective + told.finished.places[sample].tobytes() + target.tobytes()
        if key not in self._fits:
            while len(self._fits) >= 2 * len(self._known):
                self._fits.pop(next(iter(self._fits)))
            self._fits[key] = fit_variances(self._features(told.finished[sample]), target)
        return Surrogate(learnt, values, self._fits[key], deviations, pending)

    def _success_model(self, finished: FeatureGroups, allowed: Flags, failed: Batch) -> Surrogate | None:
        """A model of 1 for a trial that finished within all limits and 0 for one that did not; None where all did.

        Of more failures than `MODELLED` it sees so many, evenly over the study.
        """
        if len(failed) > MODELLED:
            failed = failed[np.linspace(0, len(failed) - 1, MODELLED).astype(np.int64)]
        labels = np.concatenate([allowed, np.zeros(len(failed))])
        if labels.all():
            return None
        features = finished.joined(self._features(failed))
        return Surrogate(features, labels, prior_variances(features, mean=1.0, scale=0.5))


def _members(points: Array) -> Indices:
    """Indices of the front's members by their last objective, of equal ones the first."""
    return np.array(non_dominated(points[:, ::-1], distinct=True), dtype=np.int64)


def _sample(count: int) -> Indices:
    """The finished trials that variances are fitted to: the same for several counts, so that a fit serves again."""
    last = count
    if count > FITTED:
        last = FITTED
        while last * 1.25 <= count:
            last = int(last * 1.25)
    elif count > REFITTED:
        last = count // 10 * 10
    return np.linspace(0, last - 1, min(last, FITTED)).astype(np.int64)


def _kept(values: Array) -> Indices:
    """The trials that a model sees: the nearest to the front, and of the others evenly a third."""
    if len(values) <= MODELLED:
        return np.arange(len(values))
    members = values[_members(values)]
    scale = np.maximum(np.ptp(values, axis=0), 1e-12)
    columns = [(own[:, None] - front) / unit for own, front, unit in zip(values.T, members.T, scale, strict=True)]
    beyond = reduce(np.maximum, columns).min(axis=1)
    order = np.argsort(beyond, kind="stable")
    near, rest = order[: 2 * MODELLED // 3], np.sort(order[2 * MODELLED // 3 :])
    return np.sort(np.concatenate([near, rest[np.linspace(0, len(rest) - 1, MODELLED - len(near)).astype(np.int64)]]))
