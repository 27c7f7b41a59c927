"""A team's decision for a trial of a study: which one, why, by whom and when. The last one counts; the earlier ones stay on record."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from analysis.records.checked import Timestamp, from_json
from analysis.records.files import append_line, read_lines

CHOICES = "choices.jsonl"
"""File of a study's directory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One decision."""

    trial: int
    because: str
    by: str
    """Who decided."""
    chosen_at: Timestamp

    def __str__(self) -> str:
        return f"#{self.trial}, by {self.by} on {self.chosen_at[:10]}: {self.because}"


def read_choice(directory: Path) -> Choice | None:
    """What was decided last; None where nothing was."""
    lines = read_lines(directory / CHOICES, lambda values: from_json(Choice, values), "a choice", "delete that line")
    return next(reversed([*lines]), None)


def append_choice(directory: Path, choice: Choice) -> None:
    """Write a decision below the earlier ones."""
    append_line(directory / CHOICES, dataclasses.asdict(choice))
