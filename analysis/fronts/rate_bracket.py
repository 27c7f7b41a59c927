"""Whether the finalists keep their order when each is trained at the best of three learning rates."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.fronts.front import Front
from analysis.records.record import FinalRecord
from analysis.text import format as words

COMMON = 1.0
"""The factor of the study's own rate."""


def losses_of(final: FinalRecord) -> dict[float, float]:
    """Factor -> bits per byte, of the trainings that came to their end."""
    return {point.factor: point.bits_per_byte for point in final.rate_bracket if point.bits_per_byte is not None}


def overtaken(finals: Mapping[int, FinalRecord], front: Front) -> dict[int, list[int]]:
    """Each winner whose rank flips: a member of the front -> the finalists behind it at the common rate and before it at the best."""
    losses = _bracketed(finals)
    best = {number: min(each.values()) for number, each in losses.items()}
    flips = {
        winner: [other for other in losses if losses[other][COMMON] > losses[winner][COMMON] and best[other] < best[winner]]
        for winner in front.members
        if winner in losses
    }
    return {winner: others for winner, others in flips.items() if others}


def bracket_findings(finals: Mapping[int, FinalRecord], front: Front) -> list[str]:
    """What the bracket says of the ranking, in sentences; none where fewer than two finalists have one."""
    losses = _bracketed(finals)
    if len(losses) < 2:
        return []
    flips = overtaken(finals, front)
    if not flips:
        return [f"Trained at half and twice the learning rate too, the {len(losses)} finalists keep their order."]
    return [
        f"The rank of #{winner} flips with the learning rate: at its best of three it has {_best(losses[winner])}, "
        f"{words.joined([f'#{other} {_best(losses[other])}' for other in others])}."
        for winner, others in flips.items()
    ]


def _bracketed(finals: Mapping[int, FinalRecord]) -> dict[int, dict[float, float]]:
    """The losses of the finalists that have a bracket with the common rate in it."""
    found = {number: losses_of(final) for number, final in sorted(finals.items())}
    return {number: losses for number, losses in found.items() if COMMON in losses and len(losses) > 1}


def _best(losses: Mapping[float, float]) -> str:
    factor, loss = min(losses.items(), key=lambda point: point[1])
    return f"{words.quality(loss, 'bits_per_byte')} bits per byte (x{factor:g})"
