"""Losses by rounding of planted arms: intervals hold what was planted, and a pair is compared with its own noise."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.fidelity.rounding_loss import RoundedArm, RoundingAnswer, RoundingConclusion, compare_rounding
from analysis.records.training import Quality, RoundedQuality
from analysis.statistics.intervals import LEVEL
from analysis.terminal.rounding_table import rounding_table_text

PLANTED = {"base": 0.10, "same": 0.10, "less": 0.06, "base-aware": 0.03, "less-aware": 0.02}
"""Bits per byte that rounding costs each arm."""
AGAINST = {"base": None, "same": "base", "less": "base", "base-aware": "base", "less-aware": "less"}


def quality(plain: float, loss: float, error: float | None = 0.001) -> Quality:
    rounded = RoundedQuality(
        runtime="r", precision="int4", loss=1.0, bits_per_byte=plain + loss, next_token_accuracy=0.3, difference_error=error
    )
    return Quality(loss=1.0, bits_per_byte=plain, next_token_accuracy=0.3, tokens=10, rounded=rounded)


def planted(seeds: int, noise: float, generator: np.random.Generator) -> list[RoundedArm]:
    """Each seed is easier or harder by the same for all arms; pairs' differences have less noise than arms, as training half alike has."""
    ease, found = generator.normal(0, 0.05, seeds), []
    own = {name: generator.normal(0, noise, seeds) for name in PLANTED}
    for name, loss in PLANTED.items():
        aware = name.endswith("aware")
        qualities = {seed: quality(2.0 + ease[seed], loss + float(own[name][seed]) / (4 if aware else 1)) for seed in range(seeds)}
        found.append(RoundedArm(name=name, recipe="aware" if aware else "plain", against=AGAINST[name], qualities=qualities))
    return found


def test_intervals_hold_what_was_planted_as_often_as_they_say() -> None:
    generator, held = np.random.default_rng(0), dict.fromkeys(("loss", "shape", "pair"), 0)
    for _ in range(1000):
        found = {answer.arm: answer for answer in compare_rounding(planted(3, 0.01, generator))}
        for kind, interval, truth in (
            ("loss", found["less"].loss_interval, PLANTED["less"]),
            ("shape", found["less"].less_lost_interval, PLANTED["base"] - PLANTED["less"]),
            ("pair", found["base-aware"].less_lost_interval, PLANTED["base"] - PLANTED["base-aware"]),
        ):
            assert interval is not None
            held[kind] += interval[0] <= truth <= interval[1]
    for kind, count in held.items():
        assert count / 1000 == pytest.approx(LEVEL, abs=0.03), kind


def test_conclusions_follow_the_interval_of_the_difference() -> None:
    found = {answer.arm: answer.conclusion for answer in compare_rounding(planted(3, 0.002, np.random.default_rng(1)))}
    assert found == {
        "base": RoundingConclusion.BASELINE,
        "same": RoundingConclusion.CANNOT_TELL,
        "less": RoundingConclusion.LESS,
        "base-aware": RoundingConclusion.LESS,
        "less-aware": RoundingConclusion.LESS,
    }
    losses = {"base": 0.01, "arm": 0.05}
    arms = [
        RoundedArm(
            name=name,
            recipe="",
            against=None if name == "base" else "base",
            qualities={seed: quality(2.0, loss + place * seed / 1e4) for seed in (0, 1)},
        )
        for place, (name, loss) in enumerate(losses.items())
    ]
    assert compare_rounding(arms)[1].conclusion is RoundingConclusion.MORE


def test_the_documents_of_a_split_widen_the_interval_of_a_loss_and_cancel_in_differences() -> None:
    def answers(error: float | None) -> RoundingAnswer:
        arms = [
            RoundedArm(
                name=name,
                recipe="",
                against=against,
                qualities={seed: quality(2.0, loss + seed * 1e-4 * loss, error) for seed in (0, 1)},
            )
            for name, against, loss in (("base", None, 0.05), ("arm", "base", 0.03))
        ]
        return compare_rounding(arms)[1]

    def width(interval: tuple[float, float] | None) -> float:
        assert interval is not None
        return interval[1] - interval[0]

    sure, unsure = answers(None), answers(0.01)
    assert width(unsure.loss_interval) > 5 * width(sure.loss_interval)
    assert width(unsure.less_lost_interval) == width(sure.less_lost_interval)


def test_one_seed_has_no_interval_and_what_did_not_finish_no_number() -> None:
    one = {0: quality(2.0, 0.1)}
    arms = [
        RoundedArm(name="base", recipe="", against=None, qualities=one),
        RoundedArm(name="arm", recipe="", against="base", qualities=one),
        RoundedArm(name="none", recipe="", against="base", qualities={}),
    ]
    _, arm, none = compare_rounding(arms)
    assert (arm.less_lost, arm.less_lost_interval, arm.conclusion) == (0.0, None, RoundingConclusion.CANNOT_TELL)
    assert (none.loss, none.less_lost, none.saved, none.float32, none.seeds) == (None, None, None, None, 0)
    lines = rounding_table_text({("onnxruntime", "int4"): [arm, none]}).splitlines()
    assert lines[2] == "| int4 of onnxruntime | arm | 2.0000 | 0.1000 | base | +0.0000 | cannot tell | +0.0000 | 1 |"
    assert lines[3] == "|  | none | – | – | base | – | cannot tell | – | 0 |"
    assert none.as_dict()["conclusion"] == "cannot tell"
