"""What a plan said that a study would take, stage by stage, and what it then took: two small files beside the records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from analysis.records.checked import FieldError, Fraction, PositiveCount, Timestamp, from_json
from analysis.records.files import write_whole
from analysis.records.json_text import parse_json
from analysis.records.json_writer import json_of
from analysis.records.record import TrialRecord
from search_space.errors import SpecError

FORETOLD, WAS_TAKEN = "plan.json", "taken.json"
STAGES_SCHEMA = 1
STAGES: Mapping[str, str] = {
    "start_up": "start-up",
    "calibration": "calibration",
    "training": "training",
    "evaluation": "evaluation",
    "latency": "latency",
    "finals": "finals",
    "retraining": "training again",
    "tracking": "MLflow and the end of Ray",
    "report": "report",
}
"""The stages of a study one after the other, and what people call them. Those of its trials go on at once, and share the search's
seconds as they share the workers'."""
SEARCH = "search"
"""A run's trials together, from the first one's start to the last one's end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foretold:
    """What a study was planned to take when its first trial began."""

    seconds: Mapping[str, float]
    """Seconds of each of `STAGES`, on the clock of the wall."""
    machine: str
    """Processor or GPU that trains."""
    workers: PositiveCount
    basis: str
    """What the pace of training was known from, in words."""
    processor_share: Fraction
    """Share of its processors that a trial was expected to have beside other work of the machine; every second counts with it."""
    trials: PositiveCount
    training_flops: float
    training_joules: float
    """Estimated energy of the training's arithmetic alone."""
    made_at: Timestamp
    schema: int = STAGES_SCHEMA

    @property
    def total_seconds(self) -> float:
        """Seconds from start to report."""
        return sum(self.seconds.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What the runs of a study took, those that were cut off left out."""

    seconds: Mapping[str, float]
    """Seconds of each of `STAGES`."""
    begun: int
    """Runs that began to work: one that was refused before is none."""
    ended: int
    """Runs that came to their end, whose seconds these are."""
    processor_share: Fraction | None = None
    """Share of its processor that a trial of one thread had in the last of them, beside other work; None where it cannot be told."""
    schema: int = STAGES_SCHEMA

    def plus(self, seconds: Mapping[str, float], processor_share: float | None = None) -> Self:
        """All of it and what a run that came to its end took."""
        names = {**self.seconds, **seconds}
        summed = {name: self.seconds.get(name, 0.0) + seconds.get(name, 0.0) for name in names}
        return replace(self, seconds=summed, ended=self.ended + 1, processor_share=processor_share)


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a study was planned to take, and what it took; either may be unknown."""

    foretold: Foretold | None
    taken: Taken
    trained: int
    """Trials that have trained; more than were foretold where a study was continued with more."""

    @classmethod
    def of(cls, directory: Path, records: Iterable[TrialRecord]) -> Self:
        """The outlook of a study's directory; raises SpecError where a file of it is damaged."""
        return cls(read_foretold(directory), read_taken(directory), sum(record.training is not None for record in records))

    @property
    def seconds(self) -> dict[str, float]:
        """What each of `STAGES` took that is known, in their order."""
        return {name: self.taken.seconds[name] for name in STAGES if name in self.taken.seconds}


NOTHING_TAKEN = Taken(seconds={}, begun=0, ended=0)


def read_foretold(directory: Path) -> Foretold | None:
    """What was planned for a directory's study; None where nothing was. Raises SpecError for a file that holds something else."""
    found: Foretold | None = _read(directory / FORETOLD, Foretold)
    return found


def read_taken(directory: Path) -> Taken:
    """What a directory's study took so far. Raises SpecError for a file that holds something else."""
    return _read(directory / WAS_TAKEN, Taken) or NOTHING_TAKEN


def write_stages(directory: Path, known: Foretold | Taken) -> None:
    """Keep it beside the records, in one step."""
    path = directory / (FORETOLD if isinstance(known, Foretold) else WAS_TAKEN)
    write_whole(path, (json_of(asdict(known), indent=2) + "\n").encode())


def by_stage(seconds: Mapping[str, float], records: Iterable[TrialRecord], workers: int) -> dict[str, float]:
    """Seconds of one run, by stage, with its `SEARCH` shared among the `records` that the run itself made.

    What the trials took together is the search's wall time: evaluations and latencies (with waiting for them) have as much of it as they
    have of `workers` that are busy side by side, and training has the rest, with the moments in which a worker had nothing to do.
    """
    found = {name: spent for name, spent in seconds.items() if name in STAGES}
    if SEARCH not in seconds:
        return found
    evaluation = latency = 0.0
    for record in records:
        training = record.training if record.training is not None and record.training.reused_from is None else None
        judged = 0.0 if training is None else training.evaluation_seconds or 0.0
        trained = 0.0 if training is None else training.wall_seconds + (training.cooldown_seconds or 0.0)
        evaluation += judged
        latency += max(0.0, record.wall_seconds - judged - trained)
    evaluation, latency = evaluation / workers, latency / workers
    return found | {"training": max(0.0, seconds[SEARCH] - evaluation - latency), "evaluation": evaluation, "latency": latency}


def _read(path: Path, kind: type[Any]) -> Any:
    if not path.exists():
        return None
    try:
        return from_json(kind, parse_json(path.read_bytes()))
    except (FieldError, ValueError, TypeError, KeyError, AttributeError):
        raise SpecError(f"{path} must hold a study's stages of schema {STAGES_SCHEMA}, found something else; delete it") from None
