"""What a point is expected to add to a front: the growth of the hypervolume where all is known, its mean over many draws where not."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.fronts.domination import hypervolume, non_dominated
from analysis.search.acquisition import Normal, expected_hypervolume_improvement
from analysis.statistics.arrays import Array

FRONT = np.array([[3.0, 1.0], [2.0, 2.0], [1.0, 4.0]])
CORNER = (4.0, 5.0)


def grown_by(point: tuple[float, float]) -> float:
    return float(hypervolume(np.vstack([FRONT, point]), CORNER) - hypervolume(FRONT, CORNER))


@pytest.mark.parametrize("point", [(2.5, 1.5), (0.5, 0.5), (3.5, 0.5), (0.5, 4.5), (2.5, 3.0), (5.0, 0.1), (0.1, 6.0)])
def test_where_both_objectives_are_known_the_gain_is_what_the_hypervolume_grows_by(point: tuple[float, float]) -> None:
    first, second = ((np.array([value]), np.zeros(1)) for value in point)
    assert expected_hypervolume_improvement((first, second), FRONT, CORNER)[0] == pytest.approx(grown_by(point))


@pytest.mark.parametrize("deviations", [(0.5, 0.0), (0.0, 0.4), (0.6, 0.3)])
def test_the_expectation_is_the_mean_over_many_draws(deviations: tuple[float, float]) -> None:
    random = np.random.default_rng(0)
    mean = (2.2, 2.1)
    draws = [(float(a), float(b)) for a, b in random.normal(mean, deviations, (20_000, 2))]
    sampled = np.array([grown_by(draw) for draw in draws[:4_000]])
    closed = expected_hypervolume_improvement(
        [(np.array(mean[:1]), np.array(deviations[:1])), (np.array(mean[1:]), np.array(deviations[1:]))], FRONT, CORNER
    )[0]
    assert closed == pytest.approx(sampled.mean(), abs=4 * sampled.std() / len(sampled) ** 0.5)


def test_an_empty_front_leaves_the_whole_box_to_gain() -> None:
    gain = expected_hypervolume_improvement([(np.array([1.0]), np.zeros(1)), (np.array([2.0]), np.zeros(1))], np.empty((0, 2)), CORNER)
    assert gain[0] == pytest.approx((4 - 1) * (5 - 2))


CLOUD = np.random.default_rng(0).random((60, 3))
FRONT_3, CORNER_3 = CLOUD[non_dominated(CLOUD)], (0.9, 0.95, 1.1)


def grown_by_3(point: Array) -> float:
    return hypervolume(np.vstack([FRONT_3, point]), CORNER_3) - hypervolume(FRONT_3, CORNER_3)


def normals(means: Array, deviations: Array) -> list[Normal]:
    return list(zip(means.T, np.broadcast_to(deviations, means.shape).T, strict=True))


def test_of_three_known_objectives_the_gain_is_what_the_volume_grows_by() -> None:
    points = np.vstack([np.random.default_rng(1).uniform(-0.2, 1.0, (200, 3)), FRONT_3])
    gains = expected_hypervolume_improvement(normals(points, np.zeros(3)), FRONT_3, CORNER_3)
    assert gains.tolist() == pytest.approx([grown_by_3(point) for point in points], abs=1e-12)
    assert gains[:200].max() > 0.1
    assert np.abs(gains[200:]).max() < 1e-12, "a member adds nothing to itself"


@pytest.mark.parametrize("deviations", [(0.2, 0.0, 0.0), (0.2, 0.1, 0.0), (0.3, 0.1, 0.2)])
def test_of_three_objectives_the_expectation_is_the_mean_over_many_draws(deviations: tuple[float, float, float]) -> None:
    random = np.random.default_rng(2)
    points = np.array([[0.2, 0.3, 0.4], [0.5, 0.5, 0.5], [0.1, 0.9, 0.2]])
    closed = expected_hypervolume_improvement(normals(points, np.array(deviations)), FRONT_3, CORNER_3)
    for point, gain in zip(points, closed, strict=True):
        sampled = np.array([grown_by_3(point + deviations * random.standard_normal(3)) for _ in range(1_500)])
        assert gain == pytest.approx(sampled.mean(), abs=4 * sampled.std() / len(sampled) ** 0.5)


def test_three_objectives_of_which_one_cannot_differ_are_two() -> None:
    two = np.random.default_rng(3).random((40, 2))
    flat = np.column_stack([two, np.zeros(40)])
    points = np.random.default_rng(4).random((50, 2))
    deviations = np.array([0.1, 0.05])
    plane = expected_hypervolume_improvement(normals(points, deviations), two, (1.0, 1.0))
    space = expected_hypervolume_improvement(
        [*normals(points, deviations), (np.zeros(50), np.zeros(50))], flat[non_dominated(flat)], (1.0, 1.0, 1.0)
    )
    assert space.tolist() == pytest.approx(plane.tolist(), abs=1e-12)
    assert expected_hypervolume_improvement(normals(flat[:1], np.zeros(3)), np.empty((0, 3)), (1.0, 1.0, 1.0))[0] == pytest.approx(
        float(np.prod(1.0 - flat[0]))
    )
