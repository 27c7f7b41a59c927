"""A study's trainings of all lengths together: its own, what they showed on their way, and those that were made longer afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from math import isclose
from statistics import fmean

import numpy as np

from analysis.fidelity.length_model import LengthModel, SeenLoss
from analysis.fidelity.rank_validity import LongRun
from analysis.fronts.front import Front
from analysis.records.record import TrialRecord
from analysis.records.replicates import repetitions, validation
from analysis.statistics.arrays import Array
from search_space.architecture import Architecture

SAME_LENGTH = 1e-3
"""Relative difference up to which a training is of the target's length: a person types few digits of it."""
MOST_SHAPES = 80
"""Shapes that are learnt from: of more the prospects, what was trained longer, and others evenly over their losses."""


def same_length(times: float, others: float) -> bool:
    """Whether trainings of so many times the study's tokens are of one length."""
    return isclose(times, others, rel_tol=SAME_LENGTH)


@dataclass(frozen=True, slots=True)
class LossesAhead:
    """What shapes may truly lose after longer trainings."""

    losses: Mapping[float, Array]
    """Bits per byte by the length over the study's own; shapes [draws, shapes]."""
    noises: Array
    """Standard deviation of what one training measures, in bits per byte; shape [draws]."""
    exponent: tuple[float, float] | None
    """90 % interval of the tokens' exponent; None where losses need not follow a power."""


@dataclass(frozen=True, slots=True)
class MixedLengths:
    """The trainings that longer ones are foreseen from."""

    numbers: list[int]
    """Numbers of the shapes' first trials."""
    shapes: list[Architecture]
    seen: list[SeenLoss]
    times: float
    """The target's length over the study's own."""
    measured: Mapping[int, float]
    """Mean loss of the shapes that were trained to the target's length, by number."""
    made: Set[tuple[int, float]]
    """Number and length, over the study's own, of each shape that was trained longer."""
    longer: int
    """How many trainings were longer than the study's."""

    @classmethod
    def of(
        cls, records: Sequence[TrialRecord], longer: Iterable[LongRun], times: float, front: Front, prospects: Iterable[int]
    ) -> MixedLengths | None:
        """All trainings of shapes within their limits, for a target at so many times their tokens; None where none that was longer
        finished.
        """
        allowed = {number for number, point in front.points.items() if point.infeasible is None}
        groups = {first.number: (first, *again) for first, *again in repetitions(records) if first.number in allowed}
        each = {(run.number, run.times, run.seed): run for run in longer}  # one training may stand in both files of a directory
        runs = [
            (run, run.bits_per_byte)
            for run in each.values()
            if run.bits_per_byte is not None and run.number in groups and run.architecture_key == groups[run.number][0].architecture.key
        ]
        if not runs:
            return None
        numbers = _chosen(groups, {run.number for run, _ in runs} | groups.keys() & set(prospects))
        places, trainings, seen = {number: place for place, number in enumerate(numbers)}, 0, list[SeenLoss]()
        for number in numbers:
            for record in groups[number]:
                seen += _losses(record, places[number], trainings, times)
                trainings += 1
        for run, bits in runs:
            seen.append(SeenLoss(places[run.number], trainings, run.times / times, bits))
            trainings += 1
        there = {
            run.number: [bits for other, bits in runs if other.number == run.number and same_length(other.times, times)] for run, _ in runs
        }
        return cls(
            numbers=numbers,
            shapes=[groups[number][0].architecture for number in numbers],
            seen=seen,
            times=times,
            measured={number: fmean(found) for number, found in there.items() if found},
            made={(run.number, run.times) for run, _ in runs},
            longer=len(runs),
        )

    def ahead(self, lengths: Sequence[float], draws: int, random: np.random.Generator) -> LossesAhead:
        """Draws of what the shapes lose at these lengths over the study's own, the target's among them."""
        found, noises = LengthModel(self.shapes, self.seen, random).draw([length / self.times for length in lengths], draws, random)
        by_length = {length: found[:, place] for place, length in enumerate(lengths)}
        return LossesAhead(by_length, noises * by_length[self.times].mean(), None)


def _chosen(groups: Mapping[int, Sequence[TrialRecord]], wanted: Iterable[int]) -> list[int]:
    """Numbers of the shapes that are learnt from: `wanted` ones, and others as far as there is room."""
    kept = set(wanted)
    others = sorted(groups.keys() - kept, key=lambda number: validation(groups[number][0]).bits_per_byte)
    room = max(MOST_SHAPES - len(kept), 0)
    places = np.linspace(0, len(others) - 1, min(room, len(others))).astype(int)
    return sorted(kept | {others[place] for place in places.tolist()})


def _losses(record: TrialRecord, shape: int, training: int, times: float) -> list[SeenLoss]:
    """Losses of a training of the study's own length, the ones on its way included."""
    if record.training is None:
        return []
    whole = record.training.tokens
    way = [SeenLoss(shape, training, each.tokens / whole / times, each.bits_per_byte) for each in record.training.cooldowns]
    return [*way, SeenLoss(shape, training, 1 / times, validation(record).bits_per_byte)]
