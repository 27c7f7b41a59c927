"""Sizes as people write them become numbers in the unit that a name ends in."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest

from search_space.sizes import BYTE_UNITS, COUNT_UNITS, MILLISECOND_UNITS, SECOND_UNITS, written_number
from tests.support.bad_studies import values
from trials.study.load_study import parse_study


@pytest.mark.parametrize(
    ("name", "multiples"),
    [("tokens", COUNT_UNITS), ("limit_bytes", BYTE_UNITS), ("deadline_seconds", SECOND_UNITS), ("total_ms", MILLISECOND_UNITS)],
)
def test_every_unit_multiplies_a_number_and_no_other_does(name: str, multiples: dict[str, int | Decimal]) -> None:
    for number in (1, 2.5, 32):
        for unit, factor in multiples.items():
            for gap in ("", " "):
                assert written_number(f"{number}{gap}{unit}", name) == pytest.approx(number * float(factor), rel=1e-12)
    others = ({*COUNT_UNITS, *BYTE_UNITS, *SECOND_UNITS, *MILLISECOND_UNITS} | {"x", "MM", "tokens"}) - {*multiples}
    assert {unit: written_number(f"2{unit}", name) for unit in others} == dict.fromkeys(others)


@pytest.mark.parametrize(
    ("text", "number"),
    [("1e6", 1_000_000), ("1_000", 1000), ("1,000,000", 1_000_000), ("0.1", 0.1), (".5", 0.5), ("-3k", -3000), ("1e999999999", math.inf)],
)
def test_numbers_without_a_unit_are_read_too(text: str, number: float) -> None:
    assert written_number(text) == number


@pytest.mark.parametrize("text", ["", "k", "1,00", "0x10", "1e", "1 2", "five", "1..2", "--1"])
def test_what_is_no_number_is_none(text: str) -> None:
    assert written_number(text) is None


def test_a_study_may_have_sizes_wherever_it_counts() -> None:
    study = parse_study(
        values(
            budget={"parameters": "0.1M"}, space__vocab_size="0.3k", proxy__tokens="20k", workers__deadline_seconds="2h",
            limits={"peak_memory_bytes": "2.5GB", "total_ms": "3s"}, corpus={"dataset": "./text", "limit_bytes": "1MiB"},
        )
    )  # fmt: skip
    assert study.search_space.budget.limits[0].value == 100_000
    assert study.search_space.choices("vocab_size") == (300,)
    assert (study.proxy.tokens, study.workers.deadline_seconds, study.corpus.limit_bytes) == (20_000, 7200.0, 1 << 20)
    assert study.problem.limits == {"peak_memory_bytes": 2.5e9, "total_ms": 3000.0}
