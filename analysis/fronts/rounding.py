"""What rounding costs the shapes of a study: an interval for each, and sentences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import NormalDist, median

from analysis.objectives.quality import ROUNDING_LOSS
from analysis.objectives.registry import OBJECTIVES
from analysis.records.record import TrialRecord
from analysis.records.training import Quality
from analysis.statistics.intervals import LEVEL
from analysis.text.words import ABSENT, plural
from search_space.cost import ROUNDED_PRECISIONS


def rounding_interval(quality: Quality | None) -> tuple[float, float] | None:
    """Central 90 % interval of a loss by rounding; None where it, or its standard error, was not measured."""
    if quality is None or quality.rounded is None or quality.rounded.difference_error is None or quality.rounding_loss is None:
        return None
    reach = NormalDist().inv_cdf((1 + LEVEL) / 2) * quality.rounded.difference_error
    return quality.rounding_loss - reach, quality.rounding_loss + reach


def rounding_text(loss: float | None, low: float | None, high: float | None) -> str:
    """`0.0121 (0.0103 to 0.0139)`."""
    objective = OBJECTIVES[ROUNDING_LOSS]
    if loss is None:
        return ABSENT
    return objective.cell(loss) if low is None or high is None else f"{objective.cell(loss)} ({objective.between_text(low, high)})"


def rounding_sentences(records: Sequence[TrialRecord]) -> list[str]:
    """What rounding the quality has and what that costs, and which trials were judged before it was measured; none elsewhere."""
    judged = [
        (record, record.training.validation)
        for record in records
        if record.finished and record.training is not None and record.training.validation is not None
    ]
    losses = [
        (quality.rounded.kind, quality.rounding_loss) for _, quality in judged if quality.rounded and quality.rounding_loss is not None
    ]
    said = []
    if losses:
        (runtime, precision), found = losses[0][0], [loss for _, loss in losses]
        said.append(
            f"Quality is that of the weights and activations as {runtime} rounds them to {precision}, after training; against float32 that "
            f"costs {min(found):.4f} to {max(found):.4f} bits per byte, {median(found):.4f} at the median."
        )
    if before := judged_in_float32(records):
        said.append(
            f"The quality of {plural(len(before), 'trial')} is that of float32 weights, for the directory began before quality as rounded "
            "was measured; a study in a new directory takes the trainings over and measures it."
        )
    return said


def judged_in_float32(records: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Finished trials whose latency is of rounded weights and whose quality is not: a directory that has some goes on so, for a front
    compares one kind of quality.
    """
    return [
        record
        for record in records
        if record.finished
        and record.training is not None
        and record.training.validation is not None
        and record.training.validation.rounded is None
        and record.latency is not None
        and record.latency.precision in ROUNDED_PRECISIONS
    ]
