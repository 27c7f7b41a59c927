"""Non-domination, hypervolume and knee of two and three costs, each against what a definition says point by point."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.fronts.domination import hypervolume, knee, non_dominated, non_dominated_draws, open_boxes

LOGARITHMIC = (True, False)
"""Latency and quality as the knee sees them."""
Point = tuple[float, ...]
GRID = st.lists(st.tuples(st.integers(1, 8), st.integers(1, 8)), max_size=20)
"""A coarse grid, so that ties and equal points are common."""
CUBE = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 5)), max_size=20)
CELLS = np.array(list(itertools.product(range(6), repeat=3))) + 0.5
"""The middles of a cube's cells."""


def dominates(a: Point, b: Point) -> bool:
    return all(x <= y for x, y in zip(a, b, strict=True)) and a != b


def members_of(points: list[Point]) -> list[int]:
    return [n for n, point in enumerate(points) if not any(dominates(other, point) for other in points)]


@given(points=GRID | CUBE)
def test_the_front_is_what_no_point_dominates(points: list[Point]) -> None:
    members = non_dominated(points)
    assert sorted(members) == members_of(points)
    assert members == sorted(members, key=lambda n: (points[n], n)), "in order of latency, equal points in the order given"
    firsts = [n for place, n in enumerate(members) if points[n] not in [points[m] for m in members[:place]]]
    assert non_dominated(points, distinct=True) == firsts


def test_equal_points_all_stand_and_of_equally_fast_ones_only_the_best() -> None:
    assert non_dominated([(1, 5), (2, 3), (1, 5), (1, 6), (2, 4), (3, 3)]) == [0, 2, 1]


def test_a_point_without_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="leave out what was not measured"):
        non_dominated([(1.0, float("nan"))])
    with pytest.raises(ValueError, match="two or three costs"):
        non_dominated([(1.0, 2.0, 3.0, 4.0)])


@given(points=st.lists(GRID.filter(bool), min_size=1, max_size=4) | st.lists(CUBE.filter(bool), min_size=1, max_size=4))
def test_the_fronts_of_many_draws_are_those_of_each(points: list[list[Point]]) -> None:
    count = min(map(len, points))
    draws = np.array([draw[:count] for draw in points], dtype=float)
    columns = list(np.moveaxis(draws, 2, 0))
    assert [np.flatnonzero(kept).tolist() for kept in non_dominated_draws(columns)] == [members_of(draw[:count]) for draw in points]
    columns[0] = columns[0][:1]  # the same in all draws
    same = [[(points[0][n][0], *draw[n][1:]) for n in range(count)] for draw in points]
    assert [np.flatnonzero(kept).tolist() for kept in non_dominated_draws(columns)] == list(map(members_of, same))


@given(points=GRID, reference=st.tuples(st.integers(1, 9), st.integers(1, 9)))
def test_the_hypervolume_is_the_area_that_some_point_dominates(points: list[Point], reference: tuple[int, int]) -> None:
    cells = [(x, y) for x in range(reference[0]) for y in range(reference[1])]
    assert hypervolume(points, reference) == sum(any(px <= x and py <= y for px, py in points) for x, y in cells)


@given(points=CUBE)
def test_the_boxes_that_are_left_open_fill_what_no_point_dominates(points: list[Point]) -> None:
    dominated = np.array([any(all(np.array(point) <= cell) for point in points) for cell in CELLS])
    lower, upper = open_boxes(points, (6.0, 6.0, 6.0))
    assert len(lower) <= 2 * len(points) + 1
    inside = ((lower[None] <= CELLS[:, None]) & (CELLS[:, None] < upper[None])).all(axis=2).sum(axis=1)
    assert inside.tolist() == (~dominated).astype(int).tolist()
    assert hypervolume(points, (6.0, 6.0, 6.0)) == dominated.sum()


def test_the_volume_is_exact_where_costs_lie_anywhere() -> None:
    points = np.random.default_rng(0).random((200, 3))
    lower, upper = open_boxes(points, (0.9, 0.8, 0.7))
    left_open = np.prod(upper - np.maximum(lower, 0.0), axis=1).sum()
    assert hypervolume(points, (0.9, 0.8, 0.7)) == pytest.approx(0.9 * 0.8 * 0.7 - left_open, rel=1e-12)
    assert hypervolume(np.vstack([points, points]), (0.9, 0.8, 0.7)) == pytest.approx(hypervolume(points, (0.9, 0.8, 0.7)), rel=1e-12)


@given(points=GRID.filter(bool))
def test_the_knee_stands_on_the_front(points: list[Point]) -> None:
    assert knee(points, LOGARITHMIC) in non_dominated(points)


def test_the_knee_is_where_the_front_bends_most() -> None:
    assert knee([(1, 10), (2, 2), (4, 1.5), (64, 1)], LOGARITHMIC) == 1
    assert knee([(1000, 10), (2000, 2), (4000, 1.5), (64000, 1)], LOGARITHMIC) == 1, "whatever the unit of time"
    assert knee([(1, 2), (10, 1)], LOGARITHMIC) == 0, "of two points none stands out, and the fastest is named"
    assert knee([(1, 3), (2, 2.9), (10, 1)], LOGARITHMIC) == 0, "where the front bulges outwards too"
    with pytest.raises(ValueError, match="at least one point"):
        knee([], LOGARITHMIC)


def test_the_knee_of_three_costs_lies_furthest_below_the_plane_between_the_ends() -> None:
    ends: list[Any] = [(1, 9, 9), (9, 1, 9), (9, 9, 1)]
    assert knee([*ends, (3, 3, 3), (4, 4, 2)], (False, False, False)) == 3
    assert knee([*ends, (8, 2, 2), (3, 3, 3)], (False, False, False)) == 4
    assert knee([(1, 9, 9), (1000, 1, 9), (1000, 9, 1), (30, 4, 4)], (True, False, False)) == 3
