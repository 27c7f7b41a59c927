"""Where candidates come from: rows of levels worth scoring, made for a space too large to list or taken from a list of all points."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from analysis.search.axes import Axes

Rows = npt.NDArray[np.int64]
"""Levels; shape [points, axes], or [axes] for one."""
LISTED = 2_000
"""Spaces up to this many points are scored whole."""
MUTATED = (1, 2, 4)
"""How many axes a mutation draws again on average: one of these, with equal odds."""
FINE = 9
"""Axes up to this many levels are tried at every level; longer ones at doubling steps either way."""
SWAPS = 60
"""Exchanges of two layers that are tried at a time."""
NEAREST = 96
"""Neighbours of a point in a table."""


class Source(Protocol):
    """What candidates are drawn from."""

    def draw(self, count: int, random: np.random.Generator) -> Rows:
        """Rows from all over the space; all of them where there are no more than `LISTED`."""

    def near(self, parents: Rows, count: int, random: np.random.Generator) -> Rows:
        """Rows that differ from one of these in few axes."""

    def plain(self, count: int, random: np.random.Generator) -> Rows:
        """Rows as `draw`, of the simplest kind."""

    def around(self, row: Rows, random: np.random.Generator) -> Rows:
        """The neighbours of one row, some of them where there are many."""


class Grid:
    """Every combination of levels."""

    def __init__(self, axes: Axes) -> None:
        self._axes = axes
        self._levels = np.array([axis.levels for axis in axes.every])
        self._all = _product(self._levels) if np.prod(self._levels.astype(float)) <= LISTED else None

    def draw(self, count: int, random: np.random.Generator) -> Rows:
        """A list has one level up to some layer and another from there, half the time the same: few numbers that say much."""
        if self._all is not None:
            return self._all
        rows: Rows = random.integers(self._levels, size=(count, len(self._levels)))
        for members in self._axes.lists:
            below, above = random.integers(self._levels[members[0]], size=(2, count))
            turn = np.where(random.random(count) < 0.5, len(members), random.integers(len(members) + 1, size=count))
            rows[:, list(members)] = np.where(np.arange(len(members)) < turn[:, None], below[:, None], above[:, None])
        return rows

    def near(self, parents: Rows, count: int, random: np.random.Generator) -> Rows:
        """Copies with some axes drawn again."""
        rows = parents[random.integers(len(parents), size=count)]
        odds = random.choice(MUTATED, size=count) / len(self._levels)
        hit = random.random(rows.shape) < odds[:, None]
        return np.where(hit, random.integers(self._levels, size=rows.shape), rows)

    def plain(self, count: int, random: np.random.Generator) -> Rows:
        """Every list has one level throughout."""
        rows = self.draw(count, random).copy()
        for members in self._axes.lists:
            rows[:, list(members)] = rows[:, members[:1]]
        return rows

    def around(self, row: Rows, random: np.random.Generator) -> Rows:
        """Every change of one axis, and exchanges of two unlike layers of a list: all of them, or `SWAPS` at random."""
        changes = [((number, level),) for number, level in self._changes(row)]
        swaps = [((p, int(row[q])), (q, int(row[p]))) for p, q in self._pairs() if row[p] != row[q]]
        if len(swaps) > SWAPS:
            swaps = [swaps[place] for place in random.choice(len(swaps), size=SWAPS, replace=False)]
        rows = np.repeat(row[None], len(changes) + len(swaps), axis=0)
        for place, parts in enumerate([*changes, *swaps]):
            for number, level in parts:
                rows[place, number] = level
        return rows

    def _changes(self, row: Rows) -> Iterator[tuple[int, int]]:
        for number, levels in enumerate(self._levels.tolist()):
            here = int(row[number])
            if levels <= FINE or not self._axes.every[number].ordered:
                yield from ((number, level) for level in range(levels) if level != here)
            else:
                steps = [2**power for power in range(levels.bit_length())]
                yield from ((number, here + s) for step in steps for s in (-step, step) if 0 <= here + s < levels)

    def _pairs(self) -> Iterator[tuple[int, int]]:
        return ((p, q) for members in self._axes.lists for place, p in enumerate(members) for q in members[:place])


class Table:
    """A list of the points that may be proposed."""

    def __init__(self, axes: Axes, rows: Rows) -> None:
        self._rows = rows
        self._ordered = np.array([axis.ordered for axis in axes.every])
        self._spans = np.maximum(np.array([axis.levels for axis in axes.every]) - 1.0, 1.0)

    def draw(self, count: int, random: np.random.Generator) -> Rows:
        """Rows of the table, none twice."""
        if len(self._rows) <= max(count, LISTED):
            return self._rows
        return self._rows[random.choice(len(self._rows), size=count, replace=False)]

    def near(self, parents: Rows, count: int, random: np.random.Generator) -> Rows:
        """Neighbours of some of these."""
        if len(self._rows) <= LISTED:
            return self._rows[:0]
        chosen = parents[random.permutation(len(parents))[: max(1, count // NEAREST)]]
        return np.concatenate([self.around(parent, random) for parent in chosen])

    def plain(self, count: int, random: np.random.Generator) -> Rows:
        """Candidates drawn as `draw` does, without regard to the front."""
        return self.draw(count, random)

    def around(self, row: Rows, random: np.random.Generator) -> Rows:
        """The rows that differ least: by the share of the range on ordered axes, by 0 or 1 on the others, summed."""
        steps = np.abs(self._rows - row)
        distances = np.where(self._ordered, steps / self._spans, steps != 0).sum(axis=1)
        if len(distances) <= NEAREST:
            return self._rows
        return self._rows[np.argpartition(distances, NEAREST)[:NEAREST]]


def keys(table: npt.NDArray[Any]) -> list[bytes]:
    """The bytes of each row of a table, which are equal for equal rows."""
    table = np.ascontiguousarray(table)
    found: Any = table.view(np.dtype((np.void, table.itemsize * table.shape[1]))).ravel().tolist()
    return list(found)


def _product(levels: npt.NDArray[np.int64]) -> Rows:
    return np.stack(np.meshgrid(*[np.arange(count) for count in levels], indexing="ij"), axis=-1).reshape(-1, len(levels))
