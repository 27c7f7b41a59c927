"""What a study's references cost, each by its own size: a file's shape is taken as it is, and may be far from the study's budget."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from search_space.architecture import Architecture
from trials.plans.shape_cost import Memory, ShapeCost, largest_memory, of_training, shape_cost
from trials.plans.stage_estimate import KnownPaces
from trials.study.spec import StudySpec
from trials.trial.known_before import passed_limit

DOUBTFUL_TRIALS = 100
"""Trials of the study whose FLOPs a reference may take before its plan doubts that it was meant."""


@dataclass(frozen=True, kw_only=True)
class ReferenceCost:
    """One reference, and what it costs beside a trial of the study."""

    name: str
    cost: ShapeCost
    memory: Memory
    trials: float
    """Trials of the study whose training FLOPs it takes."""

    def __str__(self) -> str:
        own = self.cost
        said = f"{self.name}: {own.parameters:,} parameters, {own.training_flops:.2e} FLOPs{of_training(own)}"
        said += f", memory {self.memory}"
        if self.trials < DOUBTFUL_TRIALS:
            return said
        return f"{said}; that is {self.trials:,.0f} trials of this study: is it meant? else leave it out, or name a smaller shape"


def costs_of_references(
    study: StudySpec, compared: Iterable[tuple[str, Architecture]], trial_flops: float, known: KnownPaces | None
) -> list[ReferenceCost]:
    """The costs of those references that are trained; one that passes a limit is not."""
    found = []
    for name, shape in compared:
        if passed_limit(study, shape) is None:
            own = shape_cost(study, shape, known)
            memory = largest_memory(study, [shape])
            found.append(ReferenceCost(name=name, cost=own, memory=memory, trials=own.training_flops / trial_flops if trial_flops else 1.0))
    return found
