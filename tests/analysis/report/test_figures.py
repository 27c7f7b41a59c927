from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest

from analysis.fronts.front import front_of
from analysis.objectives.problem import problem_of
from analysis.records.record import Kind, Outcome, TrialRecord
from analysis.report.figures import curves_figure, figure_page, front_figure
from analysis.report.theme import log_ticks, wants_log
from tests.support.sample_study import sample_finals, sample_records

RECORDS = sample_records()
FINALS = sample_finals(RECORDS)


FRONT = front_of(RECORDS, FINALS)


def alone(records: Sequence[TrialRecord]) -> Any:
    """The front's figure of these records."""
    return front_figure(records, front_of(records))


def both(records: Sequence[TrialRecord]) -> tuple[Any, Any]:
    """The front's figure and that of the curves."""
    return alone(records), curves_figure(records, front_of(records))


def drawn(figure: Any) -> list[tuple[float, float]]:
    """Every point of a figure, lines without markers left out."""
    return [point for trace in figure.data if "markers" in trace.mode for point in zip(trace.x, trace.y, strict=True)]


@pytest.mark.parametrize("quality", ["bits_per_byte", "next_token_accuracy"])
def test_every_finished_trial_is_drawn_once_and_no_other_is(quality: str) -> None:
    front = front_of(RECORDS, FINALS, problem_of([quality, "total_ms"]))
    assert sorted(drawn(front_figure(RECORDS, front))) == sorted((point.values[1], point.values[0]) for point in front.points.values())


def test_the_front_is_a_step_line_through_its_members() -> None:
    front = FRONT
    [line] = [trace for trace in front_figure(RECORDS, FRONT).data if trace.name == "front"]
    assert line.line.shape == "hv"
    assert list(line.x) == [front.points[number].values[1] for number in front.members]


def test_error_bars_reach_from_p10_to_p90() -> None:
    front = front_of(RECORDS, FINALS)
    [members] = [trace for trace in front_figure(RECORDS, FRONT).data if trace.name == "on the front"]
    spreads = {point.values[1]: point.latency.total_ms for point in front.points.values() if point.latency is not None}
    for x, above, below in zip(members.x, members.error_x.array, members.error_x.arrayminus, strict=True):
        assert (x - below, x + above) == pytest.approx((spreads[x].p10, spreads[x].p90))


def test_references_are_told_apart_by_name_and_symbol() -> None:
    references = [trace for trace in front_figure(RECORDS, FRONT).data if (trace.name or "").startswith("reference")]
    assert [trace.text[0] for trace in references] == ["deep-thin", "wide-shallow"]
    assert len({trace.marker.symbol for trace in references}) == 2


def test_the_hover_names_the_shape_and_all_its_numbers() -> None:
    texts = [text for trace in front_figure(RECORDS, FRONT).data for text in trace.hovertext or ()]
    [text] = [text for text in texts if text.startswith("<b>#10 ")]
    for part in (
        "3x64 4/4x16 f292 immediate x2", "250,560 parameters", "6 layers (3 stored), hidden size 64",
        "4 heads, 4 key-value heads, head dim 16",
        "swiglu MLP of 292, immediate sharing of the block x2", "24.1 ms (p10 to p90: 23.", "in it 24.0 ms",
        "2.071 bits per byte, 43.8% next-token accuracy", "on the front, most accurate",
    ):  # fmt: skip
        assert part in text


def test_the_knee_is_named_where_plotly_looks_for_it() -> None:
    figure = front_figure(RECORDS, FRONT)
    front = front_of(RECORDS, FINALS)
    assert front.knee is not None
    [annotation] = figure.layout.annotations
    assert annotation.text == f"knee #{front.knee}"
    assert figure.layout.xaxis.type == "log"
    assert 10**annotation.x == pytest.approx(front.points[front.knee].values[1])


def test_a_narrow_span_of_latencies_has_a_linear_axis() -> None:
    close = [record for record in RECORDS if record.latency and 20 < record.latency.total_ms.median < 40]
    figure = alone(close)
    assert figure.layout.xaxis.type is None
    assert wants_log([1, 4])
    assert not wants_log([1, 2])


@pytest.mark.parametrize(("low", "high"), [(3.2, 11.0), (6.8, 74.0), (0.02, 900.0)])
def test_a_logarithmic_axis_has_enough_round_numbers(low: float, high: float) -> None:
    inside = [tick for tick in log_ticks([low, high]) if low <= tick <= high]
    assert 4 <= len(inside) <= 16


def test_the_front_says_how_many_trials_it_leaves_out() -> None:
    assert "7 unfinished trials not shown" in alone(RECORDS).layout.title.subtitle.text
    assert "not shown" not in alone([record for record in RECORDS if record.finished]).layout.title.subtitle.text


def test_a_stopped_trial_keeps_its_own_look_among_the_curves() -> None:
    figure = curves_figure(RECORDS, FRONT)
    [unfinished] = [trace for trace in figure.data if trace.name == "did not finish"]
    assert (unfinished.line.dash, unfinished.marker.symbol) == ("dot", "x")
    [stopped] = [trace for trace in figure.data if trace.name == "stopped early"]
    assert (stopped.line.dash, stopped.marker.symbol) == ("dot", "circle")
    others = [trace for trace in figure.data if trace.name not in ("did not finish", "stopped early")]
    assert all(trace.line.dash == "solid" for trace in others)
    assert any("stopped early" in text for text in stopped.hovertext)
    assert figure.layout.title.subtitle.text == "4 trials ended before an evaluation"


def test_every_evaluation_of_every_trial_is_on_the_curves() -> None:
    wanted = [(p.tokens, p.validation_loss) for r in RECORDS if r.training for p in r.training.curve if p.validation_loss is not None]
    assert sorted(point for point in drawn(curves_figure(RECORDS, FRONT)) if point[0] is not None) == sorted(wanted)


def test_an_unfinished_reference_is_not_drawn_as_a_reference() -> None:
    stopped = dataclasses.replace(RECORDS[0], outcome=Outcome.STOPPED, reason="ended by the scheduler")
    for figure in both([stopped, *RECORDS[1:]]):
        assert not any("deep-thin" in trace.name for trace in figure.data)


@pytest.mark.parametrize("records", [[], RECORDS[13:14], RECORDS[23:24]], ids=["none", "failed", "timed out"])
def test_with_nothing_finished_the_figures_say_so(records: list[Any]) -> None:
    for figure in both(records):
        assert figure.layout.annotations[0].text == "Nothing to draw yet"


def test_one_trial_makes_a_figure_without_a_knee() -> None:
    figure = alone(RECORDS[2:3])
    assert len(drawn(figure)) == 1
    assert not figure.layout.annotations


def test_names_are_escaped() -> None:
    named = dataclasses.replace(RECORDS[2], kind=Kind.REFERENCE, name="<img src=x>")
    for figure in both([named]):
        assert "<img" not in figure.to_json().replace("\\u003c", "<")


def test_a_page_of_its_own_neither_loads_nor_sends_anything() -> None:
    page = figure_page(front_figure(RECORDS, FRONT))
    head, options = page[: page.index("plotly.js v")], page[page.rindex("Plotly.newPlot") :]
    assert 'src="http' not in head
    assert '"modeBarButtons": [["toImage", "zoom2d", "pan2d", "resetScale2d"]]' in options
