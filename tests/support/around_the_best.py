"""A sampler as a user writes one for Optuna, and what else every sampler is tested with."""

from __future__ import annotations

import random
from typing import Any

from optuna.distributions import BaseDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from trials.search.samplers import SAMPLERS

NAMED = (*SAMPLERS, "tests.support.around_the_best:AroundTheBest", "optuna.samplers:NSGAIIISampler")
"""Values of `search.sampler`: each name, a class of a user's, and one of Optuna's."""


class AroundTheBest(BaseSampler):
    """Every place of the trial with the least first value, or one beside it; any place before there is one."""

    def __init__(self, step: int = 1, seed: int | None = None) -> None:
        self._random, self._any, self._step = random.Random(seed), RandomSampler(seed), step

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]) -> dict[str, Any]:
        return {}

    def sample_independent(self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution) -> Any:
        finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if not finished or not isinstance(param_distribution, IntDistribution):
            return self._any.sample_independent(study, trial, param_name, param_distribution)
        best = min(finished, key=lambda trial: trial.values[0]).params[param_name]
        moved = best + self._random.randint(-self._step, self._step)
        return min(max(moved, param_distribution.low), param_distribution.high)
