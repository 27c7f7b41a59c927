"""Trials that were trained while the latency device was away, and wait to be measured: they lie beside the records until they have one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from analysis.records.checked import from_json
from analysis.records.files import append_line, numbered_lines
from analysis.records.record import RECORDS, UNMEASURED_FILE, TrialRecord

UNMEASURED_CURE = f"restore the file from a copy, or delete that line to have the trial run again (and the trial's in {RECORDS}, if any)"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnmeasuredTrial:
    """What a trial without its latency came to, and would have come to where it might have been stopped."""

    record: TrialRecord
    """The trial's record but for the latency, and for the verdict that hangs on it."""
    looks: tuple[TrialRecord, ...] = ()
    """The record that it had at each look at which it could not be judged, in their order."""

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"record": self.record.as_dict(), "looks": [look.as_dict() for look in self.looks]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The reverse of `as_dict`; raises as `TrialRecord.from_dict` does."""
        known = from_json(_Line, values)
        return cls(record=TrialRecord.from_dict(known.record), looks=tuple(map(TrialRecord.from_dict, known.looks)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    record: Mapping[str, Any]
    looks: tuple[Mapping[str, Any], ...]


def read_unmeasured(directory: Path) -> dict[int, UnmeasuredTrial]:
    """Every trial that ever waited to be measured, by its number; those that have a record by now have been.

    Raises SpecError where a line is none.
    """
    lines = numbered_lines(directory / UNMEASURED_FILE, UnmeasuredTrial.from_dict, "a trial that waits to be measured", UNMEASURED_CURE)
    return {found.record.number: found for _, found in lines}


def append_unmeasured(directory: Path, trial: UnmeasuredTrial) -> None:
    """Write one more below the earlier ones."""
    append_line(directory / UNMEASURED_FILE, trial.as_dict())
