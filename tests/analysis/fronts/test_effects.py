"""What moves a number from shape to shape: planted effects are found, and what shapes do not tell apart is not said."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest

from analysis.fronts.effects import SHAPE_FACTORS, Effect, effects
from search_space.architecture import Architecture
from search_space.sharing import Sharing

SHAPE = Architecture(
    vocab_size=512, hidden_size=64, num_unique_layers=1, num_attention_heads=4, num_key_value_heads=4, head_dim=16, intermediate_size=128
)
TWICE = Sharing("immediate", 2)


def shapes(random: np.random.Generator, count: int) -> list[Architecture]:
    found = []
    for _ in range(count):
        heads = int(random.choice([2, 4, 8]))
        found.append(
            replace(
                SHAPE,
                num_unique_layers=int(random.integers(1, 7)),
                num_attention_heads=heads,
                num_key_value_heads=int(random.choice([heads, heads // 2])),
                sharing=TWICE if random.random() < 0.5 else SHAPE.sharing,
            )
        )
    return found


PLANTED = {"twice the stored blocks": 0.01, "twice the query heads": -0.02, "twice the key-value heads": 0.0, "each block run twice": -0.01}


def values(tried: list[Architecture], random: np.random.Generator, noise: float) -> list[float]:
    slopes = [(factor.doublings, math.log1p(PLANTED[factor.name])) for factor in SHAPE_FACTORS]
    return [2 * math.exp(sum(slope * of(shape) for of, slope in slopes) + random.normal(0, noise)) for shape in tried]


@pytest.mark.parametrize("chance", [0.5, 0.506, 0.9, 0.94, 0.9449, 0.945, 0.947, 0.94999, 0.95, 0.9501, 0.99, 0.999])
def test_no_side_is_stated_at_a_chance_that_reads_as_one_from_which_it_is(chance: float) -> None:
    for lowers in (chance, 1 - chance):
        said = Effect(SHAPE_FACTORS[0], -0.03, -0.06, 0.01, lowers).verdict
        [percent] = re.findall(r"(\d+)%", said)
        assert said.startswith("cannot tell") == (int(percent) < 95), said


def test_without_noise_the_planted_effects_are_found_exactly() -> None:
    random = np.random.default_rng(0)
    tried = shapes(random, 14)
    found = effects(tried, values(tried, random, 0))
    assert {effect.factor.name: effect.change for effect in found} == pytest.approx(PLANTED, abs=1e-9)


def test_nine_of_ten_intervals_hold_what_was_planted_and_few_signs_are_wrong() -> None:
    held, wrong, said = [], 0, 0
    for seed in range(300):
        random = np.random.default_rng(seed)
        tried = shapes(random, 14)
        for effect in effects(tried, values(tried, random, 0.01)):
            truth = PLANTED[effect.factor.name]
            held.append(effect.low <= truth <= effect.high)
            if effect.better is not None and truth:
                said += 1
                wrong += effect.better != (effect.factor.more if truth < 0 else effect.factor.fewer)
    assert np.mean(held) == pytest.approx(0.9, abs=0.03)
    assert said > 300
    assert wrong < 0.02 * said


def test_what_shapes_do_not_differ_in_or_only_together_is_not_told() -> None:
    random = np.random.default_rng(1)
    tried = [replace(shape, sharing=SHAPE.sharing, layer_types=SHAPE.layer_types[:1]) for shape in shapes(random, 12)]
    assert [effect.factor.name for effect in effects(tried, values(tried, random, 0.01))] == [factor.name for factor in SHAPE_FACTORS[:3]]
    together = [
        replace(SHAPE, num_unique_layers=2**place, num_attention_heads=2 ** (4 - place), num_key_value_heads=2 ** (4 - place))
        for place in (0, 1, 2, 3, 0, 1, 2, 3)
    ]
    assert [effect.factor.name for effect in effects(together, values(together, random, 0.01))] == ["twice the stored blocks"]


@pytest.mark.parametrize("count", [0, 1, 4, 7])
def test_of_too_few_shapes_nothing_is_said(count: int) -> None:
    random = np.random.default_rng(2)
    tried = shapes(random, count)
    found = effects(tried, values(tried, random, 0.01))
    assert len(found) <= max(count - 4, 0)


@pytest.mark.parametrize(
    ("change", "low", "high", "lowers", "said"),
    [
        (-0.02, -0.03, -0.01, 0.999, "many, >99% sure"),
        (0.02, 0.001, 0.04, 0.04, "few, 96% sure"),
        (-0.005, -0.009, -0.001, 0.97, "many, 97% sure, by less than 1%"),
        (0.001, -0.004, 0.006, 0.4, "hardly matters, less than 1%"),
        (0.01, -0.004, 0.024, 0.12, "cannot tell, 88% for few"),
    ],
)
def test_a_verdict_says_which_way_how_surely_or_that_it_cannot_be_told(
    change: float, low: float, high: float, lowers: float, said: str
) -> None:
    heads = next(factor for factor in SHAPE_FACTORS if factor.name == "twice the query heads")
    assert Effect(heads, change, low, high, lowers).verdict == said
