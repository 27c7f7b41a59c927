"""The benchmark of times beyond a table's sizes reads what `archfront profile-device` leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.latency.device_table import Row, append_row, read_table
from benchmarks.latency_law import beyond_errors, judge_own
from search_space.cost import parameters
from tests.support.planted_device import planted_latency, planted_space
from trials.latency.device_profile import choose_shapes
from trials.study.latency_spec import parse_latency


@pytest.mark.more
def test_a_small_profile_is_cut_in_half_and_judged_beyond(tmp_path: Path) -> None:
    path = tmp_path / "planted.jsonl"
    for shape in choose_shapes(planted_space(1_000_000), parse_latency({}), 24, 8):
        append_row(path, Row(architecture=shape.architecture, role=shape.role, latency=planted_latency(shape.architecture)))
    table = read_table(path)
    head, *cuts, whole = judge_own(table)
    assert "32 shapes of " in head
    assert [line.split(":")[0] for line in cuts] == [
        "  fitted below the median size, 17 shapes",
        "  fitted below the half of the largest, 22 shapes",
    ]
    assert all("; plain counts " in line for line in cuts)
    assert whole.startswith("  fitted to all sizes: median error ")
    sizes = sorted(parameters(row.architecture) for row in table.rows)
    small = [row for row in table.rows if parameters(row.architecture) <= sizes[-1] / 2]
    found = beyond_errors(table, small, [row for row in table.rows if row not in small])
    assert found.median_error < 0.08, "the goal beyond the fitted half"
    assert (found.coverage or 0) >= 0.85


def test_a_table_of_one_size_is_too_small_to_be_cut(tmp_path: Path) -> None:
    path = tmp_path / "planted.jsonl"
    for _, shape in list(planted_space(1_000_000).shapes(0, 12)):
        append_row(path, Row(architecture=shape, role="fit", latency=planted_latency(shape)))
    assert any("too few to tell" in line for line in judge_own(read_table(path)))
