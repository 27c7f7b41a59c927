"""Whether records are of a study: they say by which seed, from which space and within which budget they were made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from analysis.records.record import Kind, TrialRecord
from search_space.architecture import Architecture
from trials.study.spec import StudySpec
from trials.trial.scaling_grid import planned_tasks
from trials.trial.task import plain


def misfit(study: StudySpec, records: Iterable[TrialRecord]) -> str | None:
    """What the first record that the study cannot have made has otherwise, in words; None where all fit."""
    if study.scaling is None:
        space = study.search_space
        choices = {dimension.name: [plain(choice) for choice in dimension.choices] for dimension in space.dimensions}
        differs = partial(_sampled_otherwise, choices, study)
    else:
        differs = partial(_planned_otherwise, {task.number: task.architecture for task in planned_tasks(study)})
    for record in records:
        if record.kind is not Kind.REPLICATE and record.seed != study.search.seed:
            return f"search.seed is {study.search.seed}, and trial {record.number} was made with {record.seed}"
        if (found := differs(record)) is not None:
            return found
    return None


def _sampled_otherwise(choices: Mapping[str, list[Any]], study: StudySpec, record: TrialRecord) -> str | None:
    if record.kind is not Kind.SAMPLED:
        return None
    for name, value in (record.point or {}).items():
        if plain(value) not in choices.get(name, []):
            return f"space.{name} does not have {plain(value)!r}, which trial {record.number} was sampled with"
    broken = study.search_space.budget.violated(record.architecture)
    if broken is not None:
        spent = broken.measure(record.architecture)
        return f"the budget is {broken}, and trial {record.number} spends {spent:,}"
    return None


def _planned_otherwise(planned: Mapping[int, Architecture], record: TrialRecord) -> str | None:
    shape = planned.get(record.number)
    if shape == record.architecture:
        return None
    there = "no training of that number" if shape is None else shape.label
    return f"the grid has {there}, and trial {record.number} is {record.architecture.label}"
