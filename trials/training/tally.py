"""What a training run counts on its way, and the clock that knows what to leave out."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

from analysis.records.training import Cooldown, CurvePoint, Quality


@dataclass
class Tally:
    """Counts and seconds of one run; they travel with its checkpoints."""

    steps: int = 0
    share: float = 0.0
    """Share of the recipe that is done."""
    seconds: float = 0.0
    """Seconds of training and evaluation, pauses left out, until the last `tick`."""
    evaluation_seconds: float = 0.0
    branch_seconds: float = 0.0
    """Seconds of cooldowns' branches, which count towards the deadline alone."""
    process_seconds: float = 0.0
    peak_memory_bytes: int | None = None
    validation: Quality | None = None
    """Quality at the last evaluation."""
    curve: list[CurvePoint] = field(default_factory=list)
    cooldowns: list[Cooldown] = field(default_factory=list)
    _since: float = 0.0

    @property
    def training_seconds(self) -> float:
        """Seconds without pauses and evaluations."""
        return self.seconds - self.evaluation_seconds

    def start_clock(self) -> None:
        """Begin to count seconds; what came before is no part of the run."""
        self._since = time.perf_counter()

    def tick(self) -> None:
        """Bring `seconds` up to now."""
        now = time.perf_counter()
        self.seconds += now - self._since
        self._since = now

    def leave_out(self, seconds: float) -> None:
        """Take a pause that has just ended out of the count."""
        self._since += seconds

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """What happens inside is evaluation, also where it fails."""
        self.tick()
        before = self.seconds
        try:
            yield
        finally:
            self.tick()
            self.evaluation_seconds += self.seconds - before

    def as_dict(self) -> dict[str, Any]:
        """Plain values only."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The reverse of `as_dict`, of a checkpoint of before too, which says `rungs` for `cooldowns`."""
        values = {("cooldowns" if name == "rungs" else name): value for name, value in values.items()}
        curve = [CurvePoint(**point) for point in values["curve"]]
        validation = Quality(**values["validation"]) if values["validation"] else None
        cooldowns = [Cooldown(**cooldown) for cooldown in values["cooldowns"]]
        return cls(**{**values, "curve": curve, "cooldowns": cooldowns, "validation": validation})
