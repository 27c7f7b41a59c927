"""What a figure draws, as plain data in Plotly's words: trials as points, the front as a step line, curves as lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from analysis.fronts.doubts import LIKELY, POSSIBLE
from analysis.fronts.front import Front, ObjectivePoint, ObjectiveReading
from analysis.fronts.membership import Membership, picks
from analysis.objectives.objective import Objective
from analysis.objectives.observed import Observed
from analysis.records.latency import Spread
from analysis.records.record import Kind, TrialRecord
from analysis.report import theme as look
from analysis.report.projection import Projection
from analysis.statistics.intervals import LEVEL
from analysis.text import words

Trace = dict[str, Any]
MANY = 100
"""Shapes from which on a figure has bars and long texts for those alone that are likely on the front, and a band for their curves."""
BAND_QUANTILES = (0.1, 0.5, 0.9)
"""Quantiles that a band of curves shows."""
Curves = Mapping[int, Sequence[tuple[int, float]]]
"""Tokens and validation loss along each trial's training, by its number."""


def points(
    records: Sequence[TrialRecord],
    view: Projection,
    name: str,
    labels: Sequence[str] | None = None,
    color: str = look.DOMINATED,
    size: int = 8,
    symbol: str = "circle",
) -> Trace:
    """Trials as points with their p10 to p90, each named by its label where there are labels.

    With a third objective its values are the colours, on the figure's one colour axis, but of references.
    """
    numbers = [record.number for record in records]
    pale, reference, many = color == look.DOMINATED, color == look.REFERENCE, len(view.front.points) > MANY
    ring = look.FRONT if reference and numbers[0] in view.front.members else "white"
    line: dict[str, Any] = {"color": ring, "width": 2 if reference else 1}
    marker: dict[str, Any] = {"color": color, "symbol": symbol, "size": size, "line": line}
    if view.third is not None and not reference:
        marker |= {"color": [view.color(number) for number in numbers], "coloraxis": "coloraxis"}
        marker |= {"opacity": 0.55 if pale else 1.0, "line": line if pale else {"color": look.INK, "width": 1.5}}
    ends = {"thickness": 1 if pale else 1.5, "width": 0 if pale else 3, "color": color}
    return {
        "type": "scatter",
        "x": [view.at(number)[0] for number in numbers],
        "y": [view.at(number)[1] for number in numbers],
        **({} if many and pale else _repeats("error_x", [view.readings(number)[0] for number in numbers], ends)),
        **({} if many and pale else _repeats("error_y", [view.readings(number)[1] for number in numbers], ends)),
        "mode": "markers+text" if labels else "markers",
        "text": labels,
        "textposition": view.inward(numbers[0]) if reference else view.free_side,
        "textfont": {"size": 12, "color": color},
        "cliponaxis": False,
        "marker": marker,
        "name": name,
        "hovertext": [(_short_hover if many and pale else _hover)(record, view.front, view.membership) for record in records],
        "hovertemplate": "%{hovertext}<extra></extra>",
    }


def _repeats(name: str, readings: Sequence[ObjectiveReading], look_of_ends: Mapping[str, Any]) -> Trace:
    """Error bars from the tenth to the ninetieth percentile; nothing where nothing was repeated."""
    if all(reading.spread is None for reading in readings):
        return {}
    spreads = [reading.spread or Spread(median=reading.value, p10=reading.value, p90=reading.value) for reading in readings]
    above, below = [spread.p90 - spread.median for spread in spreads], [spread.median - spread.p10 for spread in spreads]
    return {name: {"type": "data", "symmetric": False, "array": above, "arrayminus": below, **look_of_ends}}


def intervals(view: Projection) -> Trace:
    """A line from end to end of the credible interval of what a seed moves, for each shape that may be on the front and the references."""
    columns: dict[str, list[float | None]] = {"x": [], "y": []}
    many = len(view.front.points) > MANY
    for number, point in view.front.points.items():
        chance = view.membership.posteriors[number].on_front
        named = not many and number in view.front.members
        if chance < (LIKELY if many else POSSIBLE) and not named and point.kind is not Kind.REFERENCE:
            continue
        x, y = view.at(number)
        across, upright = (view.membership.interval(number, place) for place in (view.x, view.y))
        if across is not None:
            columns["x"] += [across.low, across.high, None]
            columns["y"] += [y, y, None]
        if upright is not None:
            columns["x"] += [x, x, None]
            columns["y"] += [upright.low, upright.high, None]
    return {
        "type": "scatter",
        **columns,
        "mode": "lines",
        "line": {"color": look.INTERVAL, "width": 5},
        "name": f"{LEVEL:.0%} interval of the true quality",
        "hoverinfo": "skip",
    }


def step_line(view: Projection) -> Trace:
    """The border of what the front dominates: from each member on at its level, until the next one is reached."""
    alone = view.third is None
    return {
        "type": "scatter",
        "x": [view.at(number)[0] for number in view.border],
        "y": [view.at(number)[1] for number in view.border],
        "mode": "lines",
        "line": {
            "color": look.FRONT if alone else look.LINE_COLOR,
            "width": 2 if alone else 1.5,
            "shape": "hv",
            "dash": "solid" if alone else "dot",
        },
        "name": "front" if alone else "front of these two alone",
        "hoverinfo": "skip",
        "showlegend": not alone,
    }


def lines(
    records: Iterable[TrialRecord],
    curves: Curves,
    name: str,
    color: str,
    width: float,
    dash: str = "solid",
    symbol: str = "circle",
    label: str = "",
) -> Trace:
    """All lines of one look as one trace with gaps, so that a study of hundreds stays quick; the end of each is marked, with the label."""
    columns: dict[str, list[Any]] = {"x": [], "y": [], "hover": [], "size": [], "text": []}
    for record in records:
        ending = "" if record.finished else f"<br>{words.OUTCOMES[record.outcome]}"
        curve: list[tuple[int | None, float | None]] = [*curves[record.number], (None, None)]
        for place, (tokens, loss) in enumerate(curve):
            columns["x"].append(tokens)
            columns["y"].append(loss)
            columns["size"].append(8 if place == len(curve) - 2 else 3)
            columns["text"].append(label if place == len(curve) - 2 else "")
            columns["hover"].append(
                f"<b>{escape(record.title)}</b><br>{tokens:,} tokens, {loss:.3f} nats per token{ending}" if tokens else ""
            )
    return {
        "type": "scatter",
        "x": columns["x"],
        "y": columns["y"],
        "mode": "lines+markers+text" if label else "lines+markers",
        **({"text": columns["text"], "textposition": "bottom left", "textfont": {"size": 12, "color": color}} if label else {}),
        "line": {"color": color, "width": width, "dash": dash},
        "marker": {"color": color, "size": columns["size"], "symbol": symbol},
        "name": name,
        "hovertext": columns["hover"],
        "hovertemplate": "%{hovertext}<extra></extra>",
    }


def _hover(record: TrialRecord, front: Front, membership: Membership) -> str:
    """The shape and its numbers, a line each."""
    point, posterior = front.points[record.number], membership.posteriors[record.number]
    titles = ["on the front"] if record.number in front.members else []
    titles += picks(front, membership).get(record.number, []) + ([record.kind.value] if record.kind is not Kind.SAMPLED else [])
    readings = list(zip(front.objectives, point.readings, strict=True))
    others = [(objective, objective.value(Observed.of(record))) for objective in front.problem.shown if objective.noise != "measurement"]
    seeds = max(len(reading.trials) for reading in point.readings)
    lines = [
        f"<b>{escape(record.title)}</b>",
        ", ".join(titles),
        f"infeasible: {point.infeasible}" if point.infeasible else "",
        f"{record.costs.parameters:,} parameters",
        *words.shape(record.architecture),
        *(_measured(objective, reading, record, point) for objective, reading in readings if objective.noise == "measurement"),
        ", ".join(objective.said(value) for objective, value in others if value is not None),
        *(
            f"true {objective.words.label} {objective.between_text(interval.low, interval.high)} (90 %)"
            for objective, interval in zip(front.objectives, posterior.intervals, strict=True)
            if interval is not None
        ),
        f"mean of {seeds} seeds" if seeds > 1 else "",
        f"on the true front with {words.probability(posterior.on_front)}",
    ]
    return "<br>".join(filter(None, lines))


def _short_hover(record: TrialRecord, front: Front, membership: Membership) -> str:
    """The shape, its objectives and its probability: of many shapes that are not on the front."""
    said = ", ".join(o.said(value) for o, value in zip(front.objectives, front.points[record.number].values, strict=True))
    chance = words.probability(membership.posteriors[record.number].on_front)
    return f"<b>{escape(record.title)}</b><br>{said}<br>on the true front with {chance}"


def band(records: Sequence[TrialRecord], curves: Curves, name: str) -> list[Trace]:
    """The middle of many curves, and where eight of ten lie, at each number of tokens that half of them reached."""
    at = sorted({tokens for record in records for tokens, _ in curves[record.number]})
    losses = np.full((len(records), len(at)), np.nan)
    for row, record in enumerate(records):
        tokens, values = np.array(curves[record.number], dtype=float).T
        inside = (tokens[0] <= at) & (np.array(at) <= tokens[-1])
        losses[row, inside] = np.interp(np.array(at)[inside], tokens, values)
    enough = np.isfinite(losses).sum(axis=0) * 2 >= len(records)
    x = np.array(at)[enough].tolist()
    low, middle, high = np.nanquantile(losses[:, enough], BAND_QUANTILES, axis=0).tolist()
    line = {"type": "scatter", "x": x, "mode": "lines", "hoverinfo": "skip"}
    edge = {"line": {"width": 0, "color": look.DOMINATED}, "showlegend": False}
    filled = {"fill": "tonexty", "fillcolor": look.BAND_FILLING, "line": {"width": 0, "color": look.DOMINATED}}
    return [
        {**line, **edge, "y": low},
        {**line, **filled, "y": high, "name": f"{BAND_QUANTILES[0]:.0%} to {BAND_QUANTILES[2]:.0%} of those {name}"},
        {**line, "y": middle, "line": {"width": 1.5, "color": look.DOMINATED}, "name": f"their median, {len(records):,} trials"},
    ]


def _measured(objective: Objective, reading: ObjectiveReading, record: TrialRecord, point: ObjectivePoint) -> str:
    """What counts, and what the search saw where that is another measurement."""
    written = objective.words.write(reading.value) if reading.spread is None else objective.spread_text(reading.spread)
    disturbed = ", disturbed" if reading.spread is not None and point.latency is not None and point.latency.disturbed else ""
    searched = objective.spread(Observed.of(record))
    before = objective.words.write(reading.searched) if searched is None else objective.spread_text(searched)
    return f"{objective.words.phrase.format(written)}{disturbed}" + (
        f"<br>measured again after the search; in it {before}" if reading.remeasured else ""
    )
