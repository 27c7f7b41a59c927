"""Numbers and units as people write them."""

from __future__ import annotations

import pytest

from analysis.tables.numbers import has_decimal_commas, has_decimal_points, parse_number, plain_numbers, unit_factor

ONE_AND_A_HALF_MILLION = (
    "1500000",
    "1,500,000",
    "1 500 000",
    "1_500_000",
    "1'500'000",
    "1.5e6",
    "1.5E+6",
    "1.5M",
    "1.5 m",
    "1500k",
    "1.5x10^6",
    "1.5 × 10^6",
    "1.500.000",
    " 1500000.0 ",
)


@pytest.mark.parametrize("text", ONE_AND_A_HALF_MILLION)
def test_a_number_is_read_however_it_is_written(text: str) -> None:
    number, unit = parse_number(text)
    factor = unit_factor(unit, {})
    assert factor is not None
    assert number * factor == 1.5e6


@pytest.mark.parametrize("text", ["", " ", "n/a", "~5", "1,2", "1,2,3", "1-2", "1.2.3", "five", "12e", "--1", "1,5000", "[1]", "1 2"])
def test_what_is_no_number_is_none(text: str) -> None:
    try:
        number, unit = parse_number(text)
    except ValueError:
        return
    assert unit_factor(unit, {"nats": 1.0}) is None, (number, unit)


def test_a_comma_is_a_decimal_one_where_some_cell_proves_it() -> None:
    assert has_decimal_commas(["1,000", "6,67887"])
    assert has_decimal_commas(["0,123"])
    assert not has_decimal_commas(["1,000", "1,500,000", None, "", "a"])
    assert [parse_number(text, decimal_comma=True)[0] for text in ("6,5", "1.500.000", "1.500,25", "7", "1.5M")] == [
        6.5,
        1.5e6,
        1500.25,
        7,
        1.5,
    ]


@pytest.mark.parametrize("sign", ["", "-", "+", "\N{MINUS SIGN}"])
@pytest.mark.parametrize(("digits", "value"), [("0,352", 0.352), ("6,67887", 6.67887), ("12,5", 12.5), ("1234,567", 1234.567)])
@pytest.mark.parametrize("around", ["", " "])
def test_a_decimal_comma_is_one_after_every_sign(sign: str, digits: str, value: float, around: str) -> None:
    text, signed = f"{around}{sign}{digits}{around}", -value if sign in ("-", "\N{MINUS SIGN}") else value
    assert has_decimal_commas([text])
    assert has_decimal_points([text.replace(",", ".")])
    assert not has_decimal_points([text, "1.000", None, "a", ""])
    assert parse_number(text, decimal_comma=True) == (signed, "")
    assert plain_numbers([text, "3"], may_have_decimal_commas=True) == [repr(signed), "3"]


@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        ("M", 1e6),
        ("in B", 1e9),
        ("billions", 1e9),
        ("B tokens", 1e9),
        ("mtokens", 1e6),
        ("x1e6", 1e6),
        ("10^9", 1e9),
        ("1e3", 1e3),
        ("PF-days", 8.64e19),
        ("EFLOPs", 1e18),
        ("GB", None),
        ("%", None),
        ("nats", None),
    ],
)
def test_units_and_scales_multiply(unit: str, factor: float | None) -> None:
    assert unit_factor(unit, {"tokens": 1.0, "flops": 1.0, "pf-days": 8.64e19}) == factor


def test_a_column_of_numbers_is_told_from_lists() -> None:
    assert plain_numbers(["1,024", "589,824", ""], may_have_decimal_commas=False) == ["1024", "589824", ""]
    assert plain_numbers(["32k", "1.5M"], may_have_decimal_commas=False) == ["32000", "1500000"]
    assert plain_numbers(["12,5", "3"], may_have_decimal_commas=True) == ["12.5", "3"]
    for lists in (["128,256", "512,256"], ["4-8-12", "4"], ["4, 8", "8, 8"], ["128 256", "512 512"], ["4bit", "8bit"], ["4,8", "8,8"]):
        assert plain_numbers(lists, may_have_decimal_commas=False) == lists
