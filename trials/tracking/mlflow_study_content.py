"""What a study looks like as an MLflow run: what was asked, the front in a few numbers and as a table. Pure data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from analysis.fronts.front import Front
from analysis.objectives.problem import Problem
from analysis.records.record import TrialRecord
from trials.study.directory import MAY_CHANGE, flat
from trials.study.spec import StudySpec
from trials.tracking.mlflow_curves import MetricPoint, epoch_ms
from trials.tracking.mlflow_trial_content import as_text

NOTE_COLUMNS = ("trial", "name", "shape", "on_front", "front_probability", "recommended", "parameters")
"""Columns of the note before the objectives."""


def study_parameters(study: StudySpec) -> dict[str, str]:
    """The study's sections but the space, one value each: `proxy.tokens`, `budget.parameters`; what was left open is left out.

    So is what a resumed study may change, since MLflow's parameters stand for ever; the run's `study.yaml` has it.
    """
    asked = study.model_dump(
        mode="json",
        include={"corpus", "scaling", "budget", "latency", "objectives", "limits", "proxy", "search", "references"},
        exclude_none=True,
    )
    leaves = {name: value for name, value in flat(asked).items() if name not in MAY_CHANGE}
    return {name: ", ".join(map(str, value)) if isinstance(value, list) else as_text(value) for name, value in leaves.items()}


def study_metrics(records: Sequence[TrialRecord], front: Front, time_ms: int | None = None) -> list[MetricPoint]:
    """The study in a few numbers, so that MLflow can compare studies, as of the end of its last trial where no time is given."""
    values: dict[str, float] = {"front_size": len(front.members)}
    if front.members:
        values["hypervolume"] = front.hypervolume
    for place, name in enumerate(front.problem.names):
        best = front.best(place)
        if best is not None:
            values[f"best_{name}"] = front.points[best].values[place]
    time_ms = ended_ms(records) if time_ms is None else time_ms
    return [*count_metrics(records), *(MetricPoint(name, value, len(records), time_ms) for name, value in values.items())]


def count_metrics(records: Sequence[TrialRecord]) -> list[MetricPoint]:
    """How many trials there are."""
    values, time_ms = {"trials": len(records), "finished_trials": sum(record.finished for record in records)}, ended_ms(records)
    return [MetricPoint(name, value, len(records), time_ms) for name, value in values.items()]


def ended_ms(records: Sequence[TrialRecord]) -> int:
    """When the last trial ended, since the epoch; 0 where there is none."""
    return max((epoch_ms(record.started_at) + round(1000 * record.wall_seconds) for record in records), default=0)


def front_data(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The rows of `analysis.fronts.rows` in the layout of MLflow's tables: `columns` and rows of `data`; None where not measured."""
    return {"columns": list(rows[0]) if rows else ["trial"], "data": [[_table_value(value) for value in row.values()] for row in rows]}


def front_note(rows: Sequence[Mapping[str, Any]], problem: Problem) -> str:
    """The front's rows in Markdown with the columns most asked for, for the description of the study's run."""
    if not rows:
        return "No trial has finished, so there is no front."
    tested = [f"test_{objective.name}" for objective in problem.objectives if objective.has_splits]
    columns = (*NOTE_COLUMNS, *(problem.names[place] for place in problem.columns), *tested)
    lines = [columns, ("---",) * len(columns), *([_cell(row[name]) for name in columns] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _table_value(value: object) -> object:
    """MLflow's tables have no lists in their cells."""
    return ", ".join(map(str, value)) if isinstance(value, list) else value


def _cell(value: object) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else as_text(value)
