"""Genetic samplers of Optuna in a steady state, so that they need to know nothing beside the trials."""

from __future__ import annotations

import optuna
from optuna.samplers import BaseGASampler
from optuna.trial import FrozenTrial, TrialState


class SteadyGenerations(BaseGASampler):
    """Parents are the best of all that is known, once there are as many as a population; Optuna's are those of the generation before.

    Optuna notes in each trial and in the study which generation a trial is of; a study that is made of the records for one proposal has
    no such notes, and all of its trials would be of none.
    """

    def get_trial_generation(self, study: optuna.Study, trial: FrozenTrial) -> int:
        """The first generation that has parents, or the one before it, which has none."""
        return int(len(self.get_population(study, 0)) >= (self.population_size or 1))

    def get_parent_population(self, study: optuna.Study, generation: int) -> list[FrozenTrial]:
        """Chosen anew for each proposal."""
        return self.select_parent(study, generation) if generation else []

    def get_population(self, study: optuna.Study, generation: int) -> list[FrozenTrial]:
        """All finished trials."""
        return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
