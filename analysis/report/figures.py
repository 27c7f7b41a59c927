"""Records drawn with Plotly: the front in either quality, the learning curves, and the front that longer training may give.

A trial that did not finish is never drawn as one that did: the front leaves it out and says so; among the learning curves it is dotted
and ends in a cross.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import cycle

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from analysis.fidelity.forecast import FrontForecast
from analysis.fronts.front import Front, QualityName, front_of
from analysis.fronts.membership import Membership, estimate_membership
from analysis.records.record import FinalRecord, Kind, Outcome, TrialRecord
from analysis.report import theme, traces
from analysis.report.html import Html, element
from analysis.text import words


def front_figure(
    records: Sequence[TrialRecord],
    finals: Mapping[int, FinalRecord] | None = None,
    quality: QualityName = "bits_per_byte",
    membership: Membership | None = None,
) -> go.Figure:
    """Quality over latency: each finished trial once, p10 to p90 as bars, the front as a step line with its knee named.

    `sure` is how sure this front is where that does not follow from measured latencies.
    """
    front = front_of(records, finals, quality)
    accuracy = quality == "next_token_accuracy"
    title = "Next-token accuracy against latency" if accuracy else "Bits per byte against latency"
    figure = _blank(title, _front_note(records, front))
    if not front.places:
        return _say_empty(figure)
    membership = membership or estimate_membership(front)
    figure.add_trace(traces.intervals(front, membership))
    figure.add_trace(traces.step_line(front))
    beaten, members, references = _standing([record for record in records if record.number in front.places], front)
    if beaten:
        figure.add_trace(traces.points(beaten, front, membership, "not on the front", color=theme.DOMINATED, size=8))
    if members:
        labels = ["" if record.number == front.knee else f"#{record.number}" for record in members]
        figure.add_trace(traces.points(members, front, membership, "on the front", labels, theme.FRONT, size=11))
    for record, symbol in zip(references, cycle(theme.SYMBOLS), strict=False):
        figure.add_trace(
            traces.points(
                [record], front, membership, _reference(record), [escape(record.name or "")], theme.REFERENCE, size=12, symbol=symbol
            )
        )
    _name_knee(figure, front)
    _latency_axis(figure, front)
    figure.update_yaxes(title_text=f"Validation {words.QUALITIES[quality]}", tickformat=".1%" if accuracy else None)
    return figure


def curves_figure(
    records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord] | None = None, quality: QualityName = "bits_per_byte"
) -> go.Figure:
    """Validation loss over training tokens of every trial that reached an evaluation; the front and the references stand out."""
    front = front_of(records, finals, quality)
    curves = {record.number: _curve(record) for record in records}
    drawn = [record for record in records if curves[record.number]]
    missing = len(records) - len(drawn)
    figure = _blank("Validation loss over training", f"{words.plural(missing, 'trial')} ended before an evaluation" if missing else "")
    if not drawn:
        return _say_empty(figure)
    finished = [record for record in drawn if record.finished]
    stopped = [record for record in drawn if record.outcome is Outcome.STOPPED]
    unfinished = [record for record in drawn if not record.finished and record.outcome is not Outcome.STOPPED]
    beaten, members, references = _standing(finished, front)
    if beaten:
        figure.add_trace(traces.lines(beaten, curves, "not on the front", theme.DOMINATED, width=1.2))
    if stopped:
        figure.add_trace(traces.lines(stopped, curves, "stopped early", theme.DOMINATED, width=1.2, dash="dot"))
    if unfinished:
        figure.add_trace(traces.lines(unfinished, curves, "did not finish", theme.UNFINISHED, width=1.5, dash="dot", symbol="x"))
    if members:
        figure.add_trace(traces.lines(members, curves, "on the front", theme.FRONT, width=2.2))
    for record, symbol in zip(references, cycle(theme.SYMBOLS), strict=False):
        figure.add_trace(traces.lines([record], curves, _reference(record), theme.REFERENCE, width=2.2, symbol=symbol))
    figure.update_xaxes(title_text="Training tokens", tickformat="~s", rangemode="tozero")
    figure.update_yaxes(title_text="Validation loss, nats per token")
    return figure


def forecast_figure(found: FrontForecast, records: Sequence[TrialRecord], front: Front) -> go.Figure:
    """Predicted loss over latency with its intervals, beside the measured one."""
    labels = {record.number: record.architecture.label for record in records}
    ms = [front.places[forecast.number].latency_ms for forecast in found.forecasts]
    hover = [
        f"#{p.number} {labels[p.number]}<br>{words.interval(p.low, p.high, 'bits_per_byte')} forecast, on the front with {p.on_front:.0%}"
        for p in found.forecasts
    ]
    figure = go.Figure(layout=theme.layout("Bits per byte after longer training", f"{found.times:.3g} times the tokens of the study"))
    now = [forecast.now for forecast in found.forecasts]
    mark = {"symbol": "circle-open", "size": 9, "color": theme.DOMINATED}
    figure.add_trace(go.Scatter(x=ms, y=now, mode="markers", name="measured at the study's length", marker=mark))
    expected = [forecast.expected for forecast in found.forecasts]
    ends = {
        "type": "data",
        "symmetric": False,
        "array": [forecast.high - forecast.expected for forecast in found.forecasts],
        "arrayminus": [forecast.expected - forecast.low for forecast in found.forecasts],
        "color": theme.INTERVAL,
        "thickness": 4,
        "width": 0,
    }
    figure.add_trace(
        go.Scatter(
            x=ms, y=expected, error_y=ends, mode="markers+text", name="forecast, 90 % interval",
            text=[f"#{p.number}" for p in found.forecasts], textposition="bottom center",
            marker={"size": 9, "color": theme.FRONT}, hovertext=hover, hoverinfo="text",
        )
    )  # fmt: skip
    if theme.wants_log(ms):
        figure.update_xaxes(type="log", tickvals=theme.log_ticks(ms), ticktext=[f"{tick:g}" for tick in theme.log_ticks(ms)])
    figure.update_xaxes(title_text="Latency, ms")
    figure.update_yaxes(title_text="Validation bits per byte")
    return figure


def picture(name: str, figure: go.Figure, caption: str) -> Html:
    """A figure with its caption, for a page that has `plotly_script` in its head; the element `plot-NAME` holds it."""
    identity = f"plot-{name.replace('_', '-')}"
    drawn = figure.to_html(full_html=False, include_plotlyjs=False, div_id=identity, config=theme.OPTIONS, default_height=theme.HEIGHT)
    return element("figure", Html(drawn), element("figcaption", caption))


def figure_page(figure: go.Figure) -> str:
    """A figure as a page of its own, plotly.js inside, that opens without a network and sends nothing."""
    html: str = figure.to_html(full_html=True, include_plotlyjs=True, config=theme.OPTIONS)
    return html


def plotly_script() -> Html:
    """plotly.js as a script element, for a page that opens without a network."""
    return Html(f"<script>{get_plotlyjs()}</script>")


def _blank(title: str, note: str) -> go.Figure:
    return go.Figure(layout=theme.layout(title, note))


def _say_empty(figure: go.Figure) -> go.Figure:
    """Say in the middle of a figure that it has nothing to draw."""
    figure.update_xaxes(visible=False).update_yaxes(visible=False)
    return figure.add_annotation(text="Nothing to draw yet", showarrow=False, x=0.5, y=0.5, xref="paper", yref="paper", font_size=16)


def _standing(records: Iterable[TrialRecord], front: Front) -> tuple[list[TrialRecord], list[TrialRecord], list[TrialRecord]]:
    """Sampled trials beside the front, those on it, and the references."""
    beaten: list[TrialRecord] = []
    members: list[TrialRecord] = []
    references: list[TrialRecord] = []
    for record in records:
        if record.kind is Kind.REFERENCE:
            references.append(record)
        else:
            (members if record.number in front.members else beaten).append(record)
    return beaten, members, references


def _reference(record: TrialRecord) -> str:
    return f"reference {escape(record.name or record.title)}"


def _front_note(records: Sequence[TrialRecord], front: Front) -> str:
    better = "up and left is better" if front.quality == "next_token_accuracy" else "down and left is better"
    left_out = sum(record.number not in front.places for record in records if record.replicates is None)
    return f"{better}; {words.plural(left_out, 'unfinished trial')} not shown" if left_out else better


def _name_knee(figure: go.Figure, front: Front) -> None:
    if front.knee is None or len(front.members) < 3:
        return  # of one or two points none stands out
    place = front.places[front.knee]
    figure.add_annotation(
        x=math.log10(place.latency_ms) if _logarithmic(front) else place.latency_ms,  # plotly wants the exponent on such an axis
        y=place.quality,
        text="knee" if place.kind is Kind.REFERENCE else f"knee #{place.number}",
        ax=-64,  # to the side where no other trial can lie
        ay=-14 if front.quality == "next_token_accuracy" else 14,
        arrowcolor=theme.FRONT,
        arrowwidth=1.5,
        arrowhead=2,
        standoff=7,
        font={"color": theme.FRONT, "size": 13},
    )


def _latency_axis(figure: go.Figure, front: Front) -> None:
    workload = next(iter(front.places.values())).latency
    figure.update_xaxes(title_text=f"Latency, ms for {workload.prompt_tokens} prompt and {workload.new_tokens} new tokens")
    if _logarithmic(front):
        ticks = theme.log_ticks([place.latency_ms for place in front.places.values()])
        figure.update_xaxes(type="log", tickvals=ticks, ticktext=[f"{tick:g}" for tick in ticks])


def _logarithmic(front: Front) -> bool:
    return theme.wants_log([place.latency_ms for place in front.places.values()])


def _curve(record: TrialRecord) -> list[tuple[int, float]]:
    points = record.training.curve if record.training else ()
    return [(point.tokens, point.validation_loss) for point in points if point.validation_loss is not None]
