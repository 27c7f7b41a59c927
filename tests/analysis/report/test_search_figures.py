"""The search as a whole: what its figures draw of the records."""

from __future__ import annotations

import pytest

from analysis.fronts.front import front_of
from analysis.fronts.membership import estimate_membership
from analysis.objectives.problem import problem_of
from analysis.report.search_figures import best_so_far, hypervolumes, parallel_axes, search_figures
from tests.support.sample_study import sample_finals, sample_records

RECORDS = sample_records()
FRONT = front_of(RECORDS, sample_finals(RECORDS))
FIGURES = search_figures(RECORDS, FRONT, estimate_membership(FRONT))


@pytest.mark.parametrize("names", [["bits_per_byte", "total_ms"], ["bits_per_byte", "total_ms", "kv_cache_bytes"]])
def test_best_so_far_never_falls_and_ends_at_the_front(names: list[str]) -> None:
    front = front_of(RECORDS, sample_finals(RECORDS), problem_of(names))
    found = [*hypervolumes(RECORDS, front).values()]
    assert found == sorted(found)
    assert len(found) == len(RECORDS)
    assert found[-1] == pytest.approx(front.hypervolume)


@pytest.mark.parametrize("count", [0, 1, 2, 9, len(RECORDS)])
def test_the_axis_of_hypervolumes_has_a_width_within_all_and_nothing(count: int) -> None:
    records = RECORDS[:count]
    figure = best_so_far(records, FRONT)
    shown, drawn = figure.layout.yaxis.range, figure.data[0].y
    if not count:
        assert shown is None
        return
    assert 0 <= shown[0] <= min(drawn) <= max(drawn) <= shown[1] <= 1
    assert shown[1] - shown[0] >= 0.01


def test_parallel_coordinates_have_each_dimension_that_varies_and_each_objective() -> None:
    shapes = [record for record in RECORDS if record.number in FRONT.points]
    axes = parallel_axes(shapes, FRONT)
    assert {"hidden layers", "hidden size", "repeats", "bits per byte", "latency"} <= set(axes)
    assert all(len(set(values)) > 1 for values in axes.values())
    assert axes["latency"] == [FRONT.points[record.number].values[1] for record in shapes]
    lines = FIGURES["parallel"].data
    assert sum(list(trace.x).count(None) for trace in lines) == len(shapes)
    assert all(0 <= y <= 1 for trace in lines for y in trace.y if y is not None)


def test_cold_starts_are_load_and_first_prefill_of_every_timed_shape() -> None:
    drawn = sorted(y for trace in FIGURES["cold-start"].data for y in trace.y)
    timed = [r.latency for r in RECORDS if r.number in FRONT.points and r.latency is not None]
    assert drawn == pytest.approx(sorted((x.load_ms or 0) + (x.first_prefill_ms or 0) for x in timed), abs=1e-3)


def test_both_losses_of_the_front_are_drawn_and_nothing_of_an_empty_study() -> None:
    assert [trace.name for trace in FIGURES["training-loss"].data] == ["training loss", "validation loss"]
    assert search_figures([], front_of([]), estimate_membership(front_of([]))) == {}
