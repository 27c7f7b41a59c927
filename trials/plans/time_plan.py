"""What a plan says of time, energy and money."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Self

from analysis.objectives.energy import training_joules
from analysis.records.stages import STAGES, Foretold
from analysis.text.words import duration, energy_text, joined

NAMED_FROM_SECONDS = 0.5
"""Stages that take less are left out of the line."""
BUSY_SHARE = 0.85
"""Share of the processors below which a plan says that the machine has other work."""


@dataclass(frozen=True, kw_only=True)
class TimePlan:
    """Seconds by stage, what they are known from, and what they cost."""

    estimated_seconds: float | None
    """Seconds from start to report; None where the study trains on a GPU that this machine has not."""
    stage_seconds: dict[str, float] | None
    """Seconds by stage; None where they are not known."""
    basis: str | None
    """What the pace is known from, in words; None where it is not known."""
    processor_share: float | None
    """Share of its processors that a trial gets beside what else is at work here now; None where it is not known."""
    training_joules: float
    """Estimated energy of the training's arithmetic alone; what memory moves, and a machine that waits, come on top."""
    price: float | None
    """Hours times the price of one, in its currency; None where no price, or no time, is known."""
    price_per_hour: float | None
    stays_open: bool
    """Whether a calibration will choose precision, threads or compiled blocks, which may make trials faster than this."""

    @classmethod
    def of(cls, told: Foretold | None, flops: float, precision: str, price_per_hour: float | None, *, stays_open: bool) -> Self:
        """The plan of what is `told`, None where nothing is known of the machine that trains."""
        known = None if told is None else told.total_seconds
        return cls(
            estimated_seconds=known,
            stage_seconds=None if told is None else dict(told.seconds),
            basis=None if told is None else told.basis,
            processor_share=None if told is None else told.processor_share,
            training_joules=training_joules(flops, precision),
            price=None if known is None or price_per_hour is None else known / 3600 * price_per_hour,
            price_per_hour=price_per_hour,
            stays_open=stays_open,
        )

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)

    def lines(self, workers: int) -> Iterator[str]:
        """Lines for a terminal."""
        if self.estimated_seconds is None or self.stage_seconds is None:
            yield "time        not known: the study trains on a GPU, and this machine has none; ask for the plan on the machine that has it"
        else:
            yield f"time        about {duration(self.estimated_seconds)} with {workers} workers on this machine, by {self.basis}"
            yield f"            {stages_text(self.stage_seconds)}"
            if self.processor_share is not None and self.processor_share < BUSY_SHARE:
                alone = duration(self.estimated_seconds * self.processor_share)
                yield f"            beside what else is at work here now; a machine of its own would take about {alone}"
        if self.stays_open and self.estimated_seconds is not None:
            yield "            a calibration will choose the rest of the way of training; these are seconds of float32, not compiled"
        yield f"energy      {energy_text(self.training_joules)} of arithmetic, an estimate; memory, and a machine that waits, come on top"
        if self.price is not None:
            yield f"money       about {self.price:,.2f} at {self.price_per_hour:g} an hour of this machine"


def stages_text(seconds: dict[str, float]) -> str:
    """`start-up 9.0 s, training 2 min 30 s and report 1.0 s`."""
    return joined([f"{title} {duration(seconds[name])}" for name, title in STAGES.items() if seconds.get(name, 0.0) >= NAMED_FROM_SECONDS])
