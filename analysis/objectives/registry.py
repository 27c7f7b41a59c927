"""Every objective by its name."""

from __future__ import annotations

from analysis.objectives.compute import COMPUTE
from analysis.objectives.energy import ENERGY
from analysis.objectives.latency import LATENCY
from analysis.objectives.memory import MEMORY
from analysis.objectives.objective import Objective
from analysis.objectives.quality import ON, QUALITY, bits_per_byte_on
from search_space.errors import unknown_key

OBJECTIVES = {objective.name: objective for objective in (*QUALITY, *LATENCY, *MEMORY, *COMPUTE, *ENERGY)}
"""All objectives but those of named validation sets, which `find_objective` makes."""
USUAL = ("bits_per_byte", "total_ms")
"""What a study is judged by where it names nothing."""
FORECAST = "bits_per_byte"
"""Name of what the losses along a training forecast."""
SHOWN_BESIDE = "next_token_accuracy"
"""Shown beside a study's own objectives wherever it was measured."""


def find_objective(name: str) -> Objective:
    """The objective of that name; raises SpecError with the nearest one that exists."""
    named = validation_set_of(name)
    if named is not None:
        return bits_per_byte_on(named)
    if name not in OBJECTIVES:
        raise unknown_key(f"the objective {name}", name, (*OBJECTIVES, f"{ON}NAME"))
    return OBJECTIVES[name]


def validation_set_of(name: str) -> str | None:
    """The validation set that an objective's name has in it; None where it has none."""
    return name.removeprefix(ON) or None if name.startswith(ON) else None
