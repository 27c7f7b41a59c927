"""Figures of published models that ship with archfront, each with its source and how surely it is known: nothing here was measured here."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from analysis.records.json_text import read_json

SHIPPED_FIGURES = Path(__file__).with_suffix(".json")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedFigure:
    """One row of a published table."""

    model: str
    """The model's name, or what tells a row of an ablation from the others."""
    shape: str | None
    """The name in `archfront describe`; None where archfront has none."""
    parameters: int | None
    """Stored weights; None where the table does not say them exactly."""
    mean_accuracy_percent: float
    """Mean over the tasks of `PublishedFigures.measure`."""
    training_tokens: int
    """Tokens that it was trained on."""
    of: str
    """Which of the published tables."""
    grade: str
    """How surely the figure is known, a key of `PublishedFigures.grades`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedFigures:
    """Rows of one source."""

    source: str
    """Where the figures were published."""
    measure: str
    """What the accuracies are of."""
    grades: dict[str, str]
    """What each grade means."""
    rows: tuple[PublishedFigure, ...]
    """The rows, by table."""


@cache
def published_figures() -> PublishedFigures:
    """What ships."""
    values: dict[str, Any] = read_json(SHIPPED_FIGURES, "published figures", "install archfront again")
    rows = tuple(PublishedFigure(**row) for row in values.pop("rows"))
    return PublishedFigures(**values, rows=rows)
