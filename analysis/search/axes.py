"""The declared dimensions of a space as a model sees them: axes with places from 0 to 1, lists of one axis per layer, and features.

Nothing here knows what a dimension means. A point is a row of places, one an axis; what the kernels of `analysis.search.surrogate` are made
of follows from three declarations alone: whether the values of an axis are ordered, which axes form a list over layers, and which
axes have an effect at a point.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from analysis.statistics.arrays import Array

KNOTS = 5
"""Bumps that a curve over an axis is made of."""
WAVES = 3
"""Cosines that a curve over the layers is made of."""
NARROW = 6
"""Columns of a group up to which all pairs of them are multiplied."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One declared dimension."""

    name: str
    levels: int
    """How many values may be chosen."""
    ordered: bool
    """Whether neighbouring values are alike; their places then lie evenly from 0 to 1, else a place is the value's number."""

    @property
    def places(self) -> Array:
        """The place of each level; shape [levels]."""
        numbers = np.arange(self.levels, dtype=float)
        return numbers / max(self.levels - 1, 1) if self.ordered else numbers


@dataclass(frozen=True)
class Axes:
    """All dimensions of a space."""

    every: tuple[Axis, ...]
    lists: tuple[tuple[int, ...], ...] = ()
    """Numbers of the axes that are one choice per layer, first layer first; the axes of a list offer the same values."""

    @cached_property
    def single(self) -> tuple[int, ...]:
        """Numbers of the axes outside all lists."""
        listed = {number for members in self.lists for number in members}
        return tuple(number for number in range(len(self.every)) if number not in listed)

    def features(self, places: Array, active: npt.NDArray[np.bool_], known: Array) -> FeatureGroups:
        """What the model's kernels are made of.

        `places` and `active` have shape [points, axes]; `known` [points, any] holds what is known of a point beyond its places, such
        as the logarithm of an exact latency, scaled to about unit variance.
        """
        made = [Feature("known", "main", column[:, None]) for column in known.T]
        for number in self.single:
            axis = self.every[number]
            on = active[:, number, None]
            made += [Feature(axis.name, kind, part * on) for kind, part in _parts(axis, places[:, number])]
        for members in self.lists:
            made += self._list_features(members, places, active)
        return FeatureGroups(made)

    def _list_features(self, members: Sequence[int], places: Array, active: npt.NDArray[np.bool_]) -> list[Feature]:
        axis, columns = self.every[members[0]], list(members)
        name, count = axis.name, len(members)
        on = active[:, columns].astype(float)
        parts = dict(_parts(axis, places[:, columns].ravel()))
        shaped = {kind: part.reshape(len(places), count, part.shape[1]) * on[:, :, None] for kind, part in parts.items()}
        made = [Feature(name, kind, part.sum(axis=1) / math.sqrt(count)) for kind, part in shaped.items()]
        first = next(iter(shaped.values()))
        depths = (np.arange(count) + 0.5) / count
        waves = np.stack([math.sqrt(2) * np.cos(math.pi * wave * depths) / wave for wave in range(1, WAVES + 1)])
        curve = np.einsum("wp,npd->nwd", waves, first).reshape(len(places), WAVES * first.shape[2]) / math.sqrt(count)
        return [
            *made,
            Feature(name, "depth", curve),
            Feature(name, "layer", first.reshape(len(places), count * first.shape[2]) / math.sqrt(count)),
        ]


@dataclass(frozen=True, slots=True)
class Feature:
    """A group of columns that share one variance; the kernel of the group is the product of its rows."""

    name: str
    kind: str
    """`main`: straight or one column a category; `curve`: smooth over the levels; `depth`: smooth over the layers; `layer`: each alone."""
    columns: Array
    """Shape [points, any]."""

    @property
    def is_wide(self) -> bool:
        """Whether its kernel is squared in less time than all pairs of its columns are multiplied."""
        return int(self.columns.shape[1]) > NARROW


class FeatureGroups(tuple[Feature, ...]):
    """The groups of some points, and what their kernels are multiplied from, made once for all models.

    The kernels of groups g with variances w sum up to the product of `columns` and other points' columns times w, and as the square of a
    product is (x y)^2 = sum over i, j of (x_i x_j)(y_i y_j), their squares to that of `pairs` and other pairs times w^2.
    """

    @cached_property
    def columns(self) -> Array:
        """Columns of all groups side by side; shape [points, any]."""
        return np.concatenate([feature.columns for feature in self], axis=1)

    @cached_property
    def pairs(self) -> Array:
        """Products of two columns of one group, of the groups that are not wide; shape [points, any]."""
        return np.concatenate([_pairs(feature.columns) for feature in self if not feature.is_wide], axis=1)

    @cached_property
    def norms(self) -> Array:
        """Square of each group's length; shape [points, groups]."""
        return np.stack([np.einsum("ij,ij->i", feature.columns, feature.columns) for feature in self], axis=1)

    def joined(self, other: FeatureGroups) -> FeatureGroups:
        """One batch of these points, and then the other ones."""
        return FeatureGroups(Feature(a.name, a.kind, np.concatenate([a.columns, b.columns])) for a, b in zip(self, other, strict=True))


def _pairs(columns: Array) -> Array:
    """Products of two columns, each once and, for two of them, times the root of 2."""
    parts = [columns[:, place : place + 1] * columns[:, place:] for place in range(columns.shape[1])]
    for part in parts:
        part[:, 1:] *= math.sqrt(2.0)
    return np.concatenate(parts, axis=1) if len(parts) > 1 else parts[0]


def _parts(axis: Axis, places: Array) -> list[tuple[str, Array]]:
    """Columns of one axis, centred over its levels: straight and curved for ordered values, one for each of unordered ones."""
    if not axis.ordered and axis.levels > 2:
        rows = math.sqrt(axis.levels) * (np.eye(axis.levels) - 1 / axis.levels)
        return [("main", rows[places.astype(int)])]
    grid = axis.places
    spread = float(np.std(grid)) or 1.0
    made = [("main", ((places - grid.mean()) / spread)[:, None])]
    if axis.levels > 2:
        knots = np.linspace(0, 1, min(KNOTS, axis.levels))
        width = 1.0 / (len(knots) - 1)

        def bumps(at: Array) -> Array:
            return np.exp(-0.5 * ((at[:, None] - knots) / width) ** 2)

        over = bumps(grid)
        centred = over - over.mean(axis=0)
        made.append(("curve", (bumps(places) - over.mean(axis=0)) / math.sqrt((centred**2).sum(axis=1).mean())))
    return made
