"""What each of several choices gains, and which of them need each other, from trainings of all their combinations (a 2^k design).

Yates, The Design and Analysis of Factorial Experiments, 1937; every training counts for every effect, so that k choices are told as
well by 2^k trainings as one choice would be by all of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations

from analysis.fidelity.ablation import Difference, Losses, PooledNoise, estimate_interval, loss_table, pooled_noise
from analysis.statistics.arrays import Array


def factor_differences(
    losses: Losses,
    factors: Sequence[str],
    baseline: str,
    published: Mapping[str, Mapping[str, float]],
    noise: PooledNoise | None = None,
) -> list[Difference]:
    """Each factor's gain, mean over all combinations of the others, then how much more each gains where another is there too.

    `losses` has every combination in the order of itertools.product over the factors, the last changing fastest; `published` the
    accuracy of arms, in percent, by scale: a factor's published gain is that of the first pair of arms that differ by it alone.
    """
    table, names = loss_table(losses), list(losses)
    seeds = table.shape[1]
    known = noise or pooled_noise(losses)
    scale = math.sqrt(4 / max(1, table.size))
    found = []
    for factor in factors:
        gain = _contrast(table, factors, (factor,))
        found.append(_difference((factor, f"no {factor}"), gain, known, scale, seeds, _published(names, factor, baseline, published)))
    for first, second in combinations(factors, 2):
        gain = _contrast(table, factors, (first, second))
        pair = f"{first} with {second}", f"{first} without {second}"
        found.append(_difference(pair, None if gain is None else 2 * gain, known, 2 * scale, seeds, {}))
    return found


def _difference(
    arms: tuple[str, str], gain: float | None, noise: PooledNoise | None, scale: float, seeds: int, published: Mapping[str, float]
) -> Difference:
    interval = None if gain is None or seeds < 2 else estimate_interval(gain, noise, scale)
    return Difference(arm=arms[0], baseline=arms[1], published=published, gain=gain, interval=interval, seeds=seeds)


def _contrast(table: Array, factors: Sequence[str], chosen: tuple[str, ...]) -> float | None:
    """Mean loss where the product of the chosen factors' signs is negative, less that where it is positive, for a gain of one factor;
    for two the halved difference of the first one's gains with and without the second. None where no seed has finished in every arm.
    """
    if not table.shape[1]:
        return None
    means, total = table.mean(1), 0.0
    for place, loss in enumerate(means):
        on = [bool(place >> (len(factors) - 1 - factors.index(factor)) & 1) for factor in chosen]
        total += loss * math.prod(1 if made else -1 for made in on)
    return -float(total) / (len(means) / 2)


def _published(names: Sequence[str], factor: str, baseline: str, published: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    by_choices = {frozenset() if name == baseline else frozenset(name.split("+")): name for name in names}
    pairs = [(by_choices[made - {factor}], name) for made, name in by_choices.items() if factor in made]
    found = {}
    for scale, accuracy in published.items():
        pair = next((pair for pair in pairs if accuracy.keys() >= set(pair)), None)
        if pair is not None:
            found[scale] = round(accuracy[pair[1]] - accuracy[pair[0]], 6)
    return found
