"""Shapes that were trained with more than one seed: which trials belong together, and what they say as one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from statistics import fmean

from analysis.records.record import TrialRecord
from analysis.records.training import Quality


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
    means = {first.number: _mean([first, *again]) for first, *again in repetitions(records) if again}
    return [means.get(record.number, record) for record in records if record.replicates is None]


def _mean(records: list[TrialRecord]) -> TrialRecord:
    first = records[0]
    qualities = [validation(record) for record in records]
    assert first.training is not None
    mean = Quality(
        loss=fmean(quality.loss for quality in qualities),
        bits_per_byte=fmean(quality.bits_per_byte for quality in qualities),
        next_token_accuracy=fmean(quality.next_token_accuracy for quality in qualities),
        tokens=qualities[0].tokens,
    )
    return replace(first, training=replace(first.training, validation=mean))
