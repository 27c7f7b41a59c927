"""Optuna's distributions as axes of a model, and parameters as places on them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from analysis.search.axes import Axes, Axis
from analysis.search.candidates import Rows
from analysis.statistics.arrays import Array
from search_space.errors import SpecError, quoted

Params = dict[str, Any]
"""What an objective is called with: a value for each name."""
LEVELS = 65
"""A finer or continuous range is proposed at this many of its values."""
NUMBERED = re.compile(r"(.*?)_?(\d+)")


class Dimensions:
    """A space as axes; values in, levels out, and back."""

    def __init__(self, space: Mapping[str, BaseDistribution], sequences: Mapping[str, Sequence[str]] | None) -> None:
        """`sequences` names the parameters of each per-layer list, first layer first; None: those that differ in a final number."""
        self.names = tuple(space)
        self._values = [_values(name, distribution) for name, distribution in space.items()]
        ordered = [_is_ordered(distribution) for distribution in space.values()]
        every = tuple(Axis(n, len(v), o) for n, v, o in zip(self.names, self._values, ordered, strict=True))
        lists = _numbered(space) if sequences is None else list(sequences.values())
        self.axes = Axes(every, tuple(tuple(self._number(name) for name in names) for names in lists))
        self._places = [axis.places for axis in every]

    def params(self, row: Rows) -> Params:
        """The values at these levels."""
        return {name: values[level] for name, values, level in zip(self.names, self._values, row.tolist(), strict=True)}

    def places(self, points: Sequence[Mapping[str, Any]]) -> Array:
        """Where values lie, between the levels too; shape [points, axes]."""
        columns = [self._column(number, [point[name] for point in points]) for number, name in enumerate(self.names)]
        return np.stack(columns, axis=1) if points else np.empty((0, len(self.names)))

    def rows(self, places: Array) -> Rows:
        """The nearest levels."""
        last = np.array([axis.levels - 1 if axis.ordered else 1 for axis in self.axes.every])
        rows: Rows = np.rint(places * last).astype(np.int64)
        return rows

    def places_at(self, rows: Rows) -> Array:
        """The places of levels; shape as `rows`."""
        last = np.array([max(axis.levels - 1, 1) if axis.ordered else 1 for axis in self.axes.every])
        places: Array = rows / last
        return places

    def _column(self, number: int, values: Sequence[Any]) -> Array:
        levels = self._values[number]
        if self.axes.every[number].ordered:
            places: Array = np.interp(values, levels, self._places[number])
            return places
        return np.array([levels.index(value) for value in values], dtype=float)

    def _number(self, name: str) -> int:
        if name not in self.names:
            raise SpecError(f"sequences must name parameters of the space, found {quoted(name)}; the space has {', '.join(self.names)}")
        return self.names.index(name)


def _is_ordered(distribution: BaseDistribution) -> bool:
    """Ranges, and choices between numbers."""
    if not isinstance(distribution, CategoricalDistribution):
        return True
    return all(isinstance(choice, int | float) and not isinstance(choice, bool) for choice in distribution.choices)


def _values(name: str, distribution: BaseDistribution) -> list[Any]:
    """The values that are proposed, in order."""
    if isinstance(distribution, CategoricalDistribution):
        return sorted(distribution.choices) if _is_ordered(distribution) else list(distribution.choices)
    if not isinstance(distribution, IntDistribution | FloatDistribution):
        raise SpecError(f"{name} must be an integer, float or categorical distribution, found {quoted(distribution)}; use one")
    low, high, step = distribution.low, distribution.high, distribution.step
    count = LEVELS if step is None else min(LEVELS, round((high - low) / step) + 1)
    spaced = np.geomspace(low, high, LEVELS) if distribution.log else np.linspace(low, high, count)
    allowed = spaced if step is None else low + step * np.rint((spaced - low) / step)
    kind = int if isinstance(distribution, IntDistribution) else float
    return sorted({kind(min(max(value, low), high)) for value in allowed.tolist()})


def _numbered(space: Mapping[str, BaseDistribution]) -> list[list[str]]:
    """Names with one stem and a final number, at least three with equal distributions, in order of the number."""
    stems: dict[str, list[tuple[int, str]]] = {}
    for name in space:
        if matched := NUMBERED.fullmatch(name):
            stems.setdefault(matched[1], []).append((int(matched[2]), name))
    lists = [[name for _, name in sorted(members)] for members in stems.values()]
    return [names for names in lists if len(names) > 2 and all(space[name] == space[names[0]] for name in names)]
