"""A front after longer training as a part of a report, and as text: the figure, the table and the sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from analysis.fidelity.forecast import Outlook, outlook_sentences
from analysis.fronts.front import Front
from analysis.records.record import TrialRecord
from analysis.report import theme as look
from analysis.report.figures import figure_html
from analysis.report.html import Html, element, paragraphs, table
from analysis.text import format as words
from analysis.text.columns import aligned

CAPTION = (
    "Bars are the 90 % intervals of what one training of the target's length would measure, at each shape's latency; hollow marks are what "
    "the study measured at its own length. Members of the front and near-ties."
)
Found = Outlook | str | None
"""An outlook, a sentence on what it lacks, or None where the study has no target."""


def outlook_part(found: Found, records: Sequence[TrialRecord], front: Front) -> list[Html]:
    """The part's content; nothing where the study has no target."""
    if found is None:
        return []
    if isinstance(found, str):
        return [paragraphs([found])]
    figure = element("figure", Html(figure_html(outlook_figure(found, records, front), "plot-outlook")), element("figcaption", CAPTION))
    return [paragraphs(outlook_sentences(found, _labels(records))), figure, outlook_table(found, records, front)]


def outlook_figure(found: Outlook, records: Sequence[TrialRecord], front: Front) -> go.Figure:
    """Predicted loss over latency with its intervals, beside the measured one."""
    labels = _labels(records)
    ms = [front.places[prospect.number].latency_ms for prospect in found.prospects]
    hover = [
        f"#{p.number} {labels[p.number]}<br>{words.interval(p.low, p.high, 'bits_per_byte')} foreseen, on the front with {p.on_front:.0%}"
        for p in found.prospects
    ]
    figure = go.Figure(layout=look.layout("Bits per byte after longer training", f"{found.times:.3g} times the tokens of the study"))
    now = [prospect.now for prospect in found.prospects]
    mark = {"symbol": "circle-open", "size": 9, "color": look.DOMINATED}
    figure.add_trace(go.Scatter(x=ms, y=now, mode="markers", name="measured at the study's length", marker=mark))
    expected = [prospect.expected for prospect in found.prospects]
    ends = {
        "type": "data",
        "symmetric": False,
        "array": [prospect.high - prospect.expected for prospect in found.prospects],
        "arrayminus": [prospect.expected - prospect.low for prospect in found.prospects],
        "color": look.INTERVAL,
        "thickness": 4,
        "width": 0,
    }
    figure.add_trace(
        go.Scatter(
            x=ms, y=expected, error_y=ends, mode="markers+text", name="foreseen, 90 % interval",
            text=[f"#{p.number}" for p in found.prospects], textposition="bottom center",
            marker={"size": 9, "color": look.FRONT}, hovertext=hover, hoverinfo="text",
        )
    )  # fmt: skip
    if look.wants_log(ms):
        figure.update_xaxes(type="log", tickvals=look.log_ticks(ms), ticktext=[f"{tick:g}" for tick in look.log_ticks(ms)])
    figure.update_xaxes(title_text="Latency, ms")
    figure.update_yaxes(title_text="Validation bits per byte")
    return figure


def outlook_table(found: Outlook, records: Sequence[TrialRecord], front: Front) -> Html:
    """A row for each shape."""
    labels = _labels(records)
    columns = {
        "Trial": False, "Shape": False, "Latency": True, "bits per byte now": True, "foreseen": True, "90 %": True,
        "on the front then": True, "most accurate then": True,
    }  # fmt: skip
    rows = [
        (
            f"#{p.number}",
            element("code", labels[p.number]),
            words.milliseconds(front.places[p.number].latency_ms),
            f"{p.now:.3f}",
            f"{p.expected:.3f}",
            words.interval(p.low, p.high, "bits_per_byte"),
            f"{p.on_front:.0%}",
            f"{p.most_accurate:.0%}",
        )
        for p in found.prospects
    ]
    return table(columns, rows, f"After {found.times:.3g} times the study's tokens, fastest first.")


def outlook_text(found: Outlook, records: Sequence[TrialRecord]) -> str:
    """The same for a terminal."""
    labels = _labels(records)
    lines = [("trial", "shape", "now", "foreseen", "90 %", "on front then")]
    for p in found.prospects:
        numbers = (f"{p.now:.3f}", f"{p.expected:.3f}", words.interval(p.low, p.high, "bits_per_byte"), f"{p.on_front:.0%}")
        lines.append((f"#{p.number}", labels[p.number], *numbers))
    return "\n".join([*aligned(lines, range(len(lines[0]))), "", *outlook_sentences(found, labels)])


def _labels(records: Sequence[TrialRecord]) -> Mapping[int, str]:
    return {record.number: record.architecture.label for record in records}
