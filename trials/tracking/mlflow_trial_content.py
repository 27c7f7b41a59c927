"""What a trial looks like as an MLflow run: names, values, times. Pure data; `mlflow_store.py` and `mlflow_runs.py` speak to MLflow.

What was measured and what is grown along a training are metrics; what a shape or a study fixes, and what is said once about how a
training went, are parameters, so that MLflow's charts hold results alone. Everything follows from the record, so a run that is written
twice is written the same, time stamps included.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from analysis.objectives.objective import Noise
from analysis.objectives.observed import Observed
from analysis.objectives.problem import STANDARD, Problem
from analysis.objectives.registry import OBJECTIVES, find_objective, named_objectives
from analysis.records.health_checks import check_results, failed_checks
from analysis.records.json_writer import json_of
from analysis.records.record import FinalRecord, Outcome, TrialRecord
from search_space.architecture import Architecture
from trials.tracking.mlflow_curves import MetricPoint, curve_of, epoch_ms
from trials.trial.task import TrialTask

STATUSES = {
    Outcome.FINISHED: "FINISHED",
    Outcome.STOPPED: "KILLED",
    Outcome.OVER_LIMIT: "KILLED",
    Outcome.TIMED_OUT: "KILLED",
    Outcome.LOST: "KILLED",
    Outcome.DIVERGED: "FAILED",
    Outcome.OUT_OF_MEMORY: "FAILED",
    Outcome.FAILED: "FAILED",
}
"""MLflow's word for each outcome; only a finished trial is FINISHED there."""
CONTENT = 3
"""Raised with what a run is given, so that the runs of earlier versions are written once more."""
SUMMANDS = ("load_ms", "first_prefill_ms")
"""Objectives that another is the sum of (`cold_start_ms`): metrics only where a study is judged by them."""
LONGEST_REASON = 2000
"""Characters; MLflow refuses tags of more than 8,000."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContent:
    """Everything that MLflow is told about one trial."""

    name: str
    digest: str
    """Digest of the record: a run with another digest shows another record."""
    status: str
    started_ms: int
    ended_ms: int
    parameters: Mapping[str, str]
    metrics: tuple[MetricPoint, ...]
    tags: Mapping[str, str]


def begun_run(task: TrialTask) -> tuple[dict[str, str], dict[str, str]]:
    """Parameters and tags of the run of a trial that has begun; those of its record say the same and more."""
    tags = {
        "archfront.number": task.number,
        "archfront.kind": task.kind,
        "archfront.shape": task.architecture.label,
        "archfront.architecture_key": task.architecture.key,
        "archfront.reference": task.name,
        "archfront.replicates": task.replicates,
    }
    return _shape(task.architecture) | {"seed": as_text(task.seed)}, {name: as_text(tag) for name, tag in tags.items() if tag is not None}


def trial_run(record: TrialRecord, problem: Problem = STANDARD) -> RunContent:
    """A trial of a study of this problem as a run.

    Bits per byte and accuracy are given for finished trials only, so that no column of MLflow ever ranks one that stopped early
    among them; how far it came is in its curves.
    """
    started_ms = epoch_ms(record.started_at)
    ended_ms = started_ms + round(1000 * record.wall_seconds)
    totals = [MetricPoint(name, value, 0, ended_ms) for name, value in _results(record, problem)]
    return RunContent(
        name=record.title,
        digest=run_digest(digest(record)),
        status=STATUSES[record.outcome],
        started_ms=started_ms,
        ended_ms=ended_ms,
        parameters=_shape(record.architecture) | _conditions(record) | _facts(record),
        metrics=tuple(point for point in (*totals, *curve_of(record, started_ms)) if math.isfinite(point.value)),
        tags=_tags(record),
    )


def digest(record: TrialRecord | FinalRecord) -> str:
    """Sixteen hexadecimal digits that change with any field of the record."""
    return hashlib.sha256(json_of(record.as_dict(), sort_keys=True).encode()).hexdigest()[:16]


def run_digest(record_digest: str) -> str:
    """What a run is marked with: sixteen hexadecimal digits of its record's digest and of `CONTENT`."""
    return hashlib.sha256(f"{CONTENT} {record_digest}".encode()).hexdigest()[:16]


def _shape(architecture: Architecture) -> dict[str, str]:
    """The architecture by its field names; sharing as three fields, and a layer type that all blocks have as one word."""
    values = architecture.as_dict()
    values |= {f"sharing_{name}": value for name, value in values.pop("sharing").items()}
    types = values.pop("layer_types")
    values["layer_types"] = types[0] if len(set(types)) == 1 else ",".join(types)
    return {name: as_text(value) for name, value in values.items() if value is not None}


def _conditions(record: TrialRecord) -> dict[str, str]:
    training, latency = record.training, record.latency
    values = {
        "seed": record.seed,
        "device": training and training.device,
        "precision": training and training.precision,
        "threads": training and training.threads,
        "compiled": training and training.compiled,
        "latency_runtime": latency and f"{latency.runtime} {latency.runtime_version}",
    }
    return {name: as_text(value) for name, value in values.items() if value is not None}


def _tags(record: TrialRecord) -> dict[str, str]:
    values = {
        "archfront.outcome": record.outcome,
        "archfront.reused_from": record.training and record.training.reused_from,
        "archfront.latency_disturbed": (record.latency and record.latency.disturbed) or None,
        "archfront.failed_checks": ", ".join(result.check.name for result in failed_checks(record)) or None,
        "archfront.host": record.machine.get("host"),
        "mlflow.note.content": record.reason and record.reason[:LONGEST_REASON],
    }
    _, begun = begun_run(TrialTask.of(record))
    return begun | {name: as_text(value) for name, value in values.items() if value is not None}


def _results(record: TrialRecord, problem: Problem) -> Iterator[tuple[str, float]]:
    """What was measured of a trial as single numbers, by the names of the objectives."""
    seen = Observed.of(record)
    if record.finished:
        yield from objective_values(seen, "seed")
    for name, value in (*objective_values(seen, "measurement"), *objective_values(seen, "none")):
        if is_result(name, problem):
            yield name, value
    yield "parameters", record.costs.parameters


def is_result(name: str, problem: Problem) -> bool:
    """Whether an objective of that name is a metric: judged by, or measured and no part of another."""
    return name in problem.names or name in problem.limits or (find_objective(name).noise != "none" and name not in SUMMANDS)


def objective_values(seen: Observed, noise: Noise) -> Iterator[tuple[str, float]]:
    """Every objective of this noise that is known, by its name; those of named validation sets and tasks included."""
    for objective in (*OBJECTIVES.values(), *named_objectives(seen)):
        value = objective.value(seen)
        if objective.noise == noise and value is not None:
            yield objective.name, value


def _facts(record: TrialRecord) -> dict[str, str]:
    """What follows from the shape, what its training took, and what it looked like at the end."""
    training, costs = record.training, record.costs
    values: dict[str, float | None] = {"non_embedding_parameters": costs.non_embedding_parameters}
    values |= dict(objective_values(Observed.of(record), "none"))
    if training is not None:
        rates = [point.learning_rate for point in training.curve if point.learning_rate is not None]
        values |= {
            "trained_tokens": training.tokens,
            "training_seconds": training.wall_seconds,
            "tokens_per_second": training.tokens_per_second,
            "model_flops_utilisation": training.model_flops_utilisation,
            "training_peak_memory_bytes": training.peak_memory_bytes,
            "peak_learning_rate": max(rates, default=None),
        }
    values |= {f"check_{result.check.name}": result.value for result in check_results(record)}
    return {name: _number(value) for name, value in values.items() if value is not None and math.isfinite(value)}


def _number(value: float) -> str:
    """Whole where it is; else six digits, which sort and read better than all of them."""
    return str(int(value)) if value == int(value) else f"{value:.6g}"


def as_text(value: object) -> str:
    """A value as YAML writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
