"""Points of MLflow's metrics, and a learning curve as such, whole or on its way. Pure data."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from analysis.records.record import TrialRecord
from analysis.records.training import CurvePoint

MOST_POINTS = 12
"""Points of a training loss beside those of the validation loss: MLflow keeps 275 bytes and three indices for each (docs/findings.md,
2026-11-29: what MLflow's runs cost)."""
CURVES = ("training_loss", "validation_loss")


class MetricPoint(NamedTuple):
    """One value of one metric."""

    name: str
    value: float
    step: int
    """Training tokens on a curve; 0 for what is said once, which MLflow then draws as a bar."""
    time_ms: int
    """Since the epoch; pauses of the training are not in it."""


def curve_of(record: TrialRecord, started_ms: int) -> Iterator[MetricPoint]:
    """Training and validation loss over tokens; a finished trial's curve ends in the loss that counts."""
    training = record.training
    if training is None:
        return
    shown = [*_thinned(training.curve, training.planned_tokens), *training.curve[-1:]]
    points = {(point.name, point.step): point for point in _points(shown, started_ms)}
    if record.finished and training.validation:
        ended_ms = started_ms + round(1000 * record.wall_seconds)
        points["validation_loss", training.tokens] = MetricPoint("validation_loss", training.validation.loss, training.tokens, ended_ms)
    yield from sorted(points.values(), key=lambda point: point.step)


def growing_curve(curve: Sequence[CurvePoint], planned_tokens: int | None, started_ms: int) -> list[MetricPoint]:
    """What the run of a trial on its way shows of its curve so far: points that its record's run will have too.

    The last point of a training is left to the record, which says whether it counts; where a training is to last seconds, only what was
    evaluated is shown, for its share of the whole is known at its end.
    """
    if planned_tokens is None:
        return list(_points((point for point in curve if point.validation_loss is not None), started_ms))
    return list(_points(_thinned([point for point in curve if point.tokens < planned_tokens], planned_tokens), started_ms))


def _points(curve: Iterable[CurvePoint], started_ms: int) -> Iterator[MetricPoint]:
    for point in curve:
        for name in CURVES:
            value: float | None = getattr(point, name)
            if value is not None and math.isfinite(value):
                yield MetricPoint(name, value, point.tokens, started_ms + round(1000 * point.seconds))


def _thinned(curve: Iterable[CurvePoint], planned_tokens: int) -> Iterator[CurvePoint]:
    """The points with a validation loss, and the first in each part of the planned tokens, so that `MOST_POINTS` are not passed.

    Whether a point is shown does not depend on those after it: a curve on its way is the beginning of the one that it becomes.
    """
    last = -1
    for point in curve:
        part = (MOST_POINTS - 1) * point.tokens // max(1, planned_tokens)
        if part > last or point.validation_loss is not None:
            yield point
        last = max(last, part)


def epoch_ms(time: str) -> int:
    """A record's time in milliseconds since the epoch."""
    return round(1000 * datetime.fromisoformat(time).timestamp())
