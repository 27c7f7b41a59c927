"""How sure it is that a shape stands on the front: intervals, probabilities, ties, and which shapes are worth a second seed.

Qualities and latencies are drawn as they may truly be (`analysis.statistics.seed_noise`; latencies from their repeats and from repeated
measurements), and the front is taken in each draw: a shape's probability of being on the front is the share of draws in which it is. The
same front gives the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.fronts.domination import non_dominated_draws
from analysis.fronts.front import Front, ObjectivePoint
from analysis.statistics.arrays import Array
from analysis.statistics.seed_noise import SeedNoise, draw_true_qualities, estimate_seed_noise

LEVEL = 0.9
"""Of the intervals."""
TIE = 0.05
"""Two shapes tie where the chance that the one which measured worse is truly the better one is at least this."""
LATENCY_NOISE, LATENCY_FREEDOM = 0.03, 2
"""Standard deviation of log latency between two measurements of one shape before a study has any, and what that is worth: a tenth
between p10 and p90 is what the protocol lets pass within one measurement (`trials.latency.protocol.LARGEST_SPREAD`), which is 0.037."""
QUANTILES = 2.5631
"""Standard deviations between the tenth and the ninetieth percentile of a normal distribution."""
MEDIAN = 1.2533
"""Standard deviation of the median of many, over that of their mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapePosterior:
    """How sure the place of one shape is."""

    low: float
    """Lower end of the 90 % interval of its true quality, the winner's curse corrected for."""
    expected: float
    """Median of the true quality as it may be."""
    high: float
    on_front: float
    """Probability that no other tried shape truly beats it."""
    most_accurate: float
    """Probability that it truly has the best quality of all."""
    ties: tuple[int, ...]
    """Other shapes whose true quality cannot be told from its own, lowest latency first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """How sure a front is."""

    noise: SeedNoise
    """Of one training, in the unit of the quality."""
    posteriors: Mapping[int, ShapePosterior]
    """By trial, all places of the front."""
    recommended: int | None
    """The fastest member of the measured front that ties with the most accurate one, or that one; None where nothing finished."""


def estimate_membership(front: Front, deviations: Mapping[int, float] | None = None) -> Membership:
    """Intervals and probabilities of all places of a front.

    `deviations` are those of log latency, by place, where latencies are predicted: a prediction knows its own, a measurement's noise
    included, and repeats and replicates say nothing of it.
    """
    if not front.places:
        return Membership(noise=estimate_seed_noise([[0.0]]), posteriors={}, recommended=None)
    places = sorted(front.places.values(), key=lambda place: place.number)
    latency, spread = log_latencies(places)
    if deviations is not None:
        spread = np.array([deviations[place.number] for place in places])
    true_qualities, _ = draw_true_qualities(seeds := _seeds(places, front), latency, random := np.random.default_rng(0))
    on_front = front_probabilities(true_qualities, latency + spread * random.standard_normal(true_qualities.shape))
    best = np.bincount(true_qualities.argmin(axis=1), minlength=len(places)) / len(true_qualities)
    low, expected, high = np.quantile(true_qualities, ((1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2), axis=0)
    tied = ties(true_qualities)
    by_speed = sorted(range(len(places)), key=lambda i: places[i].latency_ms)
    posteriors = {}
    for i, place in enumerate(places):
        ends = sorted((front.cost_of(float(low[i])), front.cost_of(float(high[i]))))
        posteriors[place.number] = ShapePosterior(
            low=ends[0],
            expected=front.cost_of(float(expected[i])),
            high=ends[1],
            on_front=float(on_front[i]),
            most_accurate=float(best[i]),
            ties=tuple(places[j].number for j in by_speed if tied[i, j]),
        )
    top = front.most_accurate
    assert top is not None
    recommended = next(number for number in front.members if number == top or number in posteriors[top].ties)
    return Membership(noise=estimate_seed_noise(seeds), posteriors=posteriors, recommended=recommended)


def picks(front: Front, membership: Membership | None = None) -> dict[int, list[str]]:
    """The front's chosen trials and what each was chosen for: recommended, most accurate, knee, fastest; one may be all of them."""
    chosen: dict[int, list[str]] = {}
    named = {
        "recommended": membership.recommended if membership else None,
        "most accurate": front.most_accurate,
        "knee": front.knee,
        "fastest": front.fastest,
    }
    for what, number in named.items():
        if number is not None:
            chosen.setdefault(number, []).append(what)
    return chosen


def front_probabilities(qualities: Array, latencies: Array) -> Array:
    """In which share of the draws each shape is on the front; both [draws, shapes], better where smaller."""
    share: Array = non_dominated_draws([latencies, qualities]).mean(axis=0)
    return share


def ties(true_qualities: Array) -> npt.NDArray[np.bool_]:
    """Which pairs of shapes cannot be told apart; [shapes, shapes], false on the diagonal."""
    better = np.array([(true_qualities < true_qualities[:, [i]]).mean(axis=0) for i in range(true_qualities.shape[1])])
    found: npt.NDArray[np.bool_] = np.minimum(better, better.T) >= TIE
    np.fill_diagonal(found, False)
    return found


def log_latencies(places: Sequence[ObjectivePoint]) -> tuple[Array, Array]:
    """Log latency of each place, and its standard deviation: of the median of its repeats, and between measurements."""
    log = np.log([place.latency_ms for place in places])
    between = latency_noise(places)
    within = [
        np.log(place.latency.total_ms.p90 / place.latency.total_ms.p10) / QUANTILES * MEDIAN / place.latency.repeats**0.5
        for place in places
    ]
    return log, np.hypot(within, between)


def latency_noise(places: Iterable[ObjectivePoint]) -> float:
    """Standard deviation of log latency between measurements of one shape: replicates and second measurements, shrunk to the prior.

    What the quiet machine saves every shape alike is no noise and is taken out of the second measurements.
    """
    again = [
        np.log(place.latency_ms / place.searched_latency.total_ms.median) for place in places if place.latency is not place.searched_latency
    ]
    groups = [np.log(place.latencies_ms) for place in places]
    freedom = max(0, len(again) - 1) + sum(len(group) - 1 for group in groups)
    squares = len(again) * np.var(again) / 2 if again else 0.0
    squares += sum(len(group) * np.var(group) for group in groups)
    return float(np.sqrt((LATENCY_FREEDOM * LATENCY_NOISE**2 + squares) / (LATENCY_FREEDOM + freedom)))


def contenders(on_front: Mapping[int, float], tries: Mapping[int, int]) -> list[int]:
    """Trials worth a repetition, first the one whose membership is the least sure: p(1-p) is the variance of being on the front or not.

    `tries` counts the repetitions of a shape that have told nothing yet, because they run or because they failed: it is halved by
    the first, so that they spread.
    """
    return sorted(on_front, key=lambda number: (-on_front[number] * (1 - on_front[number]) / (1 + tries.get(number, 0)), number))


def _seeds(places: Sequence[ObjectivePoint], front: Front) -> list[list[float]]:
    return [[front.cost_of(quality) for quality in place.qualities] for place in places]
