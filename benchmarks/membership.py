"""Whether the stated probabilities of being on the front come true, on planted studies whose true front is known.

    python -m benchmarks.membership [--studies 200]

A planted study has shapes with a true latency and a true quality around a curve of one over the other; what is measured is the truth
with the luck of a seed and of a latency measurement. Seeds move qualities by 0.25, 0.5 or 1 %; the shapes' own differences are normal,
or skewed with a few bad shapes. With replicates, 15 % of the trainings go
to the contenders, chosen one by one as a study does. Of the shapes given 80 to 100 %, at least 80 % must be on the true front, and
"winners" (the most accurate by measurement) must be the true ones at least as often as said.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from analysis.fronts.domination import non_dominated
from analysis.fronts.membership import contenders, front_probabilities
from analysis.objectives.registry import find_objective
from analysis.statistics.arrays import Array
from analysis.statistics.seed_noise import draw_true_qualities

BINS = (0.0, 0.05, 0.2, 0.4, 0.6, 0.8, 1.0)
LEVEL = 2.2
"""Bits per byte that the planted curves lie about."""
SPREAD = 0.02
"""Standard deviation of the shapes' own differences, as the quickstart's (docs/findings.md, 2026-11-22: a recipe for three minutes, and
what its ranking is worth)."""
SIZES = (14, 30, 60)
NOISES = (0.0025, 0.005, 0.01)
"""Planted standard deviation between seeds, over `LEVEL`."""
REPLICATES = 0.15


@dataclass(frozen=True)
class Judged:
    """One planted study: what was said, and what is true."""

    stated: Array
    """Probability of being on the front, of each shape."""
    true: Array
    """Whether it is, 0 or 1."""
    winner_stated: float
    winner_true: bool
    naive: Array
    """Whether the measured front has it, 0 or 1."""
    gain_claimed: float
    """By how much the measured winner seems to beat the median shape."""
    gain_stated: float
    gain_true: float


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    options.add_argument("--studies", type=int, default=200, help="planted studies of each kind (default 200)")
    studies = options.parse_args().studies
    everything: dict[bool, list[Judged]] = defaultdict(list)
    for replicates in (False, True):
        for skewed in (False, True):
            for noise in NOISES:
                judged = [plant(seed, noise, skewed=skewed, replicates=replicates) for seed in range(studies)]
                everything[replicates] += judged
                name = f"{'15 % replicates' if replicates else 'no replicates'}, noise {noise:.2%}, {'skewed' if skewed else 'normal'}"
                print(f"\n{name} ({studies} studies)\n{table(judged)}")
    for replicates, judged in everything.items():
        print(f"\nAll {'with' if replicates else 'without'} replicates ({len(judged)} studies)\n{table(judged)}")


@dataclass(frozen=True)
class MeasuredStudy:
    """A planted study as its records have it, and the truth."""

    seeds: list[list[float]]
    """What each seed of each shape measured, bits per byte."""
    log_latency: Array
    """Measured; [shapes]."""
    deviation: Array
    """Standard deviation of these, [shapes]."""
    true_log_latency: Array
    truth: Array
    """True bits per byte; [shapes]."""


def measured_study(seed: int, noise: float, *, skewed: bool, replicates: bool) -> MeasuredStudy:
    """Plant a study and measure it."""
    random = np.random.default_rng([seed, round(1e4 * noise), skewed, replicates])
    size = int(random.choice(SIZES))
    latency = random.uniform(np.log(5), np.log(40), size)
    truth = LEVEL + _curve(latency) + SPREAD * (random.standard_gamma(1, size) if skewed else random.standard_normal(size))
    if skewed:
        truth[random.random(size) < 0.1] += 10 * SPREAD
    luck = noise * LEVEL
    spread = np.full(size, find_objective("total_ms").between)
    measured = latency + spread * random.standard_normal(size)
    seeds = [[value] for value in truth + luck * random.standard_normal(size)]
    for _ in range(int(REPLICATES / (1 - REPLICATES) * size) if replicates else 0):
        shape = contenders(dict(enumerate(_states(seeds, measured, spread)[0])), {})[0]
        seeds[shape].append(float(truth[shape] + luck * random.standard_normal()))
    return MeasuredStudy(seeds, measured, spread, latency, truth)


def plant(seed: int, noise: float, *, skewed: bool, replicates: bool) -> Judged:
    """Plant a study, measure it, judge it."""
    study = measured_study(seed, noise, skewed=skewed, replicates=replicates)
    stated, draws = _states(study.seeds, study.log_latency, study.deviation)
    means, truth = np.array([np.mean(values) for values in study.seeds]), study.truth
    winner = int(means.argmin())
    return Judged(
        stated=stated,
        true=on_measured_front(study.true_log_latency, truth),
        winner_stated=float((draws.argmin(axis=1) == winner).mean()),
        winner_true=bool(truth.argmin() == winner),
        naive=on_measured_front(study.log_latency, means),
        gain_claimed=float(np.median(means) - means[winner]),
        gain_stated=float(np.median(draws, axis=1).mean() - draws[:, winner].mean()),
        gain_true=float(np.median(truth) - truth[winner]),
    )


def table(judged: list[Judged]) -> str:
    """The reliability table in Markdown, and how often the winners were the true ones."""
    stated, true, naive = (np.concatenate([getattr(study, name) for study in judged]) for name in ("stated", "true", "naive"))
    lines = ["| stated | shapes | mean stated | truly on the front |", "|---|---|---|---|"]
    for low, high, count, said, found in reliability(stated, true):
        lines.append(f"| {low:.0%} to {high:.0%} | {count} | {said:.0%} | {found:.0%} |")
    said, found = (float(np.mean([getattr(study, name) for study in judged])) for name in ("winner_stated", "winner_true"))
    claimed, expected, gained = (np.mean([getattr(study, f"gain_{name}") for study in judged]) for name in ("claimed", "stated", "true"))
    lines += [
        f"\nwinners are the true ones in {found:.0%}, said {said:.0%}; of the measured front {true[naive > 0].mean():.0%} are true members",
        f"winner's gain over the median shape: measured {claimed:.4f}, stated {expected:.4f}, true {gained:.4f} bits per byte",
    ]
    return "\n".join(lines)


def reliability(stated: Array, true: Array) -> Iterator[tuple[float, float, int, float, float]]:
    """Of each bin of stated probabilities: its ends, how many shapes it has, their mean and how many of them are on the true front."""
    for low, high in pairwise(BINS):
        inside = (stated >= low) & ((stated < high) | (high == 1))
        if inside.any():
            yield low, high, int(inside.sum()), float(stated[inside].mean()), float(true[inside].mean())


def _curve(log_latency: Array) -> Array:
    curve: Array = 0.25 * np.exp(-(log_latency - np.log(5)) / 0.7)
    return curve


def _states(seeds: list[list[float]], log_latency: Array, spread: Array) -> tuple[Array, Array]:
    random = np.random.default_rng(0)
    draws, _ = draw_true_qualities(seeds, log_latency, random)
    return front_probabilities([log_latency + spread * random.standard_normal(draws.shape), draws]), draws


def on_measured_front(log_latency: Array, quality: Array) -> Array:
    """Which shapes these values have on their front, 0 or 1; [shapes]."""
    member = np.zeros(len(quality))
    member[non_dominated(np.column_stack([log_latency, quality]))] = 1
    return member


if __name__ == "__main__":
    main()
