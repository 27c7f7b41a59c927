"""Effects of combined choices: right on planted truth, with intervals that hold as often as they say."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from analysis.fidelity.factorial import factor_differences
from analysis.statistics.intervals import LEVEL

FACTORS = ("gated", "deep", "tied")
GAINS = {"gated": 0.03, "deep": -0.02, "tied": 0.0}
TOGETHER = 0.01
"""What `gated` gains more where `deep` is there too."""


def planted(noise: float, seeds: int, generator: np.random.Generator) -> dict[str, dict[int, float]]:
    """Losses of the eight combinations; each seed is easier or harder for all."""
    ease, losses = generator.normal(0, 0.05, seeds), {}
    for made in product((0, 1), repeat=3):
        gain = sum(on * value for on, value in zip(made, GAINS.values(), strict=True)) + TOGETHER * made[0] * made[1]
        name = "+".join(factor for factor, on in zip(FACTORS, made, strict=True) if on) or "start"
        losses[name] = {seed: float(2 - gain + ease[seed] + generator.normal(0, noise)) for seed in range(seeds)}
    return losses


def test_without_noise_the_effects_are_those_planted() -> None:
    found = {row.arm: row.gain for row in factor_differences(planted(0, 2, np.random.default_rng(0)), FACTORS, "start", {})}
    assert found == pytest.approx(
        {
            "gated": 0.03 + TOGETHER / 2,
            "deep": -0.02 + TOGETHER / 2,
            "tied": 0.0,
            "gated with deep": TOGETHER,
            "gated with tied": 0.0,
            "deep with tied": 0.0,
        },
        abs=1e-12,
    )


@pytest.mark.parametrize("place", [1, 3])
def test_intervals_of_gains_and_of_pairs_hold_as_often_as_they_say(place: int) -> None:
    generator, held = np.random.default_rng(4), 0
    truth = (0.03 + TOGETHER / 2, -0.02 + TOGETHER / 2, 0.0, TOGETHER)[place]
    for _ in range(1500):
        found = factor_differences(planted(0.01, 2, generator), FACTORS, "start", {})[place]
        assert found.interval is not None
        held += found.interval[0] <= truth <= found.interval[1]
    assert held / 1500 == pytest.approx(LEVEL, abs=0.025)


def test_a_choice_is_held_against_the_published_step_that_made_it() -> None:
    figures = {"125M": {"start": 42.6, "gated": 43.9, "gated+deep": 44.8, "gated+deep+tied": 44.6}, "350M": {"start": 47.4, "gated": 48.7}}
    found = factor_differences(planted(0.001, 2, np.random.default_rng(1)), FACTORS, "start", figures)
    published = {row.arm: dict(row.published) for row in found}
    assert published["gated"] == {"125M": 1.3, "350M": 1.3}
    assert published["deep"] == {"125M": 0.9}
    assert published["tied"] == {"125M": -0.2}
    assert published["gated with deep"] == {}
    assert found[0].conclusion == "agrees"


def test_one_seed_has_no_interval_and_no_common_seed_has_no_gain() -> None:
    losses = planted(0.01, 1, np.random.default_rng(2))
    assert factor_differences(losses, FACTORS, "start", {})[0].interval is None
    losses["gated"] = {}
    assert [row.gain for row in factor_differences(losses, FACTORS, "start", {})] == [None] * 6
