"""What a study tries before it proposes anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from search_space.architecture import Architecture
from trials.study.spec import StudySpec
from trials.trial.references import references
from trials.trial.scaling_grid import planned_tasks
from trials.trial.task import TrialTask


@dataclass(frozen=True, slots=True)
class FirstTrials:
    """What a study tries before it proposes anything: a grid's trainings, or references."""

    planned: Sequence[TrialTask]
    references: Sequence[tuple[str, Architecture]]

    @classmethod
    def of(cls, study: StudySpec) -> FirstTrials:
        """What the study states; raises SpecError where a shape of it cannot be had."""
        return cls(planned_tasks(study), [] if study.scaling else references(study.references, study.search_space))

    @property
    def count(self) -> int:
        """Number of trials in all."""
        return len(self.planned) + len(self.references)

    def vocab_sizes(self, study: StudySpec) -> set[int]:
        """Vocabularies of every shape that may be trained."""
        if study.scaling is not None:
            return {task.architecture.vocab_size for task in self.planned}
        return {*study.search_space.choices("vocab_size"), *(shape.vocab_size for _, shape in self.references)}
