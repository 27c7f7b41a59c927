"""The samplers of ``search.sampler``: ours, and Optuna's as they are asked once for each proposal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import is_
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from analysis.fronts.domination import non_dominated
from analysis.statistics.arrays import Array
from trials.search.front_sampler import FrontSampler
from trials.search.steady_generations import SteadyGenerations

POPULATION = 10
"""Finished trials that NSGA-II breeds from, and those that it and TPE want before they begin."""


@dataclass(frozen=True)
class Choices:
    """What may be proposed, in Optuna's words."""

    distributions: Mapping[str, BaseDistribution]
    points: Callable[[], Sequence[Mapping[str, Any]]]
    """Lists all of them."""
    sizes: Callable[[Mapping[str, Any]], Sequence[float]]
    """Numbers of the shape of a point that its objectives may follow, the work of a forward pass first."""
    seed: int
    """The study's."""
    limits: Mapping[int, float]
    """Costs beyond which a finished training is infeasible, by the objectives' places."""
    exact: Mapping[int, Callable[[Mapping[str, Any]], float]]
    """Costs of the shape of a point in the objectives that are not learnt from the trials, by their places in the study's order."""
    constrained: bool
    """Whether finished trials may have constraints, as Optuna calls what passes a limit."""


class FinishedValues:
    """Values of a study's finished trials, each read once; what is kept between calls only saves time."""

    def __init__(self) -> None:
        self._trials: list[FrozenTrial] = []
        self._values: Array = np.empty((0, 0))

    def of(self, trials: list[FrozenTrial]) -> Array:
        """Shape [trials, objectives]."""
        if not all(map(is_, self._trials, trials)) or len(self._trials) > len(trials):
            self._trials = []
        known, new = len(self._trials), [trial.values for trial in trials[len(self._trials) :]]
        if new:
            self._values = np.concatenate([self._values, new]) if known else np.array(new)
        self._trials = trials
        return self._values


class SteadyNSGAII(SteadyGenerations, NSGAIISampler):
    """NSGA-II in its steady state, with less to look at."""

    def __init__(self, choices: Choices, seed: int, values: FinishedValues) -> None:
        """Every trial has the distributions of the choices; `values` may be those of an earlier proposal."""
        super().__init__(population_size=POPULATION, seed=seed)
        self._declared, self._constrained = dict(sorted(choices.distributions.items())), choices.constrained
        self._values = values

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The declared space: Optuna would read it off every trial."""
        return self._declared

    def get_trial_generation(self, study: optuna.Study, trial: FrozenTrial) -> int:
        """The first that has parents: as many trials as a population are there before it is asked (`SPREAD_FIRST`)."""
        return 1

    def get_population(self, study: optuna.Study, generation: int) -> list[FrozenTrial]:
        """The finished trials on the first fronts that have `POPULATION` together: none of the others can be chosen.

        Where constraints have a say, all of them.
        """
        finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if self._constrained:
            return finished
        values, left, found = self._values.of(finished), np.arange(len(finished)), list[int]()
        while len(left) and len(found) < POPULATION:
            members = non_dominated(values[left])
            found += left[members].tolist()
            left = np.delete(left, members)
        return [finished[place] for place in sorted(found)]


def _nsga2(choices: Choices) -> Callable[[int], BaseSampler]:
    values = FinishedValues()
    return lambda seed: SteadyNSGAII(choices, seed, values)


def _front(choices: Choices) -> Callable[[int], BaseSampler]:
    """One for all proposals, which it tells apart by their trials: what it keeps between them only saves time."""
    sampler = FrontSampler(
        choices.distributions,
        cheap=choices.exact,
        candidates=choices.points(),
        hints=choices.sizes,
        limits=choices.limits,
        seed=choices.seed,
    )
    return lambda _: sampler


SAMPLERS: dict[str, Callable[[Choices], Callable[[int], BaseSampler]]] = {
    "front": _front,
    "nsga2": _nsga2,
    "tpe": lambda _: lambda seed: TPESampler(n_startup_trials=POPULATION, seed=seed),
    "random": lambda _: lambda seed: RandomSampler(seed=seed),
}
"""Optuna's sampler for one proposal by its name, from the space and the proposal's own seed."""
SPREAD_FIRST = ("nsga2", "tpe")
"""Samplers that are asked once `POPULATION` trials are known; the others know how to begin."""
EVERY_SEED = ("front",)
"""Samplers that are told of each replicate; the others of a shape once, with the mean of its seeds."""
