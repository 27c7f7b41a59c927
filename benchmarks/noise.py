"""Whether intervals hold what shapes truly reach when nobody knows how much a seed moves them, on planted studies.

    python -m benchmarks.noise [--studies 300] [--expected SHARE DOUBT]

The studies are those of benchmarks/membership.py: 14, 30 or 60 shapes around a curve of quality over latency, normal or skewed, without
replicates or with 15 %, chosen as a study does. Seeds move qualities by 0.3, 0.7 or 1.5 %, which the model is not told. Prints, for each
kind, the share of all shapes' 90 % intervals that hold the true quality, that of the measured winners' alone, and the median width.
"""

from __future__ import annotations

import argparse

import numpy as np

from analysis.statistics.arrays import Array
from analysis.statistics.intervals import LEVEL
from analysis.statistics.noise_prior import USUAL_NOISE, NoisePrior
from analysis.statistics.seed_noise import draw_true_qualities
from benchmarks.membership import LEVEL as PLANTED_LEVEL
from benchmarks.membership import measured_study

NOISES = (0.003, 0.007, 0.015)
"""Planted standard deviation between seeds, over the quality."""


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--studies", type=int, default=300, help="planted studies of each kind (default 300)")
    options.add_argument(
        "--expected", type=float, nargs=2, metavar=("SHARE", "DOUBT"), help="median and log deviation of the expected noise"
    )
    given = options.parse_args()
    studies, expected = given.studies, NoisePrior(*given.expected) if given.expected else USUAL_NOISE
    print("| replicates | shapes | noise | intervals that hold | winners' | median width |\n|---|---|---|---|---|---|")
    for replicates in (False, True):
        for skewed in (False, True):
            for noise in NOISES:
                held, winners, width = coverage(range(studies), noise, skewed=skewed, replicates=replicates, expected=expected)
                kind = f"| {'15 %' if replicates else 'none'} | {'skewed' if skewed else 'normal'} | {noise:.1%}"
                print(f"{kind} | {held:.1%} | {winners:.1%} | {width:.1%} |", flush=True)


def coverage(
    seeds: range, noise: float, *, skewed: bool, replicates: bool, expected: NoisePrior = USUAL_NOISE
) -> tuple[float, float, float]:
    """Shares of the intervals that hold the truth, of all shapes and of the measured winners, and their median width over the quality."""
    held: list[Array] = []
    winners, widths = [], []
    for seed in seeds:
        study = measured_study(seed, noise, skewed=skewed, replicates=replicates)
        draws, _ = draw_true_qualities(study.seeds, study.log_latency, np.random.default_rng(0), expected=expected)
        low, high = np.quantile(draws, ((1 - LEVEL) / 2, (1 + LEVEL) / 2), axis=0)
        inside = (low <= study.truth) & (study.truth <= high)
        held.append(inside)
        winners.append(inside[int(np.argmin([np.mean(values) for values in study.seeds]))])
        widths.append(float(np.median(high - low)) / PLANTED_LEVEL)
    return float(np.concatenate(held).mean()), float(np.mean(winners)), float(np.median(widths))


if __name__ == "__main__":
    main()
