"""Whether a trial that is part of the way through its tokens may still matter to the front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

RUNGS: tuple[float, ...] = (1 / 16, 1 / 8, 1 / 4, 1 / 2)
"""Shares of a trial's tokens at which it is judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How far one trial has come."""

    number: int
    latency_ms: float | None
    """Known before the training; None where it could not be taken."""
    seen: Mapping[int, float]
    """Training tokens to validation bits per byte at that many tokens, ascending."""
    final: float | None
    """Finished bits per byte; None for a trial that has not finished."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What becomes of a trial at a rung."""

    goes_on: bool
    chance: float
    """Of mattering to the front, 0 to 1."""
    reason: str
    """One plain sentence."""


def judge(own: Course, others: Sequence[Course], tokens: int) -> Verdict:
    """Whether a trial goes on from a rung, from what it and the others lost after equally many tokens."""
    finished = [other for other in others if other.final is not None and tokens in other.seen and other.latency_ms is not None]
    if own.latency_ms is None or tokens not in own.seen or len(finished) < 8:
        return Verdict(goes_on=True, chance=1.0, reason="Too few finished trials to judge by.")
    faster = [other for other in finished if other.latency_ms is not None and other.latency_ms < own.latency_ms]
    better = [other for other in faster if other.seen[tokens] < own.seen[tokens]]
    goes_on = len(better) < 4
    return Verdict(
        goes_on=goes_on, chance=1.0 / (1 + len(better)), reason=f"{len(better)} faster trials had lost less by {tokens:,} tokens."
    )
