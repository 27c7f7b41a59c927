"""The standard error of a loss by documents, against planted documents."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.statistics.cluster_error import half_width, ratio_error


def test_nine_of_ten_intervals_hold_the_loss_of_all_documents() -> None:
    random = np.random.default_rng(0)
    held, held_by_words = 0, 0
    for _ in range(400):
        sizes = random.integers(20, 200, 40)
        units = np.repeat(np.arange(40), sizes)
        nats = 2.0 + 0.3 * random.standard_normal(40)[units] + random.standard_normal(len(units))
        count, error = ratio_error(nats, np.ones(len(units)), units)
        assert count == 40
        assert error is not None
        held += abs(nats.mean() - 2.0) < half_width(error, count)
        held_by_words += abs(nats.mean() - 2.0) < 1.645 * nats.std() / np.sqrt(len(nats))
    assert 0.86 < held / 400 < 0.94
    assert held_by_words / 400 < 0.6


def test_of_equal_documents_it_is_that_of_their_means() -> None:
    means = np.array([1.0, 1.4, 1.1, 0.9])
    _, error = ratio_error(np.repeat(means, 5), np.ones(20), np.repeat([7, 3, 5, 1], 5))
    assert error == pytest.approx(means.std(ddof=1) / 2)


def test_one_document_leaves_it_open() -> None:
    assert ratio_error(np.ones(9), np.ones(9), np.zeros(9, np.int64)) == (1, None)
