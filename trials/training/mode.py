"""Which way of making training steps a machine is fastest in: what was timed, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from analysis.text import words

LEAST_SAVING = 0.03
"""A way must save this share of a trial, also where its slowest timing stands against the fastest of the way before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingMode:
    """How training steps are made."""

    precision: str = "float32"
    """Precision of the products."""
    threads: int = 1
    compile: bool = False
    """Whether torch compiles the blocks."""

    def __str__(self) -> str:
        return f"{self.precision}, {words.plural(self.threads, 'thread')}, blocks {'compiled' if self.compile else 'not compiled'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedMode:
    """A way, and what it takes."""

    way: TrainingMode
    seconds_per_token: float
    """Mean over the timed shapes."""
    start_seconds: float
    """Seconds before the first step: compiling."""

    def trial_seconds(self, tokens: float) -> float:
        """Seconds of a trial of so many tokens."""
        return self.start_seconds + tokens * self.seconds_per_token


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What was timed on a machine, and what was chosen from it."""

    chosen: TrainingMode
    machine: str
    """Processor or GPU."""
    shapes: tuple[str, ...] = ()
    """Labels of the timed shapes; none where nothing was to be chosen."""
    tokens: float | None = None
    """Tokens of the trial that was to be fast; None where nothing was timed."""
    timed: tuple[TimedMode, ...] = ()
    """Every timing, in the order in which they were taken."""

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The reverse of `as_dict`; raises TypeError or KeyError for anything else."""
        timed = tuple(TimedMode(**{**each, "way": TrainingMode(**each["way"])}) for each in values["timed"])
        return cls(**{**values, "chosen": TrainingMode(**values["chosen"]), "shapes": tuple(values["shapes"]), "timed": timed})


def saves(rival: Sequence[TimedMode], present: Sequence[TimedMode], tokens: float) -> bool:
    """Whether every timing of a rival makes a trial of so many tokens shorter, by more than MARGIN, than all of the present way do."""
    slowest, fastest = (pick(each.trial_seconds(tokens) for each in timed) for pick, timed in ((max, rival), (min, present)))
    return slowest < (1 - LEAST_SAVING) * fastest
