"""Records drawn with Plotly: the front along each pair of its objectives, the learning curves, and the front that longer training may give.

A trial that did not finish is never drawn as one that did: the front leaves it out and says so; among the learning curves it is dotted
and ends in a cross.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from itertools import cycle

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from analysis.fidelity.forecast import FrontForecast
from analysis.fronts.front import Front
from analysis.fronts.membership import Membership, estimate_membership, picks
from analysis.objectives.registry import FORECAST, find_objective
from analysis.records.json_writer import json_of
from analysis.records.record import Kind, Outcome, TrialRecord
from analysis.report import theme, traces
from analysis.report.html import Html, element
from analysis.report.projection import Projection, axis_title, is_logarithmic, pairs_of
from analysis.text import words

LABELLED = 8
"""Members of a front of three objectives up to which each has its number beside it; with more only those that were picked."""


def front_figure(
    records: Sequence[TrialRecord],
    front: Front,
    membership: Membership | None = None,
    pair: tuple[int, int] | None = None,
    device: str | None = None,
) -> go.Figure:
    """Two objectives of each finished trial once, p10 to p90 as bars, the front as a step line with its knee named.

    `pair` has the places of the level and the upright objective in the study's order, by default the first of `pairs_of`; a third objective
    is told by colour. `membership` is how sure the front is where that does not follow from its own measurements, `device` the one whose
    latencies are predicted.
    """
    x, y = pair or pairs_of(front.problem)[0]
    membership = membership or estimate_membership(front)
    view = Projection(front, membership, x, y, device)
    figure = blank_figure(view.title, _front_note(records, view))
    if not front.points:
        return _say_empty(figure)
    figure.add_trace(traces.intervals(view))
    figure.add_trace(traces.step_line(view))
    beaten, members, references = _standing([record for record in records if record.number in front.points], front)
    if beaten:
        figure.add_trace(traces.points(beaten, view, "not on the front", color=theme.DOMINATED, size=8))
    if members:
        few = view.third is None or len(front.members) <= LABELLED
        told = {*(front.members if few else picks(front, membership))} - {front.knee}
        labels = [f"#{record.number}" if record.number in told else "" for record in members]
        figure.add_trace(traces.points(members, view, "on the front", labels, theme.FRONT, size=11))
    for record, symbol in zip(references, cycle(theme.SYMBOLS), strict=False):
        labels = [escape(record.name or "")]
        figure.add_trace(traces.points([record], view, _reference(record), labels, theme.REFERENCE, size=12, symbol=symbol))
    _name_knee(figure, view)
    figure.update_xaxes(**view.axis(x))
    figure.update_yaxes(**view.axis(y))
    if view.third is not None:
        figure.update_layout(coloraxis=view.color_axis)
    return figure


def front_figures(
    records: Sequence[TrialRecord], front: Front, membership: Membership | None = None, device: str | None = None
) -> dict[str, go.Figure]:
    """A figure for each pair of objectives, by their names, the upright one first, with a dash between them."""
    membership, names = membership or estimate_membership(front), front.problem.names
    return {f"{names[y]}-{names[x]}": front_figure(records, front, membership, (x, y), device) for x, y in pairs_of(front.problem)}


def curves_figure(records: Sequence[TrialRecord], front: Front) -> go.Figure:
    """Validation loss over training tokens of every trial that reached an evaluation; the front and the references stand out.

    Of many trials those that are not on the front are a band, and those that did not finish are left out.
    """
    curves = {record.number: _curve(record) for record in records}
    drawn = [record for record in records if curves[record.number]]
    missing = len(records) - len(drawn)
    figure = blank_figure(
        "Validation loss over training", f"{words.plural(missing, 'trial')} ended before an evaluation" if missing else ""
    )
    if not drawn:
        return _say_empty(figure)
    finished = [record for record in drawn if record.finished]
    stopped = [record for record in drawn if record.outcome is Outcome.STOPPED]
    unfinished = [record for record in drawn if not record.finished and record.outcome is not Outcome.STOPPED]
    beaten, members, references = _standing(finished, front)
    if len(records) > traces.MANY and beaten:
        figure.add_traces(traces.band(beaten, curves, "not on the front"))
        stopped, unfinished = [], []
    elif beaten:
        figure.add_trace(traces.lines(beaten, curves, "not on the front", theme.DOMINATED, width=1.2))
    if stopped:
        figure.add_trace(traces.lines(stopped, curves, "stopped early", theme.DOMINATED, width=1.2, dash="dot"))
    if unfinished:
        figure.add_trace(traces.lines(unfinished, curves, "did not finish", theme.UNFINISHED, width=1.5, dash="dot", symbol="x"))
    if members:
        figure.add_trace(traces.lines(members, curves, "on the front", theme.FRONT, width=2.2))
    for record, symbol in zip(references, cycle(theme.SYMBOLS), strict=False):
        named = escape(record.name or "")  # two references have one colour
        figure.add_trace(traces.lines([record], curves, _reference(record), theme.REFERENCE, width=2.2, symbol=symbol, label=named))
    figure.update_xaxes(title_text="Training tokens", tickformat="~s", rangemode="tozero")
    figure.update_yaxes(title_text="Validation loss, nats per token")
    return figure


def forecast_figure(found: FrontForecast, records: Sequence[TrialRecord], front: Front) -> go.Figure:
    """Predicted loss over the objective by which the front is listed, with its intervals, beside the measured one."""
    labels = {record.number: record.architecture.label for record in records}
    place = front.problem.ordering
    along, points = front.objectives[place], [front.points[forecast.number] for forecast in found.forecasts]
    across = [point.values[place] for point in points]
    hover = [
        f"#{p.number} {labels[p.number]}<br>{words.bits_range(p.low, p.high)} forecast, on the front with {p.on_front:.0%}"
        for p in found.forecasts
    ]
    figure = go.Figure(layout=theme.layout("Bits per byte after longer training", f"{found.times:.3g} times the tokens of the study"))
    now = [forecast.now for forecast in found.forecasts]
    mark = {"symbol": "circle-open", "size": 9, "color": theme.DOMINATED}
    figure.add_trace(go.Scatter(x=across, y=now, mode="markers", name="measured at the study's length", marker=mark))
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
            x=across, y=expected, error_y=ends, mode="markers+text", name="forecast, 90 % interval",
            text=[f"#{p.number}" for p in found.forecasts], textposition="bottom center",
            marker={"size": 9, "color": theme.FRONT}, hovertext=hover, hoverinfo="text",
        )
    )  # fmt: skip
    if found.longer:
        there = [(at, forecast.measured) for at, forecast in zip(across, found.forecasts, strict=True) if forecast.measured is not None]
        mark = {"symbol": "x", "size": 9, "color": theme.REFERENCE}
        ats, measured = zip(*there, strict=True) if there else ((), ())
        figure.add_trace(go.Scatter(x=ats, y=measured, mode="markers", name="measured at that length", marker=mark))
    if is_logarithmic(along, across):
        figure.update_xaxes(type="log", tickvals=theme.log_ticks(across), ticktext=[f"{tick:g}" for tick in theme.log_ticks(across)])
    figure.update_xaxes(title_text=axis_title(along, points))
    figure.update_yaxes(title_text=find_objective(FORECAST).words.axis)
    return figure


def picture(name: str, figure: go.Figure, caption: str) -> Html:
    """A figure with its caption, for a page that has `plotly_script` in its head; the element `plot-NAME` holds it."""
    return element("figure", figure_place(name, figure), element("figcaption", caption))


def figure_place(name: str, figure: go.Figure) -> Html:
    """The element `plot-NAME`, and behind it the figure as data, which the script of the page draws there when it is first seen."""
    data = f'{figure.to_json()[:-1]},"config":{json_of(theme.OPTIONS)}}}'.replace("<", "\\u003c")
    place = element("div", id=_identity(name), class_="plot")
    return Html(f'{place}<script type="application/json">{data}</script>')


def figure_page(figure: go.Figure) -> str:
    """A figure as a page of its own, plotly.js inside, that opens without a network and sends nothing."""
    html: str = figure.to_html(full_html=True, include_plotlyjs=True, config=theme.OPTIONS)
    return html


def _identity(name: str) -> str:
    return f"plot-{name.replace('_', '-')}"


def plotly_script() -> Html:
    """plotly.js as a script element, for a page that opens without a network."""
    return Html(f"<script>{get_plotlyjs()}</script>")


def blank_figure(title: str, note: str) -> go.Figure:
    """A figure in the common look with nothing drawn: its title and a quieter line below."""
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


def _front_note(records: Sequence[TrialRecord], view: Projection) -> str:
    left_out = sum(record.number not in view.front.points for record in records if record.replicates is None)
    note = f"{view.better} is better"
    note += "" if view.third is None else f"; colour: {view.front.objectives[view.third].words.label}"
    return f"{note}; {words.plural(left_out, 'unfinished trial')} not shown" if left_out else note


def _name_knee(figure: go.Figure, view: Projection) -> None:
    if view.front.knee is None or len(view.front.members) < 3:
        return  # of one or two points none stands out
    point = view.front.points[view.front.knee]
    x, y = view.annotated_at(view.front.knee)
    figure.add_annotation(
        x=x,
        y=y,
        text="knee" if point.kind is Kind.REFERENCE else f"knee #{point.number}",
        ax=-64 if view.across.better == "lower" else 64,  # to the side where no other trial can lie
        ay=14 if view.upright.better == "lower" else -14,
        arrowcolor=theme.FRONT,
        arrowwidth=1.5,
        arrowhead=2,
        standoff=7,
        font={"color": theme.FRONT, "size": 13},
    )


def _curve(record: TrialRecord) -> list[tuple[int, float]]:
    points = record.training.curve if record.training else ()
    return [(point.tokens, point.validation_loss) for point in points if point.validation_loss is not None]
