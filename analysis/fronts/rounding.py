"""What rounding costs the shapes of a study: an interval for each, and sentences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import NormalDist, median

from analysis.objectives.quality import ROUNDING_LOSS
from analysis.objectives.registry import OBJECTIVES
from analysis.records.latency import Activations
from analysis.records.record import TrialRecord
from analysis.records.replicates import averaged
from analysis.records.training import Quality, RoundedKind
from analysis.statistics.intervals import LEVEL
from analysis.text.words import ABSENT, joined, plural
from search_space.cost import ROUNDED_PRECISIONS

_AS_READ: Mapping[Activations, str] = {"int8": "rounded to int8", "float32": "left in float32"}


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
    """What rounding the quality has and what that costs, whether the device is known to round so, and which trials were judged before it
    was measured; none elsewhere.
    """
    losses: dict[RoundedKind, list[float]] = {}
    for record in records:
        quality = record.training.validation if record.finished and record.training is not None else None
        if quality is not None and quality.rounded is not None and quality.rounding_loss is not None:
            losses.setdefault(quality.rounded.kind, []).append(quality.rounding_loss)
    said = []
    for (runtime, precision, read), found in losses.items():
        rounds = "weights and activations" if read == "int8" else "weights"
        said.append(
            f"Quality is that of the {rounds} as {runtime} rounds them to {precision}, after training; against float32 that "
            f"costs {min(found):.4f} to {max(found):.4f} bits per byte, {median(found):.4f} at the median."
        )
    if len(losses) > 1:
        said.append("Trials were judged by more than one way of rounding, so their qualities do not compare; take latencies on one device.")
    said += _device_sentences(records)
    if before := judged_in_float32(records):
        said.append(
            f"The quality of {plural(len(before), 'trial')} is that of float32 weights, for the directory began before quality as rounded "
            "was measured; a study in a new directory takes the trainings over and measures it."
        )
    return said


def _device_sentences(records: Sequence[TrialRecord]) -> list[str]:
    """The device's word on activations, and where it is not what the quality was judged by: it is another one, or there is none."""
    words = {
        (record.latency.activations, record.rounded_quality.read)
        for record in records
        if record.finished and record.rounded_quality is not None and record.latency is not None
    }
    said = []
    for word, read in sorted(words, key=str):
        if word is None:
            said.append(f"How the device rounds activations is not known; they were taken to be {_AS_READ[read]}.")
        elif word == read:
            said.append(f"On the device that took the latencies activations are {_AS_READ[word]}, as a known network showed there.")
        else:
            said.append(
                f"On the device that took the latencies activations are {_AS_READ[word]}, as a known network showed there, but the quality "
                f"is that of activations {_AS_READ[read]}, by which the directory's first trials were judged; a study in a new directory "
                "takes the trainings over and judges them by the device."
            )
    return said


def undecided_sentences(records: Sequence[TrialRecord], limits: Mapping[str, float]) -> list[str]:
    """Which shapes a limit of the loss by rounding keeps or lets in by chance: it lies in their intervals."""
    limit = limits.get(ROUNDING_LOSS)
    if limit is None:
        return []
    found = []
    for record in averaged(records):
        interval = rounding_interval(record.training.validation) if record.finished and record.training is not None else None
        found += [f"#{record.number}"] if interval is not None and interval[0] < limit < interval[1] else []
    if not found:
        return []
    some = f"{', '.join(found[:6])}{' and others' if len(found) > 6 else ''}"
    return [
        f"Whether {some} {'keeps' if len(found) == 1 else 'keep'} to limits.{ROUNDING_LOSS} cannot be told: it lies in the 90 % interval."
    ]


def rounds_otherwise(records: Iterable[TrialRecord], runtime: str, precision: str, read: Activations | None) -> list[str]:
    """A sentence where a study's qualities were judged by another rounding than that of a device of this runtime and precision."""
    here = (
        f"weights as {runtime} rounds them to {precision}"
        if precision in ROUNDED_PRECISIONS
        else "weights that are not rounded to so few bits"
    )
    others = set()
    for quality in (record.rounded_quality for record in records if record.finished):
        if quality is None:
            others |= {"weights in float32"} if precision in ROUNDED_PRECISIONS else set()
        elif precision not in ROUNDED_PRECISIONS or (quality.runtime, quality.precision) != (runtime, precision):
            others.add(f"weights as {quality.runtime} rounds them to {quality.precision}")
        elif read not in (None, quality.read):
            others.add(f"weights as {quality.runtime} rounds them to {quality.precision}, with activations {_AS_READ[quality.read]}")
            here = f"weights as {runtime} rounds them to {precision}, with activations {_AS_READ[read]}"
    if not others:
        return []
    return [f"Qualities are those of {joined(sorted(others))}, as the study judged them; on this device they would be those of {here}."]


def judged_activations(records: Iterable[TrialRecord]) -> Activations | None:
    """What products of rounded weights read in the first trial that was judged as rounded, by which a directory goes on; None before it."""
    return next((record.rounded_quality.read for record in records if record.finished and record.rounded_quality is not None), None)


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
        and record.rounded_quality is None
        and record.latency is not None
        and record.latency.precision in ROUNDED_PRECISIONS
    ]
