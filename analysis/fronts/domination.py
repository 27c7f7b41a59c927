"""Which of many points no other dominates, what they dominate together, what they leave open, and where their front bends.

Points are rows of two or three costs, each better where smaller. A point dominates another where it is no worse in every cost and better
in one, so equal points do not dominate each other. Nothing here knows what a cost means.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

import numpy as np

from analysis.statistics.arrays import Array, Flags, Indices, in_pieces

CostRows = Sequence[Sequence[float]] | Array
"""Shape [points, objectives], two or three objectives."""
DIMENSIONS = (2, 3)
DRAWS_AT_ONCE = 1_000
"""Draws whose trees together fit a processor's cache together."""


def non_dominated(costs: CostRows, *, distinct: bool = False) -> list[int]:
    """Indices of the points that no other dominates, in the order of the first cost, then of the second and the third.

    Equal points are all kept, in the order given; with `distinct` only the first of them. A sweep in n log n steps (Kung, Luccio and
    Preparata 1975). Raises ValueError where a number is not finite, or a point has another number of costs.
    """
    array = _checked(costs)
    if not len(array):
        return []
    order = np.lexsort(array.T[::-1])
    ordered = array[order]
    kept = _kept_pairs(*ordered.T) if array.shape[1] == 2 else _kept_triples(ordered)
    if distinct:
        kept[1:] &= (ordered[1:] != ordered[:-1]).any(axis=1)
    return [int(index) for index in order[kept]]


def non_dominated_draws(columns: Sequence[Array]) -> Flags:
    """Which points are non-dominated in each of many draws; shape [draws, points].

    Every objective has a matrix [draws, points], or [1, points] where it is the same in all draws. Equal points are all kept.
    """
    matrices = np.broadcast_arrays(*columns)
    if len(matrices) == 3:
        return _kept_draws_of_triples(*matrices)
    kept = np.empty(matrices[0].shape, dtype=bool)
    for rows in in_pieces(kept):
        kept[rows] = _kept_draws_of_pairs(matrices[0][rows], matrices[1][rows])
    return kept


def hypervolume(costs: CostRows, reference: Sequence[float]) -> float:
    """The area or volume that the points dominate below a reference point (Zitzler and Thiele 1998); points beyond it count nothing."""
    members = _below(costs, reference)
    if not len(members):
        return 0.0
    if members.shape[1] == 2:
        first, second = members.T
        widths = np.diff(np.append(first, reference[0]))
        return float(np.sum(widths * (reference[1] - second)))
    strips = _Strips(reference)
    volume = 0.0
    for x, y, z in members.tolist():
        volume += (reference[0] - x) * sum((right - left) * (ceiling - z) for _, left, right, ceiling in strips.cut(x, y, z))
    return volume


def open_boxes(costs: CostRows, reference: Sequence[float]) -> tuple[Array, Array]:
    """Disjoint boxes that fill what no point of three costs dominates below a reference point: lower and upper corners, [boxes, 3].

    Lower corners are minus infinity where nothing bounds them. Of n members these are at most 2 n + 1 boxes, which a sweep along the
    first cost closes one after the other (Yang, Emmerich, Deutz and Bäck 2019, arXiv 1904.12672).
    """
    members = _below(costs, reference)
    strips = _Strips(reference)
    closed = [(since, x, *strip) for x, y, z in members.tolist() for since, *strip in strips.cut(x, y, z)]
    closed += [(since, reference[0], *strip) for since, *strip in strips]
    since, until, left, right, ceiling = np.array([box for box in closed if box[0] < box[1]]).T
    return np.c_[since, left, np.full(len(since), -np.inf)], np.c_[until, right, ceiling]


def knee(costs: CostRows, logarithmic: Sequence[bool]) -> int:
    """Index of the member of the front that lies furthest below the line, or the plane, between the front's ends.

    Each cost, or its logarithm where `logarithmic` says so, is first brought to 0 to 1 over the front: a chord's farthest point as in
    Das 1999 (On characterizing the "knee" of the Pareto curve), on axes as in Satopää et al. 2011 (Kneedle). Of equals it is the first
    by the first cost, and so it is where no member lies below. Raises ValueError without points.
    """
    members = non_dominated(costs)
    if not members:
        raise ValueError("a knee needs at least one point")
    columns = [_unit(np.log(column) if log else column) for column, log in zip(_checked(costs)[members].T, logarithmic, strict=True)]
    return members[int(np.argmin(sum(columns)))]


class _Strips:
    """The part of a plane that the points so far leave open below a corner, as strips along its first axis, while the points come one
    by one along a third axis.
    """

    def __init__(self, reference: Sequence[float]) -> None:
        """`reference` is the corner: along the third axis, and then in the plane."""
        self._end = reference[1]
        self._lefts, self._ceilings, self._since = [-np.inf], [reference[2]], [-np.inf]

    def __iter__(self) -> Iterator[tuple[float, float, float, float]]:
        """Since where along the third axis each strip is open, where it begins and ends, and up to which height it is open."""
        return zip(self._since, self._lefts, [*self._lefts[1:], self._end], self._ceilings, strict=True)

    def cut(self, x: float, y: float, z: float) -> list[tuple[float, float, float, float]]:
        """Take the point (y, z), which comes at x; the parts of strips that were open above it, none where it is dominated."""
        first = last = bisect_right(self._lefts, y) - 1
        closed = []
        while last < len(self._lefts) and self._ceilings[last] > z:
            right = self._lefts[last + 1] if last + 1 < len(self._lefts) else self._end
            closed.append((self._since[last], max(self._lefts[last], y), right, self._ceilings[last]))
            last += 1
        if closed:
            first += self._lefts[first] < y  # what lies left of the point stays open as it is
            self._lefts[first:last], self._ceilings[first:last], self._since[first:last] = [y], [z], [x]
        return closed


def _kept_pairs(first: Array, second: Array) -> Flags:
    """Which of some pairs in lexicographic order are non-dominated."""
    starts = np.searchsorted(first, first, side="left")  # of each group of equal first costs, whose best comes first
    best_before = np.concatenate(([np.inf], np.minimum.accumulate(second)))[starts]
    kept: Flags = (second == second[starts]) & (second < best_before)
    return kept


def _kept_triples(ordered: Array) -> Flags:
    """Which of some triples in lexicographic order are non-dominated."""
    strips = _Strips((np.inf, np.inf, np.inf))
    again = [False, *(ordered[1:] == ordered[:-1]).all(axis=1).tolist()]
    kept: list[bool] = []
    for equal, (x, y, z) in zip(again, ordered.tolist(), strict=True):
        kept.append(kept[-1] if equal else bool(strips.cut(x, y, z)))
    return np.array(kept, dtype=bool)


def _kept_draws_of_pairs(first: Array, second: Array) -> Flags:
    """Matrices as in `non_dominated_draws`."""
    rows = np.arange(len(first))[:, None] * first.shape[1]
    order = np.argsort(first, axis=1)
    firsts = first.ravel()[order + rows]
    equal = firsts[:, 1:] == firsts[:, :-1]
    several = bool(equal.any())  # equal first costs are rare where they were measured
    if several:
        order = np.lexsort((second, first), axis=1)
    seconds = second.ravel()[order + rows]
    kept = np.ones(order.shape, dtype=bool)
    kept[:, 1:] = seconds[:, 1:] < np.minimum.accumulate(seconds, axis=1)[:, :-1]
    if several:
        again = np.zeros_like(kept)
        again[:, 1:] = equal & (seconds[:, 1:] == seconds[:, :-1])
        kept = np.take_along_axis(kept, np.maximum.accumulate(np.where(again, 0, np.arange(order.shape[1])), axis=1), axis=1)
    found: Flags = np.empty_like(kept)
    found.ravel()[order + rows] = kept
    return found


def _kept_draws_of_triples(first: Array, second: Array, third: Array) -> Flags:
    """Matrices as in `non_dominated_draws`: the sweep of `non_dominated` in many draws side by side.

    Beside every draw stands a tree of least third costs over the ranks of the second (Fenwick 1994): whether a point that comes before
    is as good in both takes as many steps as the number of points has bits.
    """
    order = np.lexsort((third, second, first), axis=1)
    firsts, seconds, thirds = (np.take_along_axis(column, order, axis=1).T for column in (first, second, third))
    again = np.zeros(thirds.shape, dtype=bool)
    again[1:] = (firsts[1:] == firsts[:-1]) & (seconds[1:] == seconds[:-1]) & (thirds[1:] == thirds[:-1])
    ranks = _ranks(seconds)
    points, draws = len(thirds), len(order)
    kept = np.empty((points, draws), dtype=bool)
    for start in range(0, draws, DRAWS_AT_ONCE):
        some = slice(start, start + DRAWS_AT_ONCE)
        trees = np.arange(kept[0, some].size) * (points + 1)
        least = np.full(kept[0, some].size * (points + 1), np.inf)
        for point in range(points):
            at, own = ranks[point, some], thirds[point, some]
            below = least[trees + at]
            while at.any():
                at = at & (at - 1)
                below = np.minimum(below, least[trees + at])
            new = own < below
            kept[point, some] = np.where(again[point, some], kept[point - 1, some], new)
            places, at, own = trees[new], ranks[point, some][new], own[new]
            while len(at):
                least[places + at] = np.minimum(least[places + at], own)
                at = at + (at & -at)
                places, at, own = (part[at <= points] for part in (places, at, own))
    found: Flags = np.empty(order.shape, dtype=bool)
    np.put_along_axis(found, order, kept.T, axis=1)
    return found


def _ranks(costs: Array) -> Indices:
    """How many in the same column are no greater, for each cost; shape [points, draws]."""
    order = np.argsort(costs, axis=0)
    ordered = np.take_along_axis(costs, order, axis=0)
    last = np.ones(costs.shape, dtype=bool)  # of a run of equal ones
    last[:-1] = ordered[1:] > ordered[:-1]
    counts = np.where(last, np.arange(1, len(costs) + 1)[:, None], len(costs))
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.minimum.accumulate(counts[::-1], axis=0)[::-1], axis=0)
    return ranks


def _unit(values: Array) -> Array:
    span = np.ptp(values)
    return (values - values.min()) / span if span else np.zeros_like(values)


def _below(costs: CostRows, reference: Sequence[float]) -> Array:
    """The non-dominated points below a reference point."""
    array = _checked(costs)
    if not len(array):
        return array
    inside = array[(array < np.asarray(reference)).all(axis=1)]
    return inside[non_dominated(inside)]


def _checked(costs: CostRows) -> Array:
    array = np.asarray(costs, dtype=np.float64)
    if not array.size:
        return array.reshape(0, DIMENSIONS[0])
    if array.ndim != 2 or array.shape[1] not in DIMENSIONS:
        raise ValueError(f"every point must have two or three costs, found an array of shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError("every cost of a point must be a finite number; leave out what was not measured")
    return array
