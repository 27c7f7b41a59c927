"""A search space as Optuna sees it: its shapes as rows of places, one place for each free dimension, and back."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from analysis.records.json_writer import json_of
from analysis.statistics.arrays import Array, Flags
from search_space import cost
from search_space.architecture import Architecture
from search_space.space import Point, SearchSpace
from trials.trial.task import plain

HINTED_TOKENS = 256
"""Context at which the work of a forward pass is a hint of what a shape's latency will be."""


class ShapeTable:
    """Every shape of a space, in the space's order."""

    def __init__(self, space: SearchSpace, accepts: Callable[[Architecture], bool] | None = None) -> None:
        """Only shapes that `accepts` are to be proposed."""
        self._table = space.table()
        self._rows = {shape: row for row, (_, shape) in enumerate(self._table)}
        self.accepted: Flags = np.array([accepts is None or accepts(shape) for _, shape in self._table], dtype=bool)
        self._dimensions = space.free
        self.distributions = distributions_of(space)
        self._place_of = {d.name: {choice_key(choice): place for place, choice in enumerate(d.choices)} for d in self._dimensions}
        self._places = np.array([self._places_of(point) for point, _ in self._table], dtype=np.int64).reshape(len(self._table), -1)
        self._ordered = np.array([d.ordered for d in self._dimensions], dtype=bool)
        self._spans = np.array([len(d.choices) - 1 for d in self._dimensions], dtype=float)

    def __len__(self) -> int:
        """How many shapes there are."""
        return len(self._table)

    def __getitem__(self, row: int) -> tuple[Point, Architecture]:
        """A row's point and shape."""
        return self._table[row]

    def rows(self, shapes: Iterable[Architecture]) -> list[int]:
        """Where these stand; those that are not of the space are passed over."""
        return [row for shape in shapes if (row := self._rows.get(shape)) is not None]

    def params(self, point: Mapping[str, Any]) -> dict[str, int | str]:
        """A point's places as Optuna has them: numbers only where they are ordered."""
        return self._params(self._places_of(point))

    def every_params(self) -> list[dict[str, int | str]]:
        """Parameters of all rows."""
        return [self._params(places) for places in self._places.tolist()]

    def row_of(self, params: Mapping[str, Any]) -> int:
        """Where the shape of these places stands; KeyError where there is none."""
        return self._row_at[tuple(self.places(params))]

    def places(self, params: Mapping[str, Any]) -> list[int]:
        """What Optuna suggests, feasible or not, as a place on each dimension."""
        return [int(params[dimension.name]) for dimension in self._dimensions]

    def sizes(self, params: Mapping[str, Any]) -> tuple[float, ...]:
        """Numbers of a shape that its latency and its quality may follow, the work of a forward pass first."""
        shape = self._table[self.row_of(params)][1]
        return cost.forward_flops(shape, HINTED_TOKENS), shape.num_hidden_layers, shape.hidden_size, shape.intermediate_size

    def nearest(self, free: Flags, places: Sequence[int], random: np.random.Generator) -> int:
        """A free row that is nearest to these places, drawn among equals."""
        distances = np.where(free, self._distances(places), math.inf)
        return int(random.choice(np.flatnonzero(distances == distances.min())))

    def farthest(self, free: Flags, known: Iterable[int], candidates: int, random: np.random.Generator) -> int:
        """The row that is farthest from the known rows, of so many free rows drawn at random."""
        rows = np.flatnonzero(free)
        chosen = random.choice(rows, size=min(candidates, len(rows)), replace=False)
        gaps = np.full(len(self._table), math.inf)
        for row in known:
            gaps = np.minimum(gaps, self._distances(self._places[row]))
        return int(chosen[np.argmax(gaps[chosen])])

    @cached_property
    def _row_at(self) -> dict[tuple[int, ...], int]:
        return {tuple(places): row for row, places in enumerate(self._places.tolist())}

    def _params(self, places: Sequence[int]) -> dict[str, int | str]:
        pairs = zip(self._dimensions, places, strict=True)
        return {dimension.name: place if dimension.ordered else str(place) for dimension, place in pairs}

    def _places_of(self, point: Mapping[str, Any]) -> list[int]:
        return [self._place_of[name][choice_key(point[name])] for name in self._place_of]

    def _distances(self, places: npt.ArrayLike) -> Array:
        """Distances from every shape to these places: the share of the range on ordered dimensions, 0 or 1 on the others, summed."""
        steps = np.abs(self._places - np.asarray(places))
        distances: Array = np.where(self._ordered, steps / self._spans, steps != 0).sum(axis=1)
        return distances


def distributions_of(space: SearchSpace) -> dict[str, BaseDistribution]:
    """The places on each free dimension: a range of whole numbers where its choices are ordered, else categories."""
    return {
        dimension.name: IntDistribution(0, count - 1)
        if dimension.ordered
        else CategoricalDistribution([str(place) for place in range(count)])
        for dimension in space.free
        for count in [len(dimension.choices)]
    }


def choice_key(choice: object) -> str:
    """Equal for a choice and for what a record made of it."""
    return json_of(plain(choice))
