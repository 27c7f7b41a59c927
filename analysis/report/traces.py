"""What a figure draws, as plain data in Plotly's words: trials as points, the front as a step line, curves as lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from analysis.fronts.doubts import POSSIBLE
from analysis.fronts.front import Front, ObjectivePoint
from analysis.fronts.membership import LEVEL, Membership, picks
from analysis.records.record import Kind, TrialRecord
from analysis.report import theme
from analysis.text import words

Trace = dict[str, Any]
Curves = Mapping[int, Sequence[tuple[int, float]]]
"""Tokens and validation loss along each trial's training, by its number."""


def points(
    records: Sequence[TrialRecord],
    front: Front,
    membership: Membership,
    name: str,
    labels: Sequence[str] | None = None,
    color: str = theme.DOMINATED,
    size: int = 8,
    symbol: str = "circle",
) -> Trace:
    """Trials as points with their p10 to p90, each named by its label where there are labels."""
    places = [front.places[record.number] for record in records]
    spreads = [place.latency.total_ms for place in places]
    pale, reference = color == theme.DOMINATED, color == theme.REFERENCE
    ring = theme.FRONT if reference and records[0].number in front.members else "white"
    return {
        "type": "scatter",
        "x": [place.latency_ms for place in places],
        "y": [place.quality for place in places],
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [spread.p90 - spread.median for spread in spreads],
            "arrayminus": [spread.median - spread.p10 for spread in spreads],
            "thickness": 1 if pale else 1.5,
            "width": 0 if pale else 3,
        },
        "mode": "markers+text" if labels else "markers",
        "text": labels,
        "textposition": _inward(places[0], front) if reference else _free_side(front),
        "textfont": {"size": 12, "color": color},
        "cliponaxis": False,
        "marker": {"color": color, "symbol": symbol, "size": size, "line": {"color": ring, "width": 2 if reference else 1}},
        "name": name,
        "hovertext": [_hover(record, front, membership) for record in records],
        "hovertemplate": "%{hovertext}<extra></extra>",
    }


def intervals(front: Front, membership: Membership) -> Trace:
    """An upright line from end to end of the true quality's interval of each shape that may be on the front, and of the references."""
    columns: dict[str, list[float | None]] = {"x": [], "y": []}
    for number, place in front.places.items():
        posterior = membership.posteriors[number]
        if posterior.on_front >= POSSIBLE or number in front.members or place.kind is Kind.REFERENCE:
            columns["x"] += [place.latency_ms, place.latency_ms, None]
            columns["y"] += [posterior.low, posterior.high, None]
    return {
        "type": "scatter",
        **columns,
        "mode": "lines",
        "line": {"color": theme.INTERVAL, "width": 5},
        "name": f"{LEVEL:.0%} interval of the true quality",
        "hoverinfo": "skip",
    }


def step_line(front: Front) -> Trace:
    """The border of what the front dominates: from each member on at its quality, until the next one is reached."""
    members = [front.places[number] for number in front.members]
    return {
        "type": "scatter",
        "x": [place.latency_ms for place in members],
        "y": [place.quality for place in members],
        "mode": "lines",
        "line": {"color": theme.FRONT, "width": 2, "shape": "hv"},
        "name": "front",
        "hoverinfo": "skip",
        "showlegend": False,
    }


def lines(
    records: Iterable[TrialRecord], curves: Curves, name: str, color: str, width: float, dash: str = "solid", symbol: str = "circle"
) -> Trace:
    """All lines of one look as one trace with gaps, so that a study of hundreds stays quick; the end of each is marked."""
    columns: dict[str, list[Any]] = {"x": [], "y": [], "hover": [], "size": []}
    for record in records:
        ending = "" if record.finished else f"<br>{words.OUTCOMES[record.outcome]}"
        curve: list[tuple[int | None, float | None]] = [*curves[record.number], (None, None)]
        for place, (tokens, loss) in enumerate(curve):
            columns["x"].append(tokens)
            columns["y"].append(loss)
            columns["size"].append(8 if place == len(curve) - 2 else 3)
            columns["hover"].append(
                f"<b>{escape(record.title)}</b><br>{tokens:,} tokens, {loss:.3f} nats per token{ending}" if tokens else ""
            )
    return {
        "type": "scatter",
        "x": columns["x"],
        "y": columns["y"],
        "mode": "lines+markers",
        "line": {"color": color, "width": width, "dash": dash},
        "marker": {"color": color, "size": columns["size"], "symbol": symbol},
        "name": name,
        "hovertext": columns["hover"],
        "hovertemplate": "%{hovertext}<extra></extra>",
    }


def _free_side(front: Front) -> str:
    """Where nothing can lie beside a member of the front."""
    return "top left" if front.quality == "next_token_accuracy" else "bottom left"


def _inward(place: ObjectivePoint, front: Front) -> str:
    """Above a point, away from the nearer end of the latency axis."""
    latencies = [other.latency_ms for other in front.places.values()]
    return "top left" if place.latency_ms**2 > min(latencies) * max(latencies) else "top right"


def _hover(record: TrialRecord, front: Front, membership: Membership) -> str:
    """The shape and its numbers, a line each."""
    place, validation = front.places[record.number], record.training.validation if record.training else None
    posterior = ["on the front"] if record.number in front.members else []
    posterior += picks(front, membership).get(record.number, []) + ([record.kind.value] if record.kind is not Kind.SAMPLED else [])
    place_sure = membership.posteriors[record.number]
    again = place.latency is not place.searched_latency
    lines = [
        f"<b>{escape(record.title)}</b>",
        ", ".join(posterior),
        f"{record.costs.parameters:,} parameters",
        *words.shape(record.architecture),
        words.spread(place.latency.total_ms) + (", disturbed" if place.latency.disturbed else ""),
        f"measured again after the search; in it {words.spread(place.searched_latency.total_ms)}" if again else "",
        words.qualities(validation) if validation else "",
        f"true {words.QUALITIES[front.quality]} {words.interval(place_sure.low, place_sure.high, front.quality)} (90 %)",
        f"mean of {len(place.qualities)} seeds" if len(place.qualities) > 1 else "",
        f"on the true front with {words.probability(place_sure.on_front)}",
    ]
    return "<br>".join(filter(None, lines))
