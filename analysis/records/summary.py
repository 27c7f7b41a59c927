"""What a study was asked and what it cost: the facts around its records that a report states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from analysis.records.attempt import Attempt
from analysis.records.choice import Choice
from analysis.records.record import TrialRecord
from analysis.records.stages import Outlook


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySummary:
    """The intent of a study in words, ready to be printed; filled in by whoever can read the study."""

    name: str
    study_yaml: str
    """The study as it was given."""
    directory: str
    """The study's directory as its user would type it after `archfront export`."""
    planned_trials: int
    """Shapes to sample, references not counted."""
    budget: str
    """What every shape spends, such as `250,000 parameters within 1%`."""
    space: str
    """Size of the search space, how much of it is feasible and what removes the rest; may have several lines."""
    corpus: str
    """Which text, its hash, the tokens of each split."""
    corpus_name: str = ""
    """Name of the text alone, by which longer trainings on it are found."""
    recipe: str
    """How each shape is trained."""
    latency: str
    """The workload whose time is the latency."""
    search: str
    """What proposes shapes, with which seed."""
    law: str | None = None
    """The form that a scaling study is for; None for a search."""
    without_record: Mapping[int, str] = field(default_factory=dict)
    """Planned trainings of a scaling study that have none, by number: the shape and, where known, why this machine does not run it."""
    choice: Choice | None = None
    """What a team has decided; None where it has not."""
    attempts: Sequence[Attempt] = ()
    """Attempts at trials that were lost with their workers."""
    outlook: Outlook | None = None
    """What it was planned to take, and took; None where nobody knows."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Versions, processor, git state: whatever a repetition would need to know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What the trials of a study cost together, unfinished ones included."""

    trials: int
    trained: int
    """Trials that trained here and left numbers; the other fields but `elapsed_seconds` and `trial_seconds` count only these."""
    reused: int
    """Trials that took a finished training over, which was paid for elsewhere."""
    tokens: int
    flops: float
    """Training tokens times the closed form of each shape; evaluation is left out."""
    process_seconds: float
    """Processor time of training and evaluation, all threads."""
    trial_seconds: float
    """Wall time of all trials, added up."""
    elapsed_seconds: float
    """Seconds from the first trial's start to the last one's end, interruptions of the study included."""


def totals(records: Sequence[TrialRecord]) -> Totals:
    """Add up what the trials cost."""
    left_numbers = [(record, record.training) for record in records if record.training is not None]
    trained = [(record, training) for record, training in left_numbers if training.reused_from is None]
    starts = [datetime.fromisoformat(record.started_at).timestamp() for record in records]
    ends = [start + record.wall_seconds for start, record in zip(starts, records, strict=True)]
    return Totals(
        trials=len(records),
        trained=len(trained),
        reused=len(left_numbers) - len(trained),
        tokens=sum(training.tokens for _, training in trained),
        flops=float(sum(training.tokens * record.costs.training_flops_per_token for record, training in trained)),
        process_seconds=sum(training.process_seconds for _, training in trained),
        trial_seconds=sum(record.wall_seconds for record in records),
        elapsed_seconds=max(ends) - min(starts) if records else 0.0,
    )
