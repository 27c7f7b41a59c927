"""An Optuna study of trials that are known, for one question, which copies none of them: Optuna's own copies all, each time it is built."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import optuna
from optuna.samplers import BaseSampler
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial


class KnownTrials(InMemoryStorage):
    """Holds the trials that it is given as they are, under the places that they have here."""

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """As Optuna's, with the template itself: a later change of a trial replaces it here and leaves the template as it was."""
        if template_trial is None:
            return int(super().create_new_trial(study_id))
        trials, place = self._studies[study_id].trials, self._max_trial_id + 1
        template_trial.number, template_trial._trial_id = len(trials), place
        self._max_trial_id = place
        self._trial_id_to_study_id_and_number[place] = (study_id, len(trials))
        trials.append(template_trial)
        return place


def study_of(trials: Sequence[FrozenTrial], sampler: BaseSampler, objectives: int = 2) -> optuna.Study:
    """Of objectives that are minimised; a trial may stand in one study after the other, in the last of them by its number."""
    storage: Any = KnownTrials()
    study = optuna.create_study(storage=storage, directions=["minimize"] * objectives, sampler=sampler)
    for trial in trials:
        storage.create_new_trial(study._study_id, trial)
    return study
