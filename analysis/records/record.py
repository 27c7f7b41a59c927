"""What is known of a trial: TrialRecord and FinalRecord, one JSON line each; the only state of a study."""

from __future__ import annotations

import dataclasses
import logging
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, Self, TypeVar

from analysis.records.checked import PositiveCount, PositiveFloat, Timestamp, from_json
from analysis.records.files import append_line, complete_lines, numbered_lines
from analysis.records.json_text import parse_json
from analysis.records.latency import Latency
from analysis.records.training import Quality, RoundedQuality, Training
from analysis.records.upgrade import SCHEMA, upgraded_record
from search_space.architecture import Architecture
from search_space.errors import SpecError

logger = logging.getLogger(__name__)

RECORDS, FINALS, UNMEASURED_FILE = "records.jsonl", "finals.jsonl", "unmeasured.jsonl"
Record = TypeVar("Record")


class Outcome(StrEnum):
    """How a trial ended; only a finished one may stand on a front."""

    FINISHED = "finished"
    STOPPED = "stopped"
    """Ended early, at the tokens that its record says."""
    OVER_LIMIT = "over_limit"
    """Not trained, because its latency or its memory passed a limit of the study."""
    DIVERGED = "diverged"
    OUT_OF_MEMORY = "out_of_memory"
    TIMED_OUT = "timed_out"
    FAILED = "failed"
    """Raised an exception."""
    LOST = "lost"
    """The trial's worker vanished three times without getting any further; no verdict on the shape: the next run tries it again."""


LOST_IN_LINE = f'"outcome":"{Outcome.LOST}"'.encode()
"""How a line says so; within a text its quotes would be escaped."""


class Kind(StrEnum):
    """Why a shape was tried."""

    SAMPLED = "sampled"
    REFERENCE = "reference"
    GRID = "grid"
    """A training of a scaling study's grid."""
    REPLICATE = "replicate"
    """A shape of an earlier trial with another seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Closed forms of a shape, counted before anything is built."""

    parameters: PositiveCount
    non_embedding_parameters: PositiveCount
    weight_bytes: PositiveCount
    """Bytes of the stored weights in the precision in which the study takes latencies."""
    kv_cache_bytes: PositiveCount
    """Bytes of a float16 cache after the latency workload (prompt and new tokens)."""
    decode_flops: PositiveCount
    """Forward FLOPs of the workload's last token."""
    training_flops_per_token: PositiveCount
    """Training FLOPs of one token at the proxy's context."""


def trial_title(number: int, architecture: Architecture, name: str | None, replicates: int | None) -> str:
    """`#7 12x64 4/2x16 f172`, with the shape's name, or the trial that it repeats, before the shape."""
    again = "" if replicates is None else f"replicate of #{replicates}: "
    return f"#{number} {again}{name + ': ' if name else ''}{architecture.label}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRecord:
    """One evaluated shape."""

    number: int
    """Place in the study, from 0; references come first."""
    kind: Kind
    name: str | None = None
    """Name of a reference, or of a scaling study's shape; None for other kinds."""
    replicates: int | None = None
    """The trial whose shape this one trains again with another seed; None for other kinds."""
    point: Mapping[str, Any] | None = None
    """Raw sampled values; None where nothing was sampled."""
    architecture: Architecture
    seed: int
    outcome: Outcome
    reason: str | None = None
    """Why it did not finish, in a sentence a person can act on; None where it did."""
    costs: Costs
    latency: Latency | None = None
    training: Training | None = None
    started_at: Timestamp
    """UTC, ISO 8601."""
    wall_seconds: float
    """Seconds from start to record, pauses included."""
    machine: Mapping[str, Any] = field(default_factory=dict)
    """Host, processor and library versions; `code` has digits that change with archfront's own code."""
    schema: int = SCHEMA

    @property
    def finished(self) -> bool:
        """Whether the trial may stand on a front."""
        return self.outcome is Outcome.FINISHED

    @property
    def failed(self) -> bool:
        """Whether the trial came to nothing; one that was stopped, or that a limit kept from training, did what it should."""
        return self.outcome not in (Outcome.FINISHED, Outcome.STOPPED, Outcome.OVER_LIMIT)

    @property
    def rounded_quality(self) -> RoundedQuality | None:
        """Quality on the validation split as a runtime rounds it; None where that was not measured."""
        quality = None if self.training is None else self.training.validation
        return None if quality is None else quality.rounded

    @property
    def title(self) -> str:
        """See `trial_title`."""
        return trial_title(self.number, self.architecture, self.name, self.replicates)

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON; sharing and layer types as `Architecture.as_dict` has them."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {name: _plain(value) for name, value in values.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The reverse of `as_dict`, of a line that an earlier archfront wrote too.

        Raises SpecError where a later one wrote it, ValueError where a field is wrong.
        """
        return from_json(cls, upgraded_record(values))


@dataclass(frozen=True, slots=True, kw_only=True)
class RatePoint:
    """What a finalist reaches at one of three learning rates, trained with its own seed."""

    factor: PositiveFloat
    """Rates of both optimizers over the study's."""
    bits_per_byte: PositiveFloat | None
    """Bits per byte on the validation split; None where that training did not come to its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FreshSeed:
    """A chosen shape trained once more after the selection, with a seed that had no part in it."""

    seed: int
    validation: Quality | None = None
    test: Quality | None = None
    reason: str | None = None
    """Why it did not finish; None where it did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenText:
    """What a trained shape writes after a beginning that it has not seen, sampled token by token with a seed that is always the same."""

    beginning: str
    """The first words of the test split."""
    text: str
    """How the shape goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalRecord:
    """What was measured of a chosen trial after the search; the trial's own record is never altered."""

    number: int
    """Number of the trial."""
    latency: Latency | None = None
    """Measured again on the quiet machine."""
    test: Quality | None = None
    """Quality on the test split, which no search has seen."""
    learning_rate_bracket: tuple[RatePoint, ...] = ()
    """Losses at half, once and twice the study's rate, where the report names it and `finals.learning_rate_bracket` asks for them."""
    fresh_seed: FreshSeed | None = None
    """The shape with a fresh seed, where `finals.fresh_seed` asks for it and the report names the shape."""
    written: WrittenText | None = None
    """A few lines that the trial's own weights write."""
    measured_at: Timestamp
    schema: int = SCHEMA

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The reverse of `as_dict`, of a line that an earlier archfront wrote too; raises as `TrialRecord.from_dict` does."""
        return from_json(cls, upgraded_record(values))


def read_records(directory: Path, left_out: list[str] | None = None) -> list[TrialRecord]:
    """The study's records in the order of their numbers; a last line that was cut short is left out, and a line that is there twice.

    A trial that was `lost` may have a newer line below, which counts. Raises SpecError with the line's place where one is no record, and
    with both places where two of one trial differ otherwise; with `left_out`, which gets the sentences, those lines are left out.
    """
    path, found, again = directory / RECORDS, dict[int, tuple[int, TrialRecord]](), 0
    followed = defaultdict[int, list[TrialRecord]](list)
    for line, record in _read(path, TrialRecord.from_dict, left_out):
        first, known = found.setdefault(record.number, (line, record))
        if known != record and record in followed[record.number]:
            again += 1
        elif known != record and known.outcome is Outcome.LOST:
            followed[record.number].append(known)
            found[record.number] = line, record
        elif known != record:
            said = (
                f"{path} must have one record of trial {record.number}, found two that differ in lines {first} and {line}; "
                "delete the one that does not belong there"
            )
            if left_out is None:
                raise SpecError(said)
            left_out.append(said)
        else:
            again += first != line
    if again:
        _warn_once(f"{path} has lines more than once ({again} of them, as in a file that was put together); each counts once")
    return [found[number][1] for number in sorted(found)]


def read_record(directory: Path, number: int) -> TrialRecord | None:
    """The newest record of one trial, the others not parsed; None where there is none."""
    start = f'{{"number":{number},'.encode()  # as `append` begins its lines
    lines = [line for _, line in complete_lines(directory / RECORDS) if line.startswith(start)]
    return TrialRecord.from_dict(parse_json(lines[-1])) if lines else None


def lost_by_number(directory: Path) -> dict[int, bool]:
    """Whether each trial with a record is `lost` by the newest, told from the lines' beginnings and words: nothing is parsed."""
    found = {}
    for _, line in complete_lines(directory / RECORDS):
        if (number := re.match(rb'\{"number":(\d+),', line)) is not None:
            found[int(number[1])] = LOST_IN_LINE in line
    return found


def read_finals(directory: Path, left_out: list[str] | None = None) -> dict[int, FinalRecord]:
    """The newest FinalRecord of each trial that has one; `left_out` as in `read_records`."""
    return {final.number: final for _, final in _read(directory / FINALS, FinalRecord.from_dict, left_out)}


def append(directory: Path, record: TrialRecord | FinalRecord) -> None:
    """Write one line and bring it to the disk; a line that an earlier crash cut short is removed first.

    One process writes: the study's lock sees to that.
    """
    append_line(directory / (RECORDS if isinstance(record, TrialRecord) else FINALS), record.as_dict())


def _read(path: Path, parse: Callable[[Mapping[str, Any]], Record], left_out: list[str] | None) -> Iterator[tuple[int, Record]]:
    """What is on each line, with the line's number."""
    cure = f"restore the file from a copy, or delete that line to have the trial run again (and the trial's in {UNMEASURED_FILE}, if any)"
    return numbered_lines(path, parse, f"a record of schema 1 to {SCHEMA}", cure, left_out)


@cache
def _warn_once(text: str) -> None:
    """A study's records are read several times."""
    logger.warning(text)


def _plain(value: Any) -> Any:
    """JSON types only; a number that is not finite is absent (None), never NaN."""
    if isinstance(value, Architecture):
        return value.as_dict()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        if hasattr(value, "as_dict"):
            return value.as_dict()
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value
