"""Differences in pairs: of documents and of questions, and that their intervals hold nine times in ten."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.tasks.comparison import TextEstimate, TextScore, mean_difference
from analysis.tasks.task_result import paired_difference


def test_one_document_has_a_figure_and_no_interval() -> None:
    one, two = (TextScore(np.array([bits]), np.array([50.0])) for bits in (100.0, 110.0))
    assert (one.bits_per_byte.value, one.bits_per_byte.low, one.bits_per_byte.high) == (2.0, None, None)
    assert two.less(one).value == pytest.approx(0.2)


@pytest.mark.parametrize("documents", [8, 40])
def test_intervals_of_paired_documents_hold_the_true_difference(documents: int) -> None:
    """Documents of unequal length and difficulty, which both models share: the pairs take it out."""
    draw, held, narrower = np.random.default_rng(0), 0, 0
    for _ in range(1000):
        sizes = draw.lognormal(6, 0.7, documents)
        level = sizes * draw.normal(2.0, 0.3, documents)
        ours, theirs = (TextScore(level + sizes * draw.normal(more, 0.02, documents), sizes) for more in (0.05, 0.0))
        found, whole = ours.less(theirs), ours.bits_per_byte
        held += ends(found)[0] <= 0.05 <= ends(found)[1]
        narrower += np.ptp(ends(found)) < np.ptp(ends(whole)) / 3
    assert 0.85 < held / 1000 < 0.95
    assert narrower > 970


def test_the_mean_over_tasks_counts_each_alike_and_its_interval_holds() -> None:
    few, many = np.array([1.0, 0.0, 1.0, 1.0]), np.ones(400)
    assert mean_difference([(few, 1 - few), (many, many)]).value == pytest.approx(0.25)
    alone = mean_difference([(few, 1 - few)])
    pair = paired_difference(few, 1 - few)
    assert alone.high - alone.low == pytest.approx(pair.high - pair.low)
    draw, held = np.random.default_rng(1), 0
    for _ in range(1000):
        pairs = []
        for count, flips in ((200, 0.05), (300, 0.02), (100, 0.1)):
            theirs = (draw.random(count) < 0.5).astype(float)
            ours = np.where(draw.random(count) < flips, 0.0, theirs)
            pairs.append((ours, theirs))
        truth = -(0.05 + 0.02 + 0.1) / 3 / 2
        found = mean_difference(pairs)
        held += found.low <= truth <= found.high
    assert 0.85 < held / 1000 < 0.95


def ends(found: TextEstimate) -> tuple[float, float]:
    assert found.low is not None
    assert found.high is not None
    return found.low, found.high
