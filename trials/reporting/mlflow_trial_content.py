"""What a study and its trials look like as MLflow runs: names, values, times. Pure data; `tracking.py` alone speaks to MLflow.

Everything follows from the records, so a run that is written twice is written the same, time stamps included.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, NamedTuple

from analysis.fronts.front import Front
from analysis.objectives.objective import Noise
from analysis.objectives.observed import Observed
from analysis.objectives.problem import Problem
from analysis.objectives.quality import ON
from analysis.objectives.registry import OBJECTIVES, find_objective
from analysis.records.health_checks import check_results, failed_checks
from analysis.records.json_writer import json_of
from analysis.records.record import FinalRecord, Outcome, TrialRecord
from trials.study.directory import MAY_CHANGE, flat
from trials.study.spec import StudySpec

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
NOTE_COLUMNS = ("trial", "name", "shape", "on_front", "front_probability", "recommended", "parameters")
"""Columns of the note before the objectives."""
LONGEST_REASON = 2000
"""Characters; MLflow refuses tags of more than 8,000."""


class MetricPoint(NamedTuple):
    """One value of one metric."""

    name: str
    value: float
    step: int
    """Training tokens on a curve; 0 for what is said once, which MLflow then draws as a bar."""
    time_ms: int
    """Since the epoch; pauses of the training are not in it."""


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
    corpus_sha256: str | None


def trial_run(record: TrialRecord) -> RunContent:
    """A trial as a run.

    Bits per byte and accuracy are given for finished trials only, so that no column of MLflow ever ranks one that stopped early
    among them; how far it came is in its curves.
    """
    started_ms = _epoch_ms(record.started_at)
    ended_ms = started_ms + round(1000 * record.wall_seconds)
    totals = [MetricPoint(name, value, 0, ended_ms) for name, value in _totals(record)]
    training = record.training
    return RunContent(
        name=record.title,
        digest=digest(record),
        status=STATUSES[record.outcome],
        started_ms=started_ms,
        ended_ms=ended_ms,
        parameters=_shape(record) | _conditions(record),
        metrics=tuple(point for point in (*totals, *_curve(record, started_ms)) if math.isfinite(point.value)),
        tags=_tags(record),
        corpus_sha256=training.corpus_sha256 if training else None,
    )


def digest(record: TrialRecord | FinalRecord) -> str:
    """Sixteen hexadecimal digits that change with any field of the record."""
    return hashlib.sha256(json_of(record.as_dict(), sort_keys=True).encode()).hexdigest()[:16]


def final_metrics(record: TrialRecord, final: FinalRecord) -> list[MetricPoint]:
    """What was measured of a chosen trial after the search, under names of its own."""
    measured_ms = _epoch_ms(final.measured_at)
    after = Observed.of(record, final) if final.latency else None
    values = {f"final_{name}": value for name, value in _values(after, "measurement")} if after else {}
    if final.test:
        values["test_loss"] = final.test.loss
    for prefix, quality in (("test", final.test), ("fresh_seed_test", final.fresh_seed.test if final.fresh_seed else None)):
        values |= {f"{prefix}_{name}": value for name, value in _values(Observed.judged_by(record, quality), "seed")}
    return [MetricPoint(name, value, 0, measured_ms) for name, value in values.items() if math.isfinite(value)]


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
    return {name: ", ".join(map(str, value)) if isinstance(value, list) else _text(value) for name, value in leaves.items()}


def study_metrics(records: Sequence[TrialRecord], front: Front) -> list[MetricPoint]:
    """The study in a few numbers, so that MLflow can compare studies."""
    values: dict[str, float] = {
        "trials": len(records),
        "finished_trials": sum(record.finished for record in records),
        "front_size": len(front.members),
    }
    if front.members:
        values["hypervolume"] = front.hypervolume
    for place, name in enumerate(front.problem.names):
        best = front.best(place)
        if best is not None:
            values[f"best_{name}"] = front.points[best].values[place]
    time_ms = ended_ms(records)
    return [MetricPoint(name, value, len(records), time_ms) for name, value in values.items()]


def ended_ms(records: Sequence[TrialRecord]) -> int:
    """When the last trial ended, since the epoch; 0 where there is none."""
    return max((_epoch_ms(record.started_at) + round(1000 * record.wall_seconds) for record in records), default=0)


def front_data(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The rows of `analysis.fronts.rows` in the layout of MLflow's tables: `columns` and rows of `data`; None where not measured."""
    return {"columns": list(rows[0]) if rows else ["trial"], "data": [[_table_value(value) for value in row.values()] for row in rows]}


def front_note(rows: Sequence[Mapping[str, Any]], problem: Problem) -> str:
    """The front's rows in Markdown with the columns most asked for, for the description of the study's run."""
    if not rows:
        return "No trial has finished, so there is no front."
    tested = [f"test_{objective.name}" for objective in problem.objectives if objective.noise == "seed"]
    columns = (*NOTE_COLUMNS, *(problem.names[place] for place in problem.columns), *tested)
    lines = [columns, ("---",) * len(columns), *([_cell(row[name]) for name in columns] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _table_value(value: object) -> object:
    """MLflow's tables have no lists in their cells."""
    return ", ".join(map(str, value)) if isinstance(value, list) else value


def _cell(value: object) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else _text(value)


def _shape(record: TrialRecord) -> dict[str, str]:
    """The architecture by its field names; sharing as three fields, and a layer type that all blocks have as one word."""
    values = record.architecture.as_dict()
    values |= {f"sharing_{name}": value for name, value in values.pop("sharing").items()}
    types = values.pop("layer_types")
    values["layer_types"] = types[0] if len(set(types)) == 1 else ",".join(types)
    return {name: _text(value) for name, value in values.items() if value is not None}


def _conditions(record: TrialRecord) -> dict[str, str]:
    training, latency = record.training, record.latency
    values = {
        "seed": record.seed,
        "device": training and training.device,
        "precision": training and training.precision,
        "threads": training and training.threads,
        "compiled": training and training.compiled,
        "latency_runtime": latency and f"{latency.runtime} {latency.runtime_version}",
        "latency_protocol": latency and latency.protocol,
        "latency_prompt_tokens": latency and latency.prompt_tokens,
        "latency_new_tokens": latency and latency.new_tokens,
    }
    return {name: _text(value) for name, value in values.items() if value is not None}


def _tags(record: TrialRecord) -> dict[str, str]:
    values = {
        "archfront.number": record.number,
        "archfront.kind": record.kind,
        "archfront.outcome": record.outcome,
        "archfront.shape": record.architecture.label,
        "archfront.architecture_key": record.architecture.key,
        "archfront.reference": record.name,
        "archfront.replicates": record.replicates,
        "archfront.reused_from": record.training and record.training.reused_from,
        "archfront.latency_disturbed": record.latency and record.latency.disturbed,
        "archfront.failed_checks": ", ".join(result.check.name for result in failed_checks(record)) or None,
        "archfront.host": record.machine.get("host"),
        "mlflow.note.content": record.reason and record.reason[:LONGEST_REASON],
    }
    return {name: _text(value) for name, value in values.items() if value is not None}


def _curve(record: TrialRecord, started_ms: int) -> Iterator[MetricPoint]:
    """Training and validation loss and learning rate over tokens; a finished trial's curve ends in the loss that counts."""
    training = record.training
    if training is None:
        return
    points = {}
    for point in training.curve:
        for name in ("training_loss", "validation_loss", "learning_rate"):
            value = getattr(point, name)
            if value is not None:
                points[name, point.tokens] = MetricPoint(name, value, point.tokens, started_ms + round(1000 * point.seconds))
    if record.finished and training.validation:
        ended_ms = started_ms + round(1000 * record.wall_seconds)
        points["validation_loss", training.tokens] = MetricPoint("validation_loss", training.validation.loss, training.tokens, ended_ms)
    yield from points.values()


def _totals(record: TrialRecord) -> Iterator[tuple[str, float]]:
    """What is known of a trial as single numbers, the most asked for first."""
    training = record.training
    seen = Observed.of(record)
    if record.finished:
        yield from _values(seen, "seed")
    yield from _values(seen, "measurement")
    yield from _values(seen, "none")
    for cost in fields(record.costs):
        if cost.name not in OBJECTIVES:
            yield cost.name, getattr(record.costs, cost.name)
    yield "wall_seconds", record.wall_seconds
    if training is None:
        return
    yield "trained_tokens", training.tokens
    yield "tokens_per_second", training.tokens_per_second
    yield "training_seconds", training.wall_seconds
    yield "process_seconds", training.process_seconds
    if training.model_flops_utilisation is not None:
        yield "model_flops_utilisation", training.model_flops_utilisation
    if training.peak_memory_bytes is not None:
        yield "training_peak_memory_bytes", training.peak_memory_bytes
    for result in check_results(record):
        yield f"check_{result.check.name}", result.value


def _values(seen: Observed, noise: Noise) -> Iterator[tuple[str, float]]:
    """Every objective of this noise that is known, by its name, with the ends of its repeats; named validation sets included."""
    named = [find_objective(f"{ON}{name}") for name in seen.validations]
    for objective in (*OBJECTIVES.values(), *named):
        value, spread = objective.value(seen), objective.spread(seen)
        if objective.noise == noise and value is not None:
            yield objective.name, value
            if spread is not None:
                yield f"{objective.name}_p10", spread.p10
                yield f"{objective.name}_p90", spread.p90


def _text(value: object) -> str:
    """A value as YAML writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _epoch_ms(time: str) -> int:
    return round(1000 * datetime.fromisoformat(time).timestamp())
