"""Conditions of a training: what it has of a machine, and who may hold it up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from search_space.errors import SpecError
from trials.study.search_spec import WorkersSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What a training has of a machine, and what may hold it up or end it; of its numbers only the rounding follows from these."""

    threads: int = 1
    """Threads of the processor."""
    device: str = "cpu"
    """Where it trains, in torch's words."""
    peak_flops: float | None = None
    """FLOPs a second of that device at its best; None for what is known of it."""
    memory_bytes: int | None = None
    """Memory that the training may take; None for most of the machine's."""
    deadline_seconds: float | None = None
    """Deadline of the whole, pauses left out; None where it may take as long as it likes."""
    pause: Callable[[], float] | None = None
    """Called before every step and every pass of an evaluation; the seconds that it returns count nowhere. None where nobody measures."""
    between_steps: Callable[[], float] | None = None
    """Called before every step alone, where the run's state is whole; the seconds that it returns count nowhere."""

    part: tuple[int, int] = (0, 1)
    """Which of how many processes this is, each with its part of every batch; torch.distributed joins them where there are several."""

    @classmethod
    def of(cls, workers: WorkersSpec) -> Self:
        """What a study states for each of its trials."""
        return cls(
            threads=workers.trial_threads,
            device=workers.device,
            peak_flops=workers.peak_flops,
            deadline_seconds=workers.deadline_seconds,
        )


ALONE = Conditions()
"""One thread of a machine where nobody else measures or trains."""


def own_sequences(sequences: int, part: tuple[int, int]) -> int:
    """Sequences of each process' part; SpecError where they cannot be shared out evenly."""
    count = part[1]
    if sequences % count:
        raise SpecError(f"batch_sequences must be a multiple of the {count} devices, found {sequences}; change one of them")
    return sequences // count
