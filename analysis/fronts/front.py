"""Which finished trials nothing else beats in latency and quality together, and what that front looks like in numbers.

A place's latency is the one measured again on the quiet machine where there is one, else the one of the search; its quality is the
validation split's. What the test split says is never used to choose. Accuracy is turned into its error rate, so that inside this file
both numbers of a point are better where they are smaller.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

import numpy as np

from analysis.fronts.domination import hypervolume, knee, non_dominated
from analysis.records.latency import Latency
from analysis.records.record import FinalRecord, Kind, TrialRecord
from analysis.records.replicates import repetitions, validation

QualityName = Literal["bits_per_byte", "next_token_accuracy"]
LOGARITHMIC = (True, False)
"""Whether the knee sees latency and quality as logarithms."""
REFERENCE_MARGIN = 1.1
"""The hypervolume's reference point lies this much beyond the worst reference shape in each number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectivePoint:
    """Where one shape stands: a finished trial with its replicates."""

    number: int
    """Of the trial that was the shape's first."""
    kind: Kind
    latency: Latency
    """The one that counts: measured again after the search, or the search's own where that is missing."""
    searched_latency: Latency
    """The search's own."""
    quality: float
    """On the validation split, the mean of the shape's seeds; bits per byte, or the share of right next tokens."""
    qualities: tuple[float, ...]
    """Of each seed, the trial's own first."""
    latencies_ms: tuple[float, ...]
    """The search's medians of the whole workload, of the trial and its replicates."""

    @property
    def latency_ms(self) -> float:
        """Median of the whole workload."""
        return self.latency.total_ms.median


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """The trials that nothing beats, and where all finished trials stand."""

    quality: QualityName
    places: Mapping[int, ObjectivePoint]
    """Every shape that may stand on a front, by the number of its first trial."""
    members: tuple[int, ...]
    """Numbers of the trials on the front, fastest first; equal points are all members, lower number first."""
    reference_point: tuple[float, float] | None
    """Latency in ms and quality that the hypervolume is measured from; None where nothing finished."""
    hypervolume: float
    """Share, 0 to 1, of the box between zero and the reference point that the front dominates (for accuracy: zero error)."""
    knee: int | None
    """The member where giving up latency for quality stops paying; None where nothing finished."""

    @property
    def fastest(self) -> int | None:
        """The member with the least latency."""
        return self.members[0] if self.members else None

    @property
    def most_accurate(self) -> int | None:
        """The member with the best quality, the fastest of equals."""
        best = min((self.cost(number) for number in self.members), default=None)
        return next((number for number in self.members if self.cost(number) == best), None)

    def cost(self, number: int) -> float:
        """The quality of a place as a number that is better where smaller: bits per byte, or the error rate."""
        return self.cost_of(self.places[number].quality)

    def cost_of(self, quality: float) -> float:
        """Bits per byte as they are, accuracy as error rate; the same turns a cost back into a quality."""
        return _cost(quality, self.quality)

    def beats(self, one: int, other: int) -> bool:
        """Whether one place is at least as good as another in both numbers and better in one."""
        a, b = self.places[one].latency_ms, self.places[other].latency_ms
        return a <= b and self.cost(one) <= self.cost(other) and (a, self.cost(one)) != (b, self.cost(other))


def front_of(
    records: Iterable[TrialRecord], finals: Mapping[int, FinalRecord] | None = None, quality: QualityName = "bits_per_byte"
) -> Front:
    """The front of a study.

    A measurement after the search may move a member off the front and let a trial without one onto it: whoever measures should
    repeat until every member has its final record.
    """
    places = {place.number: place for place in _places(records, finals or {}, quality)}
    numbers = list(places)
    points = [(place.latency_ms, _cost(place.quality, quality)) for place in places.values()]
    corner = reference_point([(point, place.kind) for point, place in zip(points, places.values(), strict=True)])
    return Front(
        quality=quality,
        places=places,
        members=tuple(numbers[index] for index in non_dominated(points)),
        reference_point=None if corner is None else (corner[0], _cost(corner[1], quality)),
        hypervolume=0.0 if corner is None else hypervolume(points, corner) / (corner[0] * corner[1]),
        knee=numbers[knee(points, LOGARITHMIC)] if points else None,
    )


def reference_point(points: Sequence[tuple[tuple[float, float], Kind]]) -> tuple[float, float] | None:
    """The corner that the hypervolume is measured from: 1.1 times the worst value among the finished references, in each number.

    References come first in a study, so the corner stands still while the search goes on and the hypervolume can only grow. Where no
    reference finished it is 1.1 times the worst of all points, and moves with them; None without points.
    """
    chosen = [point for point, kind in points if kind is Kind.REFERENCE] or [point for point, _ in points]
    if not chosen:
        return None
    worst = np.max(chosen, axis=0) * REFERENCE_MARGIN
    return float(worst[0]), float(worst[1])


def _places(records: Iterable[TrialRecord], finals: Mapping[int, FinalRecord], quality: QualityName) -> Iterable[ObjectivePoint]:
    for record, *replicates in repetitions(records):
        if record.latency is None:
            continue
        final = finals.get(record.number)
        qualities = tuple(getattr(validation(again), quality) for again in (record, *replicates))
        yield ObjectivePoint(
            number=record.number,
            kind=record.kind,
            latency=(final.latency if final else None) or record.latency,
            searched_latency=record.latency,
            quality=fmean(qualities),
            qualities=qualities,
            latencies_ms=tuple(again.latency.total_ms.median for again in (record, *replicates) if again.latency is not None),
        )


def _cost(value: float, quality: QualityName) -> float:
    """Accuracy to error rate and back; bits per byte as they are."""
    return 1 - value if quality == "next_token_accuracy" else value
