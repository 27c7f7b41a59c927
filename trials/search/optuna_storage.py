"""Trials that are known as an Optuna study which copies none of them; the one file that uses private members of Optuna.

Optuna's own storage copies every trial, each time that a study is built from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import optuna
from optuna.samplers import BaseSampler
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

optuna.logging.set_verbosity(optuna.logging.WARNING)  # it tells of every study that it makes

PRIVATE = {
    "storage": ("_studies", "_max_trial_id", "_trial_id_to_study_id_and_number"),
    "study": ("trials", "system_attrs"),
    "trial": ("_trial_id",),
}
"""Members that no document of Optuna names, by their owner: a storage in memory, what it has of a study, a trial."""
NAME = "known"


class KnownTrials(InMemoryStorage):
    """Holds trials as they are given, under the places that they have here; one study after the other."""

    def __init__(self, objectives: int = 2) -> None:
        """Every objective is minimised."""
        super().__init__()
        self._place: Any = self.create_new_study([StudyDirection.MINIMIZE] * objectives, NAME)

    def study(self, trials: Sequence[FrozenTrial], sampler: BaseSampler) -> optuna.Study:
        """The study of these trials, which takes the place of the one before.

        Trials that both begin with cost next to nothing. A trial may stand in several storages, in the last of them by its number.
        """
        held = self._studies[self._place]
        shared = next((at for at, (one, other) in enumerate(zip(held.trials, trials, strict=False)) if one is not other), len(trials))
        del held.trials[shared:]
        held.system_attrs.clear()
        self._max_trial_id = len(held.trials) - 1
        for trial in trials[len(held.trials) :]:
            self.create_new_trial(self._place, trial)
        return optuna.load_study(study_name=NAME, storage=self, sampler=sampler)

    @property
    def notes(self) -> list[str]:
        """Names of what the sampler of the last proposal keeps in the study beside its trials."""
        return sorted(self._studies[self._place].system_attrs)

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Creates a trial as Optuna's does, with the template itself: a later change replaces it here and leaves the template as it was."""
        if template_trial is None:
            return int(super().create_new_trial(study_id))
        trials, place = self._studies[study_id].trials, self._max_trial_id + 1
        template_trial.number, template_trial._trial_id = len(trials), place
        self._max_trial_id = place
        self._trial_id_to_study_id_and_number[place] = (study_id, len(trials))
        trials.append(template_trial)
        return place
