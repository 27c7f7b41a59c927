"""What is known of one shape at some moment, as objectives read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from analysis.records.latency import Latency
from analysis.records.record import Costs, FinalRecord, TrialRecord
from analysis.records.task_score import TaskScore
from analysis.records.training import Quality
from search_space.architecture import Architecture


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """One shape: its closed forms always, its latency once it was measured or predicted, its quality once it was trained."""

    architecture: Architecture
    costs: Costs
    training_tokens: float | None = None
    """Tokens that its training is planned to take; None where no number of tokens is planned."""
    latency: Latency | None = None
    quality: Quality | None = None
    """Quality on the split that objectives are read from."""
    validations: Mapping[str, Quality] = field(default_factory=dict)
    """Quality on each named validation set."""
    tasks: Mapping[str, TaskScore] = field(default_factory=dict)
    """Answers to each named task."""

    @classmethod
    def of(cls, record: TrialRecord, final: FinalRecord | None = None) -> Self:
        """What a record says; a latency that was measured again after the search counts in place of the search's."""
        training = record.training
        return cls(
            architecture=record.architecture,
            costs=record.costs,
            training_tokens=training.planned_tokens if training else None,
            latency=(final.latency if final else None) or record.latency,
            quality=training.validation if training else None,
            validations=training.validations if training else {},
            tasks=training.tasks if training else {},
        )

    @classmethod
    def judged_by(cls, record: TrialRecord, quality: Quality | None) -> Self:
        """The record's shape with a quality from elsewhere: the test split's, or a fresh seed's; None where there is none."""
        return cls(architecture=record.architecture, costs=record.costs, quality=quality)
