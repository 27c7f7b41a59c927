"""Accuracies, intervals and differences of planted log-likelihoods."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.tasks.task_result import Scored, paired_difference, rights, share, task_result


def question(*values: float, answer: int = 0, lengths: tuple[int, ...] = (), likeliest: bool = False, group: str = "") -> Scored:
    return Scored(values, lengths or (4,) * len(values), answer, 8, likeliest, group)


def test_the_likeliest_option_is_the_answer_and_length_counts_where_it_is_asked_for() -> None:
    scored = [question(-8.0, -6.0, lengths=(8, 4)), question(-1.0, -2.0, answer=1), question(-1.0, -2.0)]
    found = task_result("t", scored)
    assert found.accuracy.value == pytest.approx(1 / 3)
    assert found.accuracy_normalised is not None
    assert found.accuracy_normalised.value == pytest.approx(2 / 3)
    assert rights(scored).tolist() == [0, 0, 1]
    assert found.chance == 0.5
    assert found.bits_per_byte == pytest.approx((8 + 2 + 1) / np.log(2) / 24)


def test_one_option_must_be_what_the_model_writes_and_chance_is_nothing() -> None:
    found = task_result("lambada", [question(-1.0, likeliest=True), question(-1.0), question(-1.0), question(-1.0)])
    assert (found.accuracy.value, found.accuracy_normalised, found.chance, found.at_chance) == (0.25, None, 0.0, False)


def test_parts_are_told_by_themselves_and_different_numbers_of_options_have_their_chance() -> None:
    found = task_result("t", [question(-1.0, -2.0, group="a"), question(-3.0, -2.0, -4.0, -5.0, group="b")])
    assert found.groups == {"a": 1.0, "b": 0.0}
    assert found.chance == pytest.approx(3 / 8)


@pytest.mark.parametrize(("right", "count", "low", "high"), [(0, 10, 0.0, 0.2130), (5, 10, 0.2690, 0.7310), (80, 100, 0.7262, 0.8576)])
def test_wilsons_interval(right: int, count: int, low: float, high: float) -> None:
    """By hand from the formula with z = 1.6449."""
    found = share(np.array([1.0] * right + [0.0] * (count - right)))
    assert found.low == pytest.approx(low, abs=5e-4)
    assert found.high == pytest.approx(high, abs=5e-4)


def test_intervals_hold_nine_of_ten_planted_shares_and_differences() -> None:
    draw, shares, differences = np.random.default_rng(0), 0, 0
    for _ in range(1000):
        easy = draw.random(200)
        ours, theirs = (draw.random((2, 200)) < np.clip(easy + np.array([[0.1], [0.0]]), 0, 1)).astype(float)
        found, apart = share(theirs), paired_difference(ours, theirs)
        shares += found.low <= 0.5 <= found.high
        differences += apart.low <= 0.095 <= apart.high  # 0.1 but for the easiest tenth: 0.1 - 0.1 ** 2 / 2
    assert 0.87 < shares / 1000 <= 0.97  # the questions' own spread is less than that of free draws
    assert 0.87 < differences / 1000 < 0.93


def test_models_that_agreed_on_a_few_questions_are_not_called_equal() -> None:
    few, many = (paired_difference(np.ones(count), np.ones(count)) for count in (10, 1000))
    assert few.value == many.value == 0
    assert -few.low == few.high > 0.1
    assert 0 < many.high < 0.01


def test_below_chance_is_not_at_chance() -> None:
    wrong = [question(-1.0, -2.0, -3.0, -4.0, answer=3)] * 300 + [question(-1.0, -2.0, -3.0, -4.0)] * 30
    assert not task_result("t", wrong).at_chance


def test_a_task_at_chance_is_called_so() -> None:
    draw = np.random.default_rng(2)
    guesses = [question(*draw.normal(size=2), answer=int(draw.integers(2))) for _ in range(400)]
    assert task_result("t", guesses).at_chance
    assert not task_result("t", [question(-1.0, -2.0)] * 400).at_chance
