from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kendalltau

from analysis.statistics.rank_correlation import rank_correlation


def test_equal_orders_agree_and_opposite_ones_disagree() -> None:
    values = [0.3, 0.1, 0.7, 0.5, 0.9]
    assert rank_correlation(values, [value**3 for value in values]).tau == pytest.approx(1)
    assert rank_correlation(values, [-value for value in values]).tau == pytest.approx(-1)


def test_one_exchanged_pair_counts_as_one_pair_of_all() -> None:
    assert rank_correlation([1, 2, 3, 4, 5], [2, 1, 3, 4, 5]).tau == pytest.approx((9 - 1) / 10)


def test_tau_is_scipys() -> None:
    a, b = np.random.default_rng(1).integers(0, 6, (2, 30)).tolist()
    assert rank_correlation(a, b).tau == pytest.approx(kendalltau(a, b).statistic)


def test_ties_are_half_known_as_tau_b_has_them() -> None:
    assert rank_correlation([1, 1, 2], [1, 2, 3]).tau == pytest.approx(2 / np.sqrt(2 * 3))


def test_the_interval_covers_what_other_things_would_have_given_and_narrows_with_their_number() -> None:
    random = np.random.default_rng(0)
    truth = random.normal(size=600).tolist()
    noisy = [value + error for value, error in zip(truth, random.normal(size=600), strict=True)]
    tau = rank_correlation(truth, noisy).tau
    few = [rank_correlation(truth[i : i + 15], noisy[i : i + 15]) for i in range(0, 600, 15)]
    assert np.mean([one.low <= tau <= one.high for one in few]) >= 0.85
    some = rank_correlation(truth[:150], noisy[:150])
    assert some.high - some.low < np.mean([one.high - one.low for one in few]) / 2
    assert rank_correlation(truth[:15], noisy[:15]) == few[0]


def test_where_nothing_differs_there_is_no_order_to_agree_on() -> None:
    nothing = rank_correlation([1, 1, 1], [1, 2, 3])
    assert np.isnan([nothing.tau, nothing.low, nothing.high]).all()


def test_too_few_or_unequal_numbers_of_things_are_refused() -> None:
    with pytest.raises(ValueError, match="found 2 and 2"):
        rank_correlation([1, 2], [1, 2])
    with pytest.raises(ValueError, match="found 3 and 4"):
        rank_correlation([1, 2, 3], [1, 2, 3, 4])
