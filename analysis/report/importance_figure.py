"""Importance of a shape's dimensions as bars with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from analysis.fronts.front import Front
from analysis.fronts.importance import Importance
from analysis.report import theme
from analysis.report.figures import blank_figure
from analysis.text import words

IMPORTANCE_CAPTION = (
    "How much of what sets the best shapes apart of all finished ones is each dimension's, for each objective (PED-ANOVA), with the 90 % "
    "interval over trials drawn anew; shapes that were stopped are not among them. Hollow bars are no longer than one in twenty shufflings "
    "of the values among the shapes would make them. A dimension that is important says nothing of its direction: “What moves the loss” "
    "does."
)


def importance_figure(found: Mapping[str, Sequence[Importance]], front: Front) -> go.Figure:
    """A group of bars a dimension, a bar an objective; without bars where nothing was found."""
    figure = blank_figure("What decides", "share of the importance over all dimensions")
    names = list(dict.fromkeys(each.dimension for rows in found.values() for each in rows))[::-1]
    for color, objective in zip((theme.FRONT, theme.REFERENCE, theme.DOMINATED), front.objectives, strict=False):
        rows = {each.dimension: each for each in found.get(objective.name, ())}
        if not rows:
            continue
        shown = [rows[name] for name in names]
        said = [
            f"<b>{_named(each.dimension)}</b>, {objective.words.label}<br>{each.share:.0%}, 90 %: {each.low:.0%} to {each.high:.0%}<br>"
            f"by chance up to {each.by_chance:.0%}"
            for each in shown
        ]
        beyond = {
            "array": [round(max(0.0, each.high - each.share), 4) for each in shown],
            "arrayminus": [round(max(0.0, each.share - each.low), 4) for each in shown],
        }
        bars = {"color": [color if each.stands_out else "rgba(0,0,0,0)" for each in shown], "line": {"color": color, "width": 1.5}}
        figure.add_trace(
            go.Bar(
                y=[_named(name) for name in names],
                x=[round(each.share, 4) for each in shown],
                error_x={"type": "data", "symmetric": False, "thickness": 1, "width": 3, **beyond},
                orientation="h",
                name=words.capitalised(objective.words.label),
                marker=bars,
                hovertext=said,
                hoverinfo="text",
            )
        )
    figure.update_layout(barmode="group")
    figure.update_xaxes(title_text="Importance", tickformat=".0%", rangemode="tozero")
    return figure


def _named(dimension: str) -> str:
    return dimension.removeprefix("num_").replace("_", " ")
