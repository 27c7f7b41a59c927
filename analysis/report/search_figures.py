"""A search drawn as a whole: its best so far, what decides, its shapes as parallel coordinates, its cold starts, and both losses."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape

import plotly.graph_objects as go

from analysis.fronts.domination import hypervolume, non_dominated
from analysis.fronts.front import Front
from analysis.fronts.importance import importances
from analysis.fronts.membership import Membership
from analysis.records.record import TrialRecord
from analysis.report import theme
from analysis.report.figures import blank_figure, picture
from analysis.report.html import Html
from analysis.report.importance_figure import IMPORTANCE_CAPTION, importance_figure
from analysis.report.traces import MANY
from analysis.text import words

CAPTIONS_OF_SEARCH = {
    "best-so-far": "Hypervolume of the front after each training, in the order in which trials ended; a flat end says that the search has "
    "little left to find. Its corner is that of the whole study.",
    "importance": IMPORTANCE_CAPTION,
    "parallel": "A line for each finished shape through its dimensions and its numbers; those of the front stand out.",
    "cold-start": "From prepared files to the first token, beside the latency of the workload: loading, and the first prefill.",
    "training-loss": "Training loss, thin, and validation loss of the front's members. A training loss far below says that the text is "
    "learnt by heart.",
}
SHAPE_AXES = ("num_hidden_layers", "hidden_size", "num_attention_heads", "num_key_value_heads", "head_dim", "intermediate_size")
MOST_CURVES = 12
"""Members whose two losses are drawn."""
LEAST_MARGIN = 0.01
"""Share by which the axis of hypervolumes goes beyond them on each side, at least."""


def search_figures(records: Sequence[TrialRecord], front: Front, membership: Membership) -> dict[str, go.Figure]:
    """The figures by name; those that have nothing to draw are left out."""
    if not front.points:
        return {}
    found = {
        "best-so-far": best_so_far(records, front),
        "importance": importance_figure(importances(records, front), front),
        "parallel": parallel_coordinates(records, front),
        "cold-start": cold_starts(records, front),
        "training-loss": both_losses(records, front, membership),
    }
    return {name: figure for name, figure in found.items() if figure.data}


def search_part(records: Sequence[TrialRecord], front: Front, membership: Membership) -> list[Html]:
    """The section's content."""
    figures = search_figures(records, front, membership)
    return [picture(name, figure, CAPTIONS_OF_SEARCH[name]) for name, figure in figures.items()]


def hypervolumes(records: Sequence[TrialRecord], front: Front) -> dict[int, float]:
    """Share of the box that the front dominates once each trial has ended, by its number, in the order in which they ended.

    Each shape counts as the whole study knows it, with its replicates and second measurements.
    """
    if front.reference_point is None:
        return {}
    columns = front.problem.columns
    corner = [front.objectives[place].cost(front.reference_point[place]) for place in columns]
    box, members, found = 1.0, list[list[float]](), dict[int, float]()
    for side in corner:
        box *= side
    for record in sorted(records, key=_ended):
        point = front.points.get(record.number)
        if point is not None and point.infeasible is None:
            members.append([front.costs(record.number)[place] for place in columns])
            members = [members[index] for index in non_dominated(members)]
        found[record.number] = hypervolume(members, corner) / box if members else 0.0
    return found


def _ended(record: TrialRecord) -> tuple[float, int]:
    return datetime.fromisoformat(record.started_at).timestamp() + record.wall_seconds, record.number


def best_so_far(records: Sequence[TrialRecord], front: Front) -> go.Figure:
    """Hypervolume over trainings."""
    found = hypervolumes(records, front)
    figure = blank_figure("Best so far", "up is better")
    said = {"hovertemplate": "%{y:.2%}<extra></extra>", "name": "hypervolume"}
    line = {"color": theme.FRONT, "width": 2, "shape": "hv"}
    figure.add_trace(
        go.Scatter(x=[*range(1, len(found) + 1)], y=[round(value, 5) for value in found.values()], mode="lines", line=line, **said)
    )
    figure.update_xaxes(title_text="Trials that ended", rangemode="tozero")
    figure.update_yaxes(title_text="Hypervolume", tickformat=".1%", range=_shares_shown([*found.values()]))
    return figure


def _shares_shown(values: Sequence[float]) -> list[float] | None:
    """The least and the largest share of an axis that holds these, within 0 and 1, and not without width; None of none."""
    if not values:
        return None
    margin = max(LEAST_MARGIN, 0.05 * (max(values) - min(values)))
    return [max(0.0, min(values) - margin), min(1.0, max(values) + margin)]


def parallel_coordinates(records: Sequence[TrialRecord], front: Front) -> go.Figure:
    """A line for each finished shape through its dimensions, those that vary, and its objectives; each axis from its least to its most.

    Plotly's own kind needs WebGL, which a browser may lack.
    """
    shapes = [record for record in records if record.number in front.points]
    axes = parallel_axes(shapes, front)
    shares = [_share(values) for values in axes.values()]
    figure = blank_figure("Shapes and what they reach", "each axis from its least value, below, to its most")
    figure.update_layout(meta="parallel")  # by which the script knows that its axes' names have no room side by side on a phone
    for name, color, width, members in (("not on the front", theme.DOMINATED, 0.7, False), ("on the front", theme.FRONT, 2.0, True)):
        x, y = list[int | None](), list[float | None]()
        for place, record in enumerate(shapes):
            if (record.number in front.members) == members:
                x += [*range(len(axes)), None]
                y += [*(round(share[place], 3) for share in shares), None]
        if x:
            line = {"color": color, "width": width}
            figure.add_trace(go.Scatter(x=x, y=y, mode="lines", line=line, name=name, hoverinfo="skip", opacity=1 if members else 0.5))
    ends = [f"{name}<br>{min(values):.4g} to {max(values):.4g}" for name, values in axes.items()]
    figure.update_xaxes(tickvals=[*range(len(axes))], ticktext=ends, range=[-0.4, len(axes) - 0.6])
    return figure.update_yaxes(visible=False)


def parallel_axes(shapes: Sequence[TrialRecord], front: Front) -> dict[str, list[float]]:
    """Values of each axis by its name, in the order of the shapes."""
    found = {}
    for name in SHAPE_AXES:
        found[name.removeprefix("num_").replace("_", " ")] = [float(getattr(record.architecture, name)) for record in shapes]
    found["repeats"] = [float(record.architecture.sharing.repeats) for record in shapes]
    found = {name: values for name, values in found.items() if len(set(values)) > 1}
    for place, objective in enumerate(front.objectives):
        found[objective.words.label] = [front.points[record.number].values[place] for record in shapes]
    return found


def _share(values: Sequence[float]) -> list[float]:
    low, high = min(values), max(values)
    return [(value - low) / (high - low) if high > low else 0.5 for value in values]


def cold_starts(records: Sequence[TrialRecord], front: Front) -> go.Figure:
    """Load and first prefill over the total latency of the workload."""
    figure = blank_figure("Cold start beside latency", "down and left is better")
    timed = [(r, r.latency) for r in records if r.number in front.points and r.latency is not None and r.latency.load_ms is not None]
    for name, color, members in (("not on the front", theme.DOMINATED, False), ("on the front", theme.FRONT, True)):
        some = [(r, found) for r, found in timed if (r.number in front.members) == members]
        starts = [(found.load_ms or 0.0) + (found.first_prefill_ms or found.prefill_ms.median) for _, found in some]
        said = [f"<b>{escape(r.title)}</b><br>{words.milliseconds(start)}" for (r, _), start in zip(some, starts, strict=True)]
        if some:
            across, starts = ([round(value, 4) for value in each] for each in ([found.total_ms.median for _, found in some], starts))
            hover = {"hoverinfo": "skip"} if not members and len(timed) > MANY else {"hovertext": said, "hoverinfo": "text"}
            look = {"mode": "markers", "marker": {"color": color, "size": 9}, "name": name, **hover}
            figure.add_trace(go.Scatter(x=across, y=starts, **look))
    figure.update_xaxes(title_text="Latency, ms")
    figure.update_yaxes(title_text="Cold start, ms", rangemode="tozero")
    return figure


def both_losses(records: Sequence[TrialRecord], front: Front, membership: Membership) -> go.Figure:
    """Training and validation loss along the trainings of the likeliest members."""
    likely = sorted(front.members, key=lambda number: -membership.posteriors[number].on_front)[:MOST_CURVES]
    figure = blank_figure("Training and validation loss", words.plural(len(likely), "member") + " of the front")
    for place, kind in enumerate(("training", "validation")):
        x, y = list[int | None](), list[float | None]()
        for record in records:
            if record.number not in likely or record.training is None:
                continue
            losses = [(p.tokens, p.training_loss if kind == "training" else p.validation_loss) for p in record.training.curve]
            there = [(tokens, loss) for tokens, loss in losses if loss is not None]
            x += [*(tokens for tokens, _ in there), None]
            y += [*(loss for _, loss in there), None]
        if any(value is not None for value in y):
            look = {"color": (theme.DOMINATED, theme.FRONT)[place], "width": (1, 2)[place]}
            figure.add_trace(go.Scatter(x=x, y=y, mode="lines", line=look, name=f"{kind} loss", hoverinfo="x+y"))
    figure.update_xaxes(title_text="Training tokens", tickformat="~s", rangemode="tozero")
    figure.update_yaxes(title_text="Loss, nats per token")
    return figure
