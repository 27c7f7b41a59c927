"""What is expected of a seed's noise: what was measured near, and the usual expectation where nothing was."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.statistics.noise_prior import NOISE_DOUBT, NOISE_SHARE, USUAL_NOISE, expected_noise
from analysis.statistics.noise_rows import NOISE_ROWS, NoiseRow
from analysis.statistics.seed_noise import draw_true_qualities, estimate_seed_noise
from benchmarks import noise_rows


def test_the_table_is_what_the_results_say() -> None:
    assert tuple(noise_rows.rows()) == NOISE_ROWS
    assert noise_rows.module(noise_rows.rows()) == noise_rows.ROWS_FILE.read_text(encoding="utf-8")


@pytest.mark.parametrize("row", NOISE_ROWS, ids=lambda row: f"{row.optimizer}-{row.tokens}")
def test_where_it_was_measured_the_expectation_is_between_that_and_the_usual_one(row: NoiseRow) -> None:
    found = expected_noise(row.optimizer, row.parameters, row.tokens)
    near = [other.share for other in NOISE_ROWS if other.optimizer == row.optimizer]
    assert min(*near, NOISE_SHARE) <= found.share <= max(*near, NOISE_SHARE)
    assert found.doubt == NOISE_DOUBT, "another recipe at this size and length may have any noise"
    assert found.is_near


def test_optimizers_differ_and_far_from_what_was_measured_nothing_is_known() -> None:
    adamw, muon = (expected_noise(optimizer, 250_000, 170_000) for optimizer in ("adamw", "muon"))
    assert adamw.share > 1.5 * muon.share
    for far in (expected_noise("muon", 1e9, 1e10), expected_noise("adamw", 250_000, 1e11)):
        assert far.share == pytest.approx(NOISE_SHARE, rel=0.02)
        assert not far.is_near
    for optimizer, size, tokens in (("muon", None, 1e5), ("muon", 1e5, None)):
        assert expected_noise(optimizer, size, tokens) == USUAL_NOISE
    assert expected_noise("muon", 1e5, 1e5, ()) == USUAL_NOISE


def test_more_degrees_of_freedom_and_more_rows_move_the_expectation_more() -> None:
    few, many = (expected_noise("muon", 1e6, 1e6, (NoiseRow("muon", 10**6, 10**6, 0.004, freedom, ""),)) for freedom in (1, 100))
    assert many.share < few.share < NOISE_SHARE
    high = tuple(NoiseRow("muon", 10**6, tokens, 0.015, 12, "") for tokens in (400_000, 700_000, 10**6, 1_500_000))
    one, four = (expected_noise("muon", 1e6, 1e6, rows) for rows in (high[:1], high))
    assert four.share > one.share


def test_what_is_expected_moves_intervals_until_replicates_speak() -> None:
    low, high = (expected_noise("muon", 1e6, 1e6, (NoiseRow("muon", 10**6, 10**6, share, 50, ""),)) for share in (0.002, 0.02))
    alone = [[2.0 + 0.01 * place] for place in range(12)]
    again = [[value, value + 0.005 * (-1) ** place] for place, (value,) in enumerate(alone * 3)]

    def ratio(seeds: list[list[float]]) -> float:
        along = np.linspace(0, 1, len(seeds))
        small, large = (draw_true_qualities(seeds, along, np.random.default_rng(0), 500, expected)[1] for expected in (low, high))
        return float(np.median(large) / np.median(small))

    assert ratio(alone) > 1.6
    assert ratio(again) < 1.3
    assert estimate_seed_noise(alone, high).size > estimate_seed_noise(alone, low).size
