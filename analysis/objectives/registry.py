"""Every objective by its name."""

from __future__ import annotations

from analysis.objectives.compute import COMPUTE
from analysis.objectives.energy import ENERGY
from analysis.objectives.latency import LATENCY
from analysis.objectives.memory import MEMORY
from analysis.objectives.objective import Objective
from analysis.objectives.observed import Observed
from analysis.objectives.quality import ON, QUALITY, bits_per_byte_on
from analysis.objectives.tasks import ACCURACY_ON, ANSWER_BITS_ON, NORMALISED_ON, accuracy_on, answer_bits_on, normalised_accuracy_on
from search_space.errors import unknown_key

OBJECTIVES = {objective.name: objective for objective in (*QUALITY, *LATENCY, *MEMORY, *COMPUTE, *ENERGY)}
"""All objectives but those of named validation sets and tasks, which `find_objective` makes."""
USUAL = ("bits_per_byte", "total_ms")
"""What a study is judged by where it names nothing."""
FORECAST = "bits_per_byte"
"""Name of what the losses along a training forecast."""
SHOWN_BESIDE = "next_token_accuracy"
"""Shown beside a study's own objectives wherever it was measured."""


OF_TASKS = {ACCURACY_ON: accuracy_on, NORMALISED_ON: normalised_accuracy_on, ANSWER_BITS_ON: answer_bits_on}
"""What makes an objective of a task, by the beginning of its name."""


def explained_objectives() -> list[Objective]:
    """Every objective, and one of each kind that has a validation set's or a task's name in its own, called NAME."""
    return [*OBJECTIVES.values(), *(make("NAME") for make in (bits_per_byte_on, *OF_TASKS.values()))]


def find_objective(name: str) -> Objective:
    """The objective of that name; raises SpecError with the nearest one that exists."""
    if (named := validation_set_of(name)) is not None:
        return bits_per_byte_on(named)
    if (task := task_of(name)) is not None:
        return OF_TASKS[name.removesuffix(task)](task)
    if name not in OBJECTIVES:
        raise unknown_key(f"the objective {name}", name, (*OBJECTIVES, f"{ON}NAME", *(f"{beginning}NAME" for beginning in OF_TASKS)))
    return OBJECTIVES[name]


def named_objectives(seen: Observed) -> list[Objective]:
    """Objectives of the named validation sets and tasks that a shape was judged by."""
    sets = [bits_per_byte_on(name) for name in seen.validations]
    return sets + [make(name) for name in seen.tasks for make in OF_TASKS.values()]


def validation_set_of(name: str) -> str | None:
    """The validation set that an objective's name has in it; None where it has none."""
    return name.removeprefix(ON) or None if name.startswith(ON) else None


def task_of(name: str) -> str | None:
    """The task that an objective's name has in it; None where it has none."""
    return next((name.removeprefix(beginning) or None for beginning in OF_TASKS if name.startswith(beginning)), None)
