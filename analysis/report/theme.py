"""The common look of every figure: white, a quiet grid, the legend below, colours for all eyes.

The colours are those of Okabe and Ito (2008), told apart with every common kind of colour blindness.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

FRONT, REFERENCE, DOMINATED, UNFINISHED, INK = "#0072B2", "#D55E00", "#AEB7C0", "#8A8F98", "#1F2933"
STUDIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F", "#B8A800")
"""Colours of the studies of one page, in their order."""
SYMBOLS = ("diamond", "square", "triangle-up", "star", "pentagon", "hexagon")
"""Symbols of the references, in their order."""
INTERVAL = "#B9D3E8"
"""Pale enough that points and lines read above it."""
BAND_FILLING = "rgba(174, 183, 192, 0.3)"
"""Filling of a band of many curves."""
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
COLOR_SCALE = "Viridis"
"""Plotly's name of the scale that tells a third objective."""
LINE_COLOR, GRID_COLOR = "#9AA5B1", "#E4E8EC"
HEIGHT = 520
OPTIONS: dict[str, Any] = {
    "displaylogo": False,
    "responsive": True,
    "modeBarButtons": [["toImage", "zoom2d", "pan2d", "resetScale2d"]],  # plotly's own set has one that uploads the figure
}
"""Options for plotly's `config` wherever a figure becomes HTML."""
LOG_SPAN = 3.0
"""An axis is logarithmic where its largest value is more than this many times the smallest."""


def layout(title: str, note: str) -> dict[str, Any]:
    """Plotly's layout of a figure with a title and a quieter line below it."""
    axis: dict[str, Any] = {
        "gridcolor": GRID_COLOR,
        "linecolor": LINE_COLOR,
        "tickcolor": LINE_COLOR,
        "showline": True,
        "zeroline": False,
        "ticks": "outside",
        "automargin": True,
        "title": {"font": {"size": 14}},
    }
    heading = {"text": title, "font": {"size": 18}, "subtitle": {"text": note, "font": {"size": 13}}}
    return {
        "title": {**heading, "x": 0, "xref": "container", "xanchor": "left", "pad": {"l": 12}},
        "font": {"family": FONT, "size": 14, "color": INK},
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "xaxis": axis,
        "yaxis": axis,
        "height": HEIGHT,
        "margin": {"l": 64, "r": 24, "t": 84, "b": 56},
        "legend": {"orientation": "h", "x": 0, "y": -0.16, "yanchor": "top", "font": {"size": 13}},
        "hoverlabel": {"bgcolor": "white", "bordercolor": LINE_COLOR, "align": "left", "font": {"family": FONT, "size": 13, "color": INK}},
        "hovermode": "closest",
        "modebar": {"bgcolor": "rgba(0,0,0,0)"},
    }


def wants_log(values: Sequence[float]) -> bool:
    """Whether the values span enough for a logarithmic axis."""
    return max(values) > LOG_SPAN * min(values)


def log_ticks(values: Sequence[float]) -> list[float]:
    """Round numbers over a logarithmic axis: 1, 2, 5 of each decade, and a few more where there is about one decade."""
    low, high = min(values), max(values)
    digits = (1.0, 2.0, 5.0) if high > 15 * low else (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [digit * 10.0**decade for decade in decades for digit in digits]
