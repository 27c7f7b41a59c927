"""A shape as a small picture: a column for each executed block, in the tone of the stored one that it runs, and below them the heads."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.report.html import Html, element
from analysis.text import words
from search_space.architecture import Architecture

WIDTH, BLOCK_WIDTH = 220.0, 14.0
"""Pixels of all columns at most, and of one with the gap after it."""
MLP_HEIGHT, ATTENTION_HEIGHT, HEAD_SIZE = 32.0, 20.0, 4.0
"""Pixels of an MLP of `WIDEST_MLP` times the width, of attention of `WIDEST_ATTENTION` times the width, and of one head."""
WIDEST_MLP, WIDEST_ATTENTION, MOST_HEADS_DRAWN = 8.0, 2.0, 32
PALEST = 0.3
"""Opacity of the first stored block; the last one's is 1."""


def shape_code(label: str, a: Architecture) -> Html:
    """A shape's label, or its trial's title, with the shape in words as its tooltip."""
    return element("code", label, title="; ".join(words.shape(a)))


def shape_drawing(a: Architecture) -> Html:
    """An SVG element whose tooltip is the shape in words; a path for each stored MLP and attention, and one for the heads.

    Above the line the MLP, as high as its inner width over the hidden size; below it attention, as high as its heads together over the
    hidden size. What has one tone shares its weights. Heads that share keys and values stand together.
    """
    schedule = a.sharing.schedule(a.num_unique_layers)
    up = MLP_HEIGHT * min(a.intermediate_size / a.hidden_size, WIDEST_MLP) / WIDEST_MLP
    down = ATTENTION_HEIGHT * min(a.num_attention_heads * a.head_dim / a.hidden_size, WIDEST_ATTENTION) / WIDEST_ATTENTION
    unshared = range(len(schedule))
    mlp, attention = (schedule if a.sharing.part in ("block", part) else unshared for part in ("mlp", "attention"))
    below = MLP_HEIGHT + down + 4
    said = "; ".join(words.shape(a))
    return element(
        "svg",
        element("title", said),
        *_columns(mlp, MLP_HEIGHT - up, up),
        *_columns(attention, MLP_HEIGHT + 1, down),
        element("path", d=_heads(a, below)),
        width=f"{WIDTH:g}",
        height=f"{(height := up + down + HEAD_SIZE + 5):.4g}",
        viewBox=f"0 {MLP_HEIGHT - up:.4g} {WIDTH:g} {height:.4g}",
        class_="shape",
        role="img",
    )


def _columns(stored: Sequence[int], top: float, height: float) -> list[Html]:
    """A path for each stored part, with a rectangle wherever it runs."""
    step = min(BLOCK_WIDTH, WIDTH / len(stored))
    wide, count = 0.85 * step, max(stored) + 1
    paths = []
    for part in range(count):
        boxes = (f"M{depth * step:.4g} {top:.4g}h{wide:.3g}v{height:.3g}h-{wide:.3g}z" for depth, runs in enumerate(stored) if runs == part)
        tone = 1.0 if count == 1 else PALEST + (1 - PALEST) * part / (count - 1)
        paths.append(element("path", d="".join(boxes), opacity=f"{tone:.2g}"))
    return paths


def _heads(a: Architecture, top: float) -> str:
    """Squares of the heads of one block, those with the same keys and values close together."""
    group = a.num_attention_heads // a.num_key_value_heads
    places = [head * (HEAD_SIZE + 1) + head // group * HEAD_SIZE for head in range(min(a.num_attention_heads, MOST_HEADS_DRAWN))]
    return "".join(f"M{x:.4g} {top:g}h{HEAD_SIZE:g}v{HEAD_SIZE:g}h-{HEAD_SIZE:g}z" for x in places)
