"""A scaling study drawn with Plotly: the law over the runs, isoFLOP parabolas, residuals, intervals, backtests, and depth against width."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from analysis.laws.fit_law import Study
from analysis.laws.fit_result import describe_backtest
from analysis.laws.isoflop import IsoFlop
from analysis.laws.runs import Runs
from analysis.report import theme
from analysis.report.figures import blank_figure
from analysis.report.traces import Trace
from analysis.statistics.arrays import Array
from analysis.statistics.intervals import LEVEL

SLICE_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
"""Okabe and Ito's, for slices."""
POINT = "#7B8794"
"""Colour of a run: reads on white and on black."""
BUDGET_COLORS = (0.25, 0.85)
"""Part of the scale Viridis that budgets are coloured with, from the smallest to the largest."""
TITLES = {
    "flops": "Training FLOPs",
    "params": "Parameters N",
    "tokens": "Training tokens D",
    "width": "Width (hidden size)",
    "depth": "Depth (blocks stored)",
}
DRAWN_BEYOND = 10.0
"""How far a law is drawn past the largest run, in times."""
DECADES = 1000.0
"""Span of an axis above which it has whole decades alone."""
LINE_POINTS = 60
SLICED_AT = (0.1, 0.5, 0.9)
"""Quantiles of the other variable at which a law is drawn, where it has more values than there are colours."""
SHORT = {"params": "N", "tokens": "D", "flops": "FLOPs"}


def loss_figure(study: Study, axis: str) -> go.Figure:
    """Loss of the runs over FLOPs, N or D with the law and its band: at the best allocation, or at three values of the other variable."""
    values, slices = study.runs.variables[axis], _slices(study, axis)
    note = f"lines: {study.form.formula}; shaded: where {LEVEL:.0%} of new runs are expected"
    figure = blank_figure(f"Loss against {TITLES[axis][0].lower()}{TITLES[axis][1:]}", note)
    runs = _points(values, study.runs.losses, "runs")
    if len(slices) > 1:  # then a run has the colour of the line whose value is nearest to its own
        other = _other(axis)
        held = np.log([points[other][0] for points in slices.values()])
        nearest = np.abs(np.log(study.runs.variables[other])[:, None] - held).argmin(axis=1)
        runs = {**runs, "marker": {**runs["marker"], "color": [SLICE_COLORS[place] for place in nearest]}, "showlegend": False}
    figure.add_trace(runs)
    for (name, points), color in zip(slices.items(), SLICE_COLORS, strict=False):
        band = study.band(points)
        figure.add_traces(_banded(points[axis], band.low, band.centre, band.high, name, color))
    _mark_largest(figure, float(values.max()))
    figure.update_xaxes(title_text=TITLES[axis], **_log_axis(np.array([values.min(), values.max() * DRAWN_BEYOND])))
    return figure.update_yaxes(type="log", title_text="Loss, nats per token")


def points_figure(runs: Runs, predicted: Array | None = None) -> go.Figure:
    """Loss of the runs over FLOPs where no line can be drawn; with `predicted` (rows,), what the law says at each run."""
    note = f"{len(runs)} losses, no law drawn" if predicted is None else "the law depends on more than FLOPs: a cross at each run"
    figure = blank_figure("Loss against training FLOPs", note)
    figure.add_trace(_points(runs.variables["flops"], runs.losses, "runs", theme.FRONT))
    if predicted is not None:
        law = _points(runs.variables["flops"], predicted, "law at each run", theme.REFERENCE)
        figure.add_trace({**law, "marker": {"color": theme.REFERENCE, "size": 8, "symbol": "x-thin-open"}})
    figure.update_xaxes(title_text=TITLES["flops"], **_log_axis(runs.variables["flops"]))
    return figure.update_yaxes(type="log", title_text="Loss, nats per token")


def isoflop_figure(found: IsoFlop, runs: Runs) -> go.Figure:
    """Loss over N at each budget with its parabola, the minima joined by their power law."""
    exponent = found.parameters["a"]
    figure = blank_figure("Loss against size at equal FLOPs", f"crosses: minima, whose size grows as FLOPs<sup>{exponent:.3f}</sup>")
    shades = sample_colorscale("Viridis", np.linspace(*BUDGET_COLORS, len(found.parabolas)).tolist())
    for parabola, color in zip(found.parabolas, shades, strict=True):
        rows = np.array(parabola.rows)
        sizes = np.geomspace(runs.variables["params"][rows].min(), runs.variables["params"][rows].max(), LINE_POINTS)
        curve = parabola.loss * np.exp(parabola.curvature * np.log(sizes / parabola.params) ** 2)
        label = _power(parabola.flops)
        figure.add_trace(_points(runs.variables["params"][rows], runs.losses[rows], label, color))
        figure.add_trace(_line(sizes, curve, label, color, legend=False))
    minima = [(parabola.params, parabola.loss) for parabola in found.parabolas]
    sizes, losses = np.array(minima).T
    figure.add_trace(
        {**_line(sizes, losses, "minima", theme.REFERENCE, dash="dot"), "mode": "lines+markers", "marker": {"symbol": "x", "size": 9}}
    )
    figure.update_layout(legend_title_text="FLOPs")
    figure.update_xaxes(title_text=TITLES["params"], **_log_axis(runs.variables["params"]))
    return figure.update_yaxes(type="log", title_text="Loss, nats per token")


def residuals_figure(study: Study) -> go.Figure:
    """What the law leaves of each run's loss, over FLOPs: structure here is what the law does not know."""
    residuals = 100 * (np.exp(study.refits.fit.residuals) - 1)
    spread = float(np.std(residuals))
    figure = blank_figure("Residuals over training FLOPs", f"observed over predicted loss; standard deviation {spread:.2f} %")
    figure.add_trace(_points(study.runs.variables["flops"], residuals, "runs"))
    figure.add_hline(y=0, line={"color": theme.LINE_COLOR})
    figure.update_xaxes(title_text=TITLES["flops"], **_log_axis(study.runs.variables["flops"]))
    return figure.update_yaxes(title_text="Observed above predicted loss, %")


def intervals_figure(study: Study) -> go.Figure:
    """Each parameter's interval relative to its value, on one scale; those that the runs do not determine are marked."""
    fit, unidentified = study.refits.fit.parameters, study.refits.unidentified
    shown = {name: ends for name, ends in reversed(study.refits.intervals.items()) if name not in study.refits.without_width}
    drawn = {name: (low / fit[name], high / fit[name]) for name, (low, high) in shown.items() if low > 0}
    unsure = ", ".join(name for name in fit if name in shown and name not in drawn)
    note = f"bars: {LEVEL:.0%} intervals over the fitted value" + (f"; not drawn, since it may be 0: {unsure}" if unsure else "")
    figure = blank_figure("How well each parameter is known", note)
    if not drawn:
        return figure
    for name, ends in drawn.items():
        label = f"{name} = {fit[name]:.4g}" + (", not identified" if name in unidentified else "")
        line = {"color": theme.REFERENCE if name in unidentified else theme.FRONT, "width": 6}
        figure.add_trace({**_line(ends, [label] * 2, label, theme.FRONT, legend=False), "line": line})
        figure.add_trace({**_points([1.0], [label], label, theme.INK), "showlegend": False})
    figure.add_vline(x=1, line={"color": theme.LINE_COLOR, "dash": "dot"})
    span = np.array([end for ends in drawn.values() for end in ends])
    span = np.array([span.min() * 0.9, span.max() * 1.1])
    return figure.update_xaxes(title_text="Times the fitted value", range=np.log10(span), **_log_axis(span))


def backtest_figure(study: Study) -> go.Figure:
    """Errors of the law on the runs that each cut hid, with the share that the bands held."""
    answer = describe_backtest(study)
    figure = blank_figure("Predictions of hidden runs", answer["headline"])
    rows = list(zip(study.cuts, answer["cuts"], strict=True))
    for cut, row in reversed(rows):
        errors = 100 * np.expm1(cut.forecasts[study.form.name].centre - cut.logs)
        held = "" if row["covered"] is None else f", held {row['covered']:.0%}"
        label = f"{SHORT.get(cut.axis, cut.axis)} up to {_count(cut.limit)}: {row['hidden']} hidden{held}"
        mean = {**_points([errors.mean()], [label], label), "marker": {"color": theme.FRONT, "size": 11}}
        figure.add_traces([{**each, "showlegend": False} for each in (_points(errors, [label] * len(errors), label), mean)])
    figure.add_vline(x=0, line={"color": theme.LINE_COLOR})
    return figure.update_xaxes(title_text="Predicted above observed loss, % (grey: hidden runs; blue: their mean)")


def shape_figure(study: Study) -> go.Figure:
    """Predicted loss over width and depth at the runs' largest token count, one execution a block, with the measured shapes on it."""
    variables = study.runs.variables
    width, depth = (np.geomspace(variables[name].min(), variables[name].max(), LINE_POINTS) for name in ("width", "depth"))
    wide, deep = (part.ravel() for part in np.meshgrid(width, depth))
    fixed = {"tokens": np.full(wide.shape, variables["tokens"].max()), "repeats": np.ones(wide.shape)}
    losses = study.refits.fit.predict({"width": wide, "depth": deep, **fixed}).reshape(LINE_POINTS, LINE_POINTS)
    figure = blank_figure(
        "Depth against width", f"predicted loss at {_count(variables['tokens'].max())} tokens; points: shapes that were trained"
    )
    lines = {"coloring": "fill", "showlabels": True, "labelfont": {"size": 12, "color": theme.INK}}
    contour = {"type": "contour", "x": width, "y": depth, "z": losses, "contours": lines, "colorscale": [[0, theme.INTERVAL], [1, "white"]]}
    figure.add_trace({**contour, "line": {"color": theme.FRONT, "width": 1}, "showscale": False, "name": "law"})
    figure.add_trace(_points(variables["width"], variables["depth"], "runs", theme.REFERENCE))
    figure.update_xaxes(title_text=TITLES["width"], **_log_axis(width))
    return figure.update_yaxes(title_text=TITLES["depth"], **_log_axis(depth))


def best_allocation(study: Study, flops: Array) -> dict[str, Array]:
    """Points (params, tokens, flops) where the law is lowest for each of `flops` (points,), within the drawn range."""
    params, each = study.runs.variables["params"], _flops_each(study.runs)
    sizes = np.geomspace(params.min() / DRAWN_BEYOND, params.max() * DRAWN_BEYOND, 400)
    grid = {"params": np.tile(sizes, len(flops)), "flops": np.repeat(flops, len(sizes))}
    grid["tokens"] = grid["flops"] / each / grid["params"]
    best = study.refits.fit.predict(grid).reshape(len(flops), len(sizes)).argmin(axis=1)
    return {"params": sizes[best], "tokens": flops / each / sizes[best], "flops": flops}


def _flops_each(runs: Runs) -> float:
    """Training FLOPs per parameter and token: 6 where attention and embeddings are left out, else the runs' median."""
    return float(np.median(runs.variables["flops"] / (runs.variables["params"] * runs.variables["tokens"])))


def _other(axis: str) -> str:
    return "tokens" if axis == "params" else "params"


def _slices(study: Study, axis: str) -> dict[str, dict[str, Array]]:
    """Named rows of points along the axis, a little past the largest run: one for each value of the other variable, where these are few."""
    values = study.runs.variables[axis]
    along = np.geomspace(values.min(), values.max() * DRAWN_BEYOND, LINE_POINTS)
    if study.form.variables == (axis,):
        return {"law": {axis: along}}
    if axis == "flops":
        return {"law at its best allocation": best_allocation(study, along)}
    other = _other(axis)
    held = np.unique(study.runs.variables[other])
    if len(held) > len(SLICE_COLORS):
        held = np.unique(np.quantile(study.runs.variables[other], SLICED_AT, method="nearest"))
    flops = {value: _flops_each(study.runs) * along * value for value in held}
    return {f"{SHORT[other]} = {_count(value)}": {axis: along, other: np.full(LINE_POINTS, value), "flops": flops[value]} for value in held}


def _mark_largest(figure: go.Figure, value: float) -> None:
    """An upright line where the runs end and the law goes on alone."""
    figure.add_vline(x=value, line={"color": theme.LINE_COLOR, "dash": "dot"})
    figure.add_annotation(
        x=math.log10(value),  # plotly wants the exponent on such an axis
        y=1, yref="paper", text="largest run", showarrow=False, xanchor="right", yanchor="top", xshift=-4,
        font={"color": POINT, "size": 12},
    )  # fmt: skip


def _count(value: float) -> str:
    """`160k`, `2.98B`; from 10^15 on, as FLOPs are, a power of ten."""
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if size <= value < 1e15:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}" if value < 1e15 else _power(value)


def _power(value: float) -> str:
    """`2.3 × 10` with its exponent raised, as plotly writes markup."""
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa.removesuffix('.0')} × 10<sup>{int(exponent)}</sup>"


def _banded(x: Array, low: Array, centre: Array, high: Array, name: str, color: str) -> list[Trace]:
    shade = {"type": "scatter", "x": [*x, *x[::-1]], "y": [*high, *low[::-1]], "fill": "toself", "fillcolor": color, "opacity": 0.18}
    return [{**shade, "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False, "name": name}, _line(x, centre, name, color)]


def _line(x: Sequence[float] | Array, y: Sequence[Any] | Array, name: str, color: str, dash: str = "solid", legend: bool = True) -> Trace:
    line = {"color": color, "width": 2, "dash": dash}
    return {"type": "scatter", "mode": "lines", "x": list(x), "y": list(y), "name": name, "line": line, "showlegend": legend}


def _points(x: Sequence[float] | Array, y: Sequence[Any] | Array, name: str, color: str = POINT) -> Trace:
    marker = {"color": color, "size": 7, "line": {"color": "white", "width": 0.5}}
    return {"type": "scatter", "mode": "markers", "x": list(x), "y": list(y), "name": name, "marker": marker}


def _log_axis(values: Array) -> Trace:
    """A logarithmic axis with decades where there are several, and with round numbers where there are not."""
    low, high = float(values.min()), float(values.max())
    if high > DECADES * low:
        first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
        ticks = [10.0**decade for decade in range(first, last + 1)]
    else:
        ticks = theme.log_ticks([low, high])
    return {"type": "log", "tickvals": ticks, "ticktext": [_tick(tick) for tick in ticks]}


def _tick(value: float) -> str:
    """A number along an axis, written by `_count`; a bare power of ten has no factor before it."""
    return _count(value).removeprefix("1 × ")


def scaling_figures(study: Study) -> Mapping[str, go.Figure]:
    """Every figure that the study's form can have, by name."""
    variables = set(study.form.variables)
    drawn = [axis for axis in ("flops", "params", "tokens") if variables in ({axis}, {"params", "tokens"})]
    figures = {f"loss_{axis}": loss_figure(study, axis) for axis in drawn}
    figures |= {"residuals": residuals_figure(study), "intervals": intervals_figure(study), "backtest": backtest_figure(study)}
    return figures | ({"shape": shape_figure(study)} if {"width", "depth"} <= set(study.form.variables) else {})
