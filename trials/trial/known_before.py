"""What is known of every shape of a study's space before any of it runs: objectives that need not be learnt, and limits that they pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from analysis.objectives.objective import Objective
from search_space.architecture import Architecture
from search_space.errors import SpecError
from trials.study.spec import StudySpec
from trials.trial.task import shape_observed

if TYPE_CHECKING:
    from analysis.latency.device_table import DeviceTable

Exact = Callable[[Sequence[Architecture]], Iterable[float]]
"""Values of an objective for shapes."""


def exact_objectives(study: StudySpec, table: DeviceTable | None) -> Mapping[str, Exact]:
    """The objectives of a study that are not learnt, by their names: closed forms, and what a device's table predicts."""
    found: dict[str, Exact] = {}
    any_shape = shape_observed(study.search_space.table()[0][1], study.latency, study.proxy)
    for objective in study.problem.objectives:
        if objective.value(any_shape) is not None:
            found[objective.name] = partial(_closed_form, study, objective)
        elif objective.phase is not None and table is not None:
            found[objective.name] = partial(table.model.milliseconds, phase=objective.phase)
    return found


def passed_limit(study: StudySpec, shape: Architecture) -> str | None:
    """Which limit a shape passes by its closed forms, as the beginning of a sentence; None where it passes none."""
    if not study.limits.of_shapes:
        return None
    return study.problem.passed_limit(shape_observed(shape, study.latency, study.proxy), "shape")


def require_within_limits(study: StudySpec) -> None:
    """Raise SpecError where no shape of the space keeps the limits that closed forms tell."""
    if not study.limits.of_shapes:
        return
    example = ""
    for _, shape in study.search_space.shapes(0, study.search_space.glance):
        reason = passed_limit(study, shape)
        if reason is None:
            return
        example = example or f"{shape.label}, {reason}"
    if example:
        raise SpecError(f"limits: no shape of the space keeps them, such as {example}; raise the limit, or change the space")


def _closed_form(study: StudySpec, objective: Objective, shapes: Sequence[Architecture]) -> list[float]:
    values = [objective.value(shape_observed(shape, study.latency, study.proxy)) for shape in shapes]
    return [value for value in values if value is not None]
