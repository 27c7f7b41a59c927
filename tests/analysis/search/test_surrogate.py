"""The model behind the sampler: what it learns of axes and lists, and how sure it is."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.search.axes import Axes, Axis, FeatureGroups
from analysis.search.surrogate import Surrogate, fit_variances, prior_logs, prior_variances, surprise
from analysis.statistics.arrays import Array

LAYERS = 6
AXES = Axes((Axis("width", 4, True), Axis("kind", 3, False), *(Axis(f"heads_{n}", 3, True) for n in range(LAYERS))), (tuple(range(2, 8)),))


def places_of(rows: Array) -> Array:
    places: Array = rows / np.array([3, 1] + [2] * LAYERS)
    return places


def features_of(rows: Array) -> FeatureGroups:
    return AXES.features(places_of(rows), np.ones(rows.shape, dtype=bool), np.zeros((len(rows), 0)))


def random_rows(count: int, seed: int) -> Array:
    return np.random.default_rng(seed).integers([4, 3] + [3] * LAYERS, size=(count, 2 + LAYERS)).astype(float)


def truth(rows: Array) -> Array:
    """Width matters more where the layers have many heads, and late layers matter more than early ones."""
    late = rows[:, 2:] @ np.linspace(0.5, 1.5, LAYERS) / LAYERS
    value: Array = 3.0 - 0.4 * rows[:, 0] - 0.2 * (rows[:, 1] == 2) - 0.3 * late - 0.1 * rows[:, 0] * late
    return value


def fitted(rows: Array, values: Array) -> Surrogate:
    features = features_of(rows)
    return Surrogate(features, values, fit_variances(features, values))


def test_it_predicts_points_it_has_not_seen_and_its_deviations_hold() -> None:
    seen, other = random_rows(60, 0), random_rows(300, 1)
    mean, deviation = fitted(seen, truth(seen)).predict(features_of(other))
    errors = np.abs(mean - truth(other))
    assert errors.mean() < 0.05 * truth(other).std()
    assert (errors < 3 * deviation).mean() > 0.9


def test_what_was_seen_without_noise_is_met_and_noise_is_smoothed() -> None:
    seen = random_rows(80, 2)
    mean, _ = fitted(seen, truth(seen)).predict(features_of(seen))
    assert np.abs(mean - truth(seen)).max() < 0.02
    noisy = truth(seen) + np.random.default_rng(3).normal(0, 0.1, len(seen))
    smoothed, _ = fitted(seen, noisy).predict(features_of(seen))
    assert np.abs(smoothed - truth(seen)).mean() < 0.7 * np.abs(noisy - truth(seen)).mean()


def test_repeated_points_tell_the_noise() -> None:
    rows = np.repeat(random_rows(12, 11), 4, axis=0)
    noisy = truth(rows) + np.random.default_rng(12).normal(0, 0.1, len(rows))
    found = fit_variances(features_of(rows), noisy)
    assert 0.07 < found.scale * found.noise**0.5 < 0.14


def test_a_value_with_a_deviation_of_its_own_weighs_less() -> None:
    rows = random_rows(30, 13)
    features, values = features_of(rows), truth(rows)
    wrong, doubts = values.copy(), np.zeros(30)
    wrong[::3] += np.random.default_rng(14).normal(0, 0.5, 10)
    doubts[::3] = 0.5
    variances = fit_variances(features, values)
    sure, unsure = (np.abs(Surrogate(features, wrong, variances, d).predict(features)[0] - values).mean() for d in (None, doubts))
    assert unsure < 0.2 * sure


def test_it_is_less_sure_far_from_what_was_seen() -> None:
    seen = random_rows(20, 4)
    seen[:, 0], seen[:, 1] = 0, 0
    near, far = seen.copy(), seen.copy()
    far[:, 0], far[:, 1] = 3, 2
    model = fitted(seen, truth(seen))
    assert (model.predict(features_of(far))[1] > model.predict(features_of(near))[1]).all()


def test_layers_that_have_no_effect_change_no_feature() -> None:
    rows = random_rows(10, 5)
    active = np.ones(rows.shape, dtype=bool)
    active[:, 5:] = False
    changed = rows.copy()
    changed[:, 5:] = 2 - changed[:, 5:]
    none = np.zeros((10, 0))
    for one, other in zip(AXES.features(places_of(rows), active, none), AXES.features(places_of(changed), active, none), strict=True):
        np.testing.assert_array_equal(one.columns, other.columns)


def test_the_slopes_of_the_marginal_likelihood_are_the_right_ones() -> None:
    rows = random_rows(15, 6)
    values = truth(rows) - truth(rows).mean()
    asked, at = surprise(features_of(rows), values), prior_logs(features_of(rows)) + 0.3
    steps = 1e-5 * np.eye(len(at))
    numeric = [(asked(at + step)[0] - asked(at - step)[0]) / 2e-5 for step in steps]
    assert asked(at)[1].tolist() == pytest.approx(numeric, rel=1e-4, abs=1e-5)


def test_equal_values_and_a_single_point_are_modelled_too() -> None:
    rows = random_rows(1, 7)
    model = fitted(rows, np.array([2.5]))
    mean, deviation = model.predict(features_of(random_rows(5, 8)))
    assert np.isfinite(mean).all()
    assert (deviation > 0).all()


def test_prior_variances_serve_a_few_points() -> None:
    rows = np.array([[0.0, 0, *[0] * LAYERS], [3.0, 2, *[2] * LAYERS]])
    model = Surrogate(features_of(rows), np.array([1.0, 0.0]), prior_variances(features_of(rows), mean=1.0, scale=0.5))
    near = np.array([[0.0, 0, 1, *[0] * (LAYERS - 1)], [3.0, 2, 1, *[2] * (LAYERS - 1)]])
    good, bad = model.predict(features_of(near))[0]
    assert good > 0.8
    assert bad < 0.2
