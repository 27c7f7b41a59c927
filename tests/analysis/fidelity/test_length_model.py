"""Losses at lengths that few shapes were trained to: order, coverage and what is not known, where some kinds of shapes gain late."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from analysis.fidelity.length_model import LengthModel, SeenLoss
from analysis.statistics.arrays import Array
from analysis.statistics.rank_correlation import rank_correlation
from tests.support.sample_study import SPACE

SHAPES = SPACE.sample(24)
LENGTHS = (1 / 32, 1 / 16, 1 / 8, 1.0)
"""Two cooldowns, a study's own training, and the target."""
SEED, SCATTER = 0.003, 0.002


def planted(seed: int) -> tuple[Array, Array]:
    """Losses of one seed, [shapes, lengths], and the true ones at the target: deep shapes start late and end well."""
    random = np.random.default_rng(seed)
    depth = np.log2([shape.num_hidden_layers for shape in SHAPES])
    depth = (depth - depth.mean()) / depth.std()
    early, late = random.normal(0, 0.01, len(SHAPES)), random.normal(0, 0.004, len(SHAPES))
    lengths = np.array(LENGTHS)
    course = np.log(1.5 + 0.4 * lengths**-0.25)
    shortage = -np.log2(lengths) / 3
    logs = course + (early - 0.006 * depth)[:, None] + shortage * (0.015 * depth + late)[:, None]
    seen = logs + random.normal(0, SEED, (len(SHAPES), 1)) + random.normal(0, SCATTER, logs.shape)
    return np.exp(seen), np.exp(logs[:, -1])


def told(seen: Array, long: Sequence[int], seed: int = 0) -> tuple[Array, Array]:
    """Draws of the true losses at the target, and of a training's noise; of the shapes in `long` the target's loss is known."""
    losses = [
        SeenLoss(shape, shape, LENGTHS[at], seen[shape, at])
        for shape in range(len(SHAPES))
        for at in range(len(LENGTHS) if shape in long else len(LENGTHS) - 1)
    ]
    draws, noises = LengthModel(SHAPES, losses, np.random.default_rng(seed)).draw([1.0], 2_000, np.random.default_rng(seed))
    return draws[:, 0], noises


def test_a_few_long_trainings_order_all_shapes_far_better_than_short_ones_do() -> None:
    short, found = [], []
    for seed in range(6):
        seen, truth = planted(seed)
        draws, _ = told(seen, [0, 7, 15, 22])
        short.append(rank_correlation(seen[:, -2].tolist(), truth.tolist()).tau)
        found.append(rank_correlation(draws.mean(axis=0).tolist(), truth.tolist()).tau)
    assert np.mean(found) > np.mean(short) + 0.25


def test_nine_of_ten_intervals_hold_what_another_training_measures() -> None:
    inside = []
    for seed in range(8):
        seen, truth = planted(seed)
        random = np.random.default_rng(1_000 + seed)
        draws, noises = told(seen, random.choice(len(SHAPES), 3, replace=False).tolist())
        low, high = np.quantile(draws * np.exp(noises[:, None] * random.standard_normal(draws.shape)), (0.05, 0.95), axis=0)
        measured = truth * np.exp(random.normal(0, np.hypot(SEED, SCATTER), len(SHAPES)))
        inside.append(np.mean((low < measured) & (measured < high)))
    assert 0.85 <= np.mean(inside) <= 0.97


def test_what_was_measured_there_is_surer_and_the_same_seed_gives_the_same_draws() -> None:
    seen, _ = planted(3)
    draws, _ = told(seen, [4, 9])
    spread = np.log(draws).std(axis=0)
    assert max(spread[4], spread[9]) < np.median(spread)
    assert (draws == told(seen, [4, 9])[0]).all()


def test_without_a_long_training_the_level_there_is_open_and_the_order_is_not() -> None:
    seen, truth = planted(5)
    logs = np.log(told(seen, [])[0])
    apart = logs - logs.mean(axis=1, keepdims=True)
    assert logs.mean(axis=1).std() > 3 * apart.std(axis=0).mean()
    assert rank_correlation(logs.mean(axis=0).tolist(), truth.tolist()).tau > rank_correlation(seen[:, -2].tolist(), truth.tolist()).tau


@pytest.mark.parametrize("alike", [True, False])
def test_shapes_that_differ_in_nothing_or_in_what_no_factor_names_have_parts_of_their_own(alike: bool) -> None:
    shapes = SHAPES[:1] * 3
    bits = [2.0, 2.0, 2.0] if alike else [1.9, 2.0, 2.1]
    losses = [SeenLoss(shape, shape, at, loss * (1.1 if at < 1 else 1.0)) for shape, loss in enumerate(bits) for at in (0.5, 1.0)]
    draws, _ = LengthModel(shapes, losses, np.random.default_rng(0)).draw([1.0], 500, np.random.default_rng(0))
    means = draws[:, 0].mean(axis=0)
    assert np.ptp(means) < 0.01 if alike else means[0] < means[1] < means[2]
