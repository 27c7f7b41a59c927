"""Which shape to train again: what rules of choosing replicates are worth, on planted studies whose truth is known.

    python -m benchmarks.replicates [--studies 100]

The studies are those of benchmarks/membership.py, each measured once, with 15 % of the trainings spent on replicates by each rule in turn.
Prints, for each kind and rule, three errors of what is then believed, smaller better: the squared error of the probabilities of being on
the front, summed over the shapes; the share of studies whose most accurate shape by expectation is not the true one; and by how much that
shape is worse than the true one, in 1/1000 of the quality. Last come the means over all kinds, with what is less than without
replicates and the standard error of that.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping

import numpy as np

from analysis.fronts.domination import non_dominated_draws
from analysis.statistics.arrays import Array
from analysis.statistics.seed_noise import draw_true_qualities
from benchmarks.membership import LEVEL, NOISES, REPLICATES, MeasuredStudy, measured_study, on_measured_front

DRAWS = 1_000

Rule = Callable[[Array, Array, Array], Array]
"""Scores of shapes, the largest of which is trained again: from draws of qualities and memberships, [draws, shapes], and of the noise."""


def unsure(qualities: Array, members: Array, noises: Array) -> Array:
    """The variance of being on the front."""
    chance = members.mean(axis=0)
    scores: Array = chance * (1 - chance)
    return scores


def informative(qualities: Array, members: Array, noises: Array) -> Array:
    """How much of the variance of all memberships a replicate's value would explain, to first order."""
    return _explained(qualities, members, noises)


def informative_of_best(qualities: Array, members: Array, noises: Array) -> Array:
    """The same of memberships and of being the most accurate."""
    best = np.zeros_like(qualities)
    best[np.arange(len(best)), qualities.argmin(axis=1)] = 1
    return _explained(qualities, members, noises) + _explained(qualities, best, noises)


def _explained(qualities: Array, flags: Array, noises: Array) -> Array:
    off = qualities - qualities.mean(axis=0)
    shared = (flags - flags.mean(axis=0)).T @ off / len(off)  # [flags, shapes]
    explained: Array = (shared**2).sum(axis=0) / (off.var(axis=0) + np.mean(noises**2))
    return explained


RULES: Mapping[str, Rule | None] = {
    "none": None,
    "p(1-p)": unsure,
    "informative": informative,
    "informative, best too": informative_of_best,
}


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--studies", type=int, default=100, help="planted studies of each kind (default 100)")
    studies = options.parse_args().studies
    print("| shapes | noise | rule | front | wrong winners | winner's loss |\n|---|---|---|---|---|---|")
    everything: dict[str, list[Array]] = {name: [] for name in RULES}
    for skewed in (False, True):
        for noise in NOISES:
            for name, rule in RULES.items():
                errors = np.array([judged(seed, noise, skewed=skewed, rule=rule) for seed in range(studies)])
                everything[name].append(errors)
                front, wrong, lost = errors.mean(axis=0)
                print(f"| {'skewed' if skewed else 'normal'} | {noise:.2%} | {name} | {front:.3f} | {wrong:.0%} | {lost:.2f} |", flush=True)
    whole = {name: np.concatenate(found) for name, found in everything.items()}
    for name, errors in whole.items():
        less = whole["none"] - errors
        gains = zip(errors.mean(0), less.mean(0), less.std(0) / len(less) ** 0.5, strict=True)
        said = [f"{mean:.3f} (less {gain:.3f} ± {error:.3f})" for mean, gain, error in gains]
        print(f"| all | all | {name} | {' | '.join(said)} |")


def judged(seed: int, noise: float, *, skewed: bool, rule: Rule | None) -> tuple[float, float, float]:
    """The three errors after the study's replicates, whose luck does not depend on the rule."""
    study = measured_study(seed, noise, skewed=skewed, replicates=False)
    luck = np.random.default_rng([seed, 7])
    size = len(study.truth)
    spare = noise * LEVEL * luck.standard_normal((size, size))
    for _ in range(int(REPLICATES / (1 - REPLICATES) * size) if rule else 0):
        assert rule is not None
        shape = int(rule(*_believed(study)).argmax())
        study.seeds[shape].append(float(study.truth[shape] + spare[shape, len(study.seeds[shape])]))
    qualities, members, _ = _believed(study)
    true = on_measured_front(study.true_log_latency, study.truth)
    winner = int(qualities.mean(axis=0).argmin())
    lost = float(study.truth[winner] - study.truth.min())
    return float(((members.mean(axis=0) - true) ** 2).sum()), float(lost > 0), 1000 * lost / LEVEL


def _believed(study: MeasuredStudy) -> tuple[Array, Array, Array]:
    random = np.random.default_rng(0)
    draws, noises = draw_true_qualities(study.seeds, study.log_latency, random, DRAWS)
    latency = study.log_latency + study.deviation * random.standard_normal(draws.shape)
    return draws, non_dominated_draws([latency, draws]).astype(float), noises


if __name__ == "__main__":
    main()
