"""Attempts at a trial that its infrastructure ended: a worker or a node was gone. They are no verdict, and lie beside the records."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from analysis.records.checked import PositiveCount, Timestamp, from_json
from analysis.records.files import append_line, numbered_lines
from analysis.records.record import lost_by_number

ATTEMPTS_FILE = "attempts.jsonl"
"""File of a study's directory."""
CURE = "restore the file from a copy, or delete that line; nothing but what is said of attempts hangs on it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt at a trial that came to no end because its worker was lost."""

    number: int
    """Number of the trial."""
    attempt: PositiveCount
    """Which attempt at the trial it was, from 1, those of earlier runs counted."""
    node: str | None
    """Host and Ray's id of the node that it ran on; None where its worker did not live to tell."""
    cause: str
    """Ray's own words of the cause of death."""
    started_at: Timestamp
    """UTC, ISO 8601."""
    seconds: float
    """Seconds from its start until the loss was known."""
    progressed: bool = False
    """Whether it left a newer state for the next attempt to go on from."""

    def __str__(self) -> str:
        return f"attempt {self.attempt}{'' if self.node is None else f' on {self.node}'}: {self.cause}"


def read_attempts(directory: Path, left_out: list[str] | None = None) -> list[Attempt]:
    """Every lost attempt in the order in which they were lost; none where nothing was.

    Raises SpecError where a line is none; with `left_out`, which gets the sentences, those lines are left out.
    """
    lines = numbered_lines(directory / ATTEMPTS_FILE, lambda values: from_json(Attempt, values), "an attempt", CURE, left_out)
    return [attempt for _, attempt in lines]


def tried_again(directory: Path) -> dict[int, int]:
    """The trials that a run of this directory tries again, with the attempts at each that were lost: those that are `lost`, and those whose
    attempts have no record below them.

    Raises as `read_attempts` does.
    """
    attempts, is_lost = Counter(attempt.number for attempt in read_attempts(directory)), lost_by_number(directory)
    return {number: attempts[number] for number in sorted({*attempts, *is_lost}) if is_lost.get(number, True)}


def append_attempt(directory: Path, attempt: Attempt) -> None:
    """Write an attempt below the earlier ones."""
    append_line(directory / ATTEMPTS_FILE, dataclasses.asdict(attempt))
