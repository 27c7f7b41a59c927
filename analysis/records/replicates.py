"""Shapes that were trained with more than one seed: which trials belong together, and what they say as one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from math import sqrt
from statistics import fmean, variance
from typing import TypeVar

from analysis.records.record import TrialRecord
from analysis.records.task_score import mean_score
from analysis.records.training import Quality, RoundedQuality

Judged = TypeVar("Judged")


def repetitions(records: Iterable[TrialRecord]) -> list[list[TrialRecord]]:
    """Each finished shape once: its first trial, then its finished replicates, all with a validation quality."""
    finished = [record for record in records if record.finished and record.training and record.training.validation]
    groups = {record.number: [record] for record in finished if record.replicates is None}
    for record in finished:
        if record.replicates in groups:
            groups[record.replicates].append(record)
    return list(groups.values())


def validation(record: TrialRecord) -> Quality:
    """What a trial of `repetitions` measured on the validation split."""
    assert record.training is not None
    assert record.training.validation is not None
    return record.training.validation


def averaged(records: Iterable[TrialRecord]) -> list[TrialRecord]:
    """The records without the replicates, each first trial with the mean quality of its seeds: one shape is one observation."""
    records = list(records)
    means = {shape[0].number: mean_record(shape) for shape in repetitions(records)}
    return [means.get(record.number, record) for record in records if record.replicates is None]


def mean_record(shape: Sequence[TrialRecord]) -> TrialRecord:
    """The first of a shape's finished trials with the mean of all, on the validation split and on every set and task that all have."""
    first, *replicates = shape
    if not replicates:
        return first
    assert first.training is not None
    trainings = [record.training for record in shape if record.training is not None]
    sets = _means([training.validations for training in trainings], _mean)
    tasks = _means([training.tasks for training in trainings], mean_score)
    mean = _mean([validation(record) for record in shape])
    return replace(first, training=replace(first.training, validation=mean, validations=sets, tasks=tasks))


def _means(found: Sequence[Mapping[str, Judged]], mean: Callable[[Sequence[Judged]], Judged]) -> dict[str, Judged]:
    """What the first trial has by a name, as the mean of all where all have it."""
    return {name: mean([each[name] for each in found]) if all(name in each for each in found) else own for name, own in found[0].items()}


def _mean(qualities: Sequence[Quality]) -> Quality:
    return Quality(
        loss=fmean(quality.loss for quality in qualities),
        bits_per_byte=fmean(quality.bits_per_byte for quality in qualities),
        next_token_accuracy=fmean(quality.next_token_accuracy for quality in qualities),
        tokens=qualities[0].tokens,
        documents=qualities[0].documents,
        standard_error=max((found.standard_error for found in qualities if found.standard_error is not None), default=None),
        rounded=_mean_rounded(qualities),
    )


def _mean_rounded(qualities: Sequence[Quality]) -> RoundedQuality | None:
    """The mean as rounded, where all were rounded in one way; its error holds the windows', which the seeds share, and the seeds' own."""
    found = [quality.rounded for quality in qualities if quality.rounded is not None]
    if len(found) < len(qualities) or len({each.kind for each in found}) > 1:
        return None
    losses = [quality.rounding_loss for quality in qualities if quality.rounding_loss is not None]
    errors = [each.difference_error for each in found if each.difference_error is not None]
    return RoundedQuality(
        runtime=found[0].runtime,
        precision=found[0].precision,
        activations=found[0].activations,
        loss=fmean(each.loss for each in found),
        bits_per_byte=fmean(each.bits_per_byte for each in found),
        next_token_accuracy=fmean(each.next_token_accuracy for each in found),
        difference_error=sqrt(fmean(error**2 for error in errors) + variance(losses) / len(losses)) if errors else None,
    )
