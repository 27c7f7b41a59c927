"""Records drawn with Plotly: the front in either quality, and the learning curves.

A trial that did not finish is never drawn as one that did: the front leaves it out and says so; among the learning curves it is dotted
and ends in a cross.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import cycle
from typing import Any

import plotly.graph_objects as go

from analysis import look, words
from analysis.findings import picks
from analysis.front import Front, Place, QualityName, front_of
from analysis.record import FinalRecord, Kind, TrialRecord

Curves = Mapping[int, Sequence[tuple[int, float]]]
"""Tokens and validation loss along each trial's training, by its number."""


def front_figure(
    records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord] | None = None, quality: QualityName = "bits_per_byte"
) -> go.Figure:
    """Quality over latency: each finished trial once, p10 to p90 as bars, the front as a step line with its knee named."""
    front = front_of(records, finals, quality)
    accuracy = quality == "next_token_accuracy"
    title = "Next-token accuracy against latency" if accuracy else "Bits per byte against latency"
    figure = look.blank(title, _front_note(records, front))
    if not front.places:
        return look.say_empty(figure)
    figure.add_trace(_step_line(front))
    beaten, members, references = _standing([record for record in records if record.number in front.places], front)
    if beaten:
        figure.add_trace(_points(beaten, front, "not on the front", color=look.DOMINATED, size=8))
    if members:
        labels = ["" if record.number == front.knee else f"#{record.number}" for record in members]
        figure.add_trace(_points(members, front, "on the front", labels, look.FRONT, size=11))
    for record, symbol in zip(references, cycle(look.SYMBOLS), strict=False):
        figure.add_trace(_points([record], front, _reference(record), [escape(record.name or "")], look.REFERENCE, size=12, symbol=symbol))
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
    figure = look.blank("Validation loss over training", f"{words.plural(missing, 'trial')} ended before an evaluation" if missing else "")
    if not drawn:
        return look.say_empty(figure)
    finished = [record for record in drawn if record.finished]
    unfinished = [record for record in drawn if not record.finished]
    beaten, members, references = _standing(finished, front)
    if beaten:
        figure.add_trace(_lines(beaten, curves, "not on the front", look.DOMINATED, width=1.2))
    if unfinished:
        figure.add_trace(_lines(unfinished, curves, "did not finish", look.UNFINISHED, width=1.5, dash="dot", symbol="x"))
    if members:
        figure.add_trace(_lines(members, curves, "on the front", look.FRONT, width=2.2))
    for record, symbol in zip(references, cycle(look.SYMBOLS), strict=False):
        figure.add_trace(_lines([record], curves, _reference(record), look.REFERENCE, width=2.2, symbol=symbol))
    figure.update_xaxes(title_text="Training tokens", tickformat="~s", rangemode="tozero")
    figure.update_yaxes(title_text="Validation loss, nats per token")
    return figure


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
    left_out = len(records) - len(front.places)
    return f"{better}; {words.plural(left_out, 'unfinished trial')} not shown" if left_out else better


def _points(
    records: Sequence[TrialRecord],
    front: Front,
    name: str,
    labels: Sequence[str] | None = None,
    color: str = look.DOMINATED,
    size: int = 8,
    symbol: str = "circle",
) -> go.Scatter:
    places = [front.places[record.number] for record in records]
    spreads = [place.latency.total_ms for place in places]
    pale, reference = color == look.DOMINATED, color == look.REFERENCE
    ring = look.FRONT if reference and records[0].number in front.members else "white"
    return go.Scatter(
        x=[place.latency_ms for place in places],
        y=[place.quality for place in places],
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [spread.p90 - spread.median for spread in spreads],
            "arrayminus": [spread.median - spread.p10 for spread in spreads],
            "thickness": 1 if pale else 1.5,
            "width": 0 if pale else 3,
        },
        mode="markers+text" if labels else "markers",
        text=labels,
        textposition=_inward(places[0], front) if reference else _free_side(front),
        textfont={"size": 12, "color": color},
        cliponaxis=False,
        marker={"color": color, "symbol": symbol, "size": size, "line": {"color": ring, "width": 2 if reference else 1}},
        name=name,
        hovertext=[_hover(record, front) for record in records],
        hovertemplate="%{hovertext}<extra></extra>",
    )


def _free_side(front: Front) -> str:
    """Where nothing can lie beside a member of the front."""
    return "top left" if front.quality == "next_token_accuracy" else "bottom left"


def _inward(place: Place, front: Front) -> str:
    """Above a point, away from the nearer end of the latency axis."""
    latencies = [other.latency_ms for other in front.places.values()]
    return "top left" if place.latency_ms**2 > min(latencies) * max(latencies) else "top right"


def _step_line(front: Front) -> go.Scatter:
    """The border of what the front dominates: from each member on at its quality, until the next one is reached."""
    members = [front.places[number] for number in front.members]
    return go.Scatter(
        x=[place.latency_ms for place in members],
        y=[place.quality for place in members],
        mode="lines",
        line={"color": look.FRONT, "width": 2, "shape": "hv"},
        name="front",
        hoverinfo="skip",
        showlegend=False,
    )


def _name_knee(figure: go.Figure, front: Front) -> None:
    if front.knee is None or len(front.members) < 3:
        return  # of one or two points none stands out
    place = front.places[front.knee]
    figure.add_annotation(
        x=math.log10(place.latency_ms) if _logarithmic(front) else place.latency_ms,  # plotly wants the exponent on such an axis
        y=place.quality,
        text="knee" if place.kind is Kind.REFERENCE else f"knee #{place.number}",
        ax=-36,
        ay=-36 if front.quality == "next_token_accuracy" else 36,
        arrowcolor=look.FRONT,
        arrowwidth=1.5,
        arrowhead=2,
        standoff=7,
        font={"color": look.FRONT, "size": 13},
    )


def _latency_axis(figure: go.Figure, front: Front) -> None:
    workload = next(iter(front.places.values())).latency
    figure.update_xaxes(title_text=f"Latency, ms for {workload.prompt_tokens} prompt and {workload.new_tokens} new tokens")
    if _logarithmic(front):
        ticks = look.log_ticks([place.latency_ms for place in front.places.values()])
        figure.update_xaxes(type="log", tickvals=ticks, ticktext=[f"{tick:g}" for tick in ticks])


def _logarithmic(front: Front) -> bool:
    return look.wants_log([place.latency_ms for place in front.places.values()])


def _curve(record: TrialRecord) -> list[tuple[int, float]]:
    points = record.training.curve if record.training else ()
    return [(point.tokens, point.validation_loss) for point in points if point.validation_loss is not None]


def _lines(
    records: Iterable[TrialRecord], curves: Curves, name: str, color: str, width: float, dash: str = "solid", symbol: str = "circle"
) -> go.Scatter:
    """All lines of one look as one trace with gaps, so that a study of hundreds stays quick; the end of each is marked."""
    columns: dict[str, list[Any]] = {"x": [], "y": [], "hover": [], "size": []}
    for record in records:
        ending = "" if record.finished else f"<br>{words.OUTCOMES[record.outcome]}"
        points: list[tuple[int | None, float | None]] = [*curves[record.number], (None, None)]
        for place, (tokens, loss) in enumerate(points):
            columns["x"].append(tokens)
            columns["y"].append(loss)
            columns["size"].append(8 if place == len(points) - 2 else 3)
            columns["hover"].append(
                f"<b>{escape(record.title)}</b><br>{tokens:,} tokens, {loss:.3f} nats per token{ending}" if tokens else ""
            )
    return go.Scatter(
        x=columns["x"],
        y=columns["y"],
        mode="lines+markers",
        line={"color": color, "width": width, "dash": dash},
        marker={"color": color, "size": columns["size"], "symbol": symbol},
        name=name,
        hovertext=columns["hover"],
        hovertemplate="%{hovertext}<extra></extra>",
    )


def _hover(record: TrialRecord, front: Front) -> str:
    """The shape and its numbers, a line each."""
    place, validation = front.places[record.number], record.training.validation if record.training else None
    standing = ["on the front"] if record.number in front.members else []
    standing += picks(front).get(record.number, []) + ([record.kind.value] if record.kind is not Kind.SAMPLED else [])
    again = place.latency is not place.searched_latency
    lines = [
        f"<b>{escape(record.title)}</b>",
        ", ".join(standing),
        f"{record.costs.parameters:,} parameters",
        *words.shape(record.architecture),
        words.spread(place.latency.total_ms) + (", disturbed" if place.latency.disturbed else ""),
        f"measured again after the search; in it {words.spread(place.searched_latency.total_ms)}" if again else "",
        words.qualities(validation) if validation else "",
    ]
    return "<br>".join(filter(None, lines))
