"""What this machine's trainings, measurements and starts took before, kept in the cache by machine and recipe. No torch.

One small JSON file for each recipe (or workload, or for the machine alone): the newest rows of what was timed for a plan, and of what
studies then took, which counts for more. A file that cannot be read counts as none.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from analysis.records.checked import from_json
from analysis.records.files import write_whole
from analysis.records.json_text import parse_json
from analysis.records.json_writer import json_of
from trials.machine.processors import device_name
from trials.machine.provenance import library_version
from trials.study.files import cache_folder, sole
from trials.study.spec import StudySpec

PACES = "paces"
MOST_ROWS = 64
"""Rows of a file; the oldest go first."""
PACE_SCHEMA = 3
"""3: an evaluation as rounded counts for what it takes, without pauses, and finals are those of a machine of its own."""
Origin = Literal["timed", "run", "final"]
"""A few steps that were timed for a plan, a whole training of a study, or a measurement after its search, when nothing is beside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPace:
    """What one shape's training took a token."""

    label: str
    step_flops: float
    """FLOPs of a step, those of the optimizer's products included."""
    step_tokens: int
    stands_for_flops: float
    """Training FLOPs of a whole step of the shape that it was timed for: a block, or fewer tokens, are timed where that is too large."""
    executed_blocks: int
    parameters: int
    seconds_per_token: float
    """Seconds here and in the other rows are those of a machine where nothing else is at work."""
    evaluation_flops_per_second: float | None
    """Forward FLOPs a second of an evaluation; None where none was timed."""
    start_seconds: float
    """Seconds before the first step: compiling."""
    origin: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyPace:
    """What one latency took of a trial's time."""

    label: str
    parameters: int
    seconds: float
    """From the question to the answer, in a process that has its runtime; of a study's trial with the pauses for others' measurements."""
    origin: Origin
    is_first: bool = False
    """Whether it is of one of the trials that a run begins with, which wait until the runtime is imported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OverheadPace:
    """What is neither training nor measuring, of one run, or of the processes of a plan."""

    seconds: Mapping[str, float]
    """Seconds by the name of a stage, and `imports` for what a process needs before its first step."""
    origin: Origin


PaceRow = TypeVar("PaceRow", TrainingPace, LatencyPace, OverheadPace)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptFile:
    """Where rows of one kind lie, and what they hold for."""

    path: Path
    facts: Mapping[str, Any]


def paces_folder() -> Path:
    """Where the tables of this user's machine lie."""
    return cache_folder() / PACES


def training_file(study: StudySpec, machine: str) -> KeptFile:
    """Rows of a recipe on a machine, with nothing left open in the study."""
    proxy, workers = study.proxy.plain(), study.workers
    facts = {
        "kind": "training", "machine": machine, "optimizer": proxy.optimizer, "batch_sequences": proxy.batch_sequences,
        "context_tokens": proxy.context_tokens, "precision": proxy.precision, "compile": proxy.compile, "threads": workers.trial_threads,
        "workers": workers.count, "gpus": workers.gpus,
    }  # fmt: skip
    return _file(facts)


def latency_file(study: StudySpec, machine: str) -> KeptFile:
    """Rows of a workload beside so many workers on a machine."""
    facts = {"kind": "latency", "machine": machine, "workers": study.workers.count, **study.latency.model_dump(mode="json")}
    return _file(facts)


def overhead_file(machine: str) -> KeptFile:
    """Rows of a machine's starts and ends."""
    return _file({"kind": "overhead", "machine": machine})


def machine_of(study: StudySpec) -> str:
    """The machine that asks and the torch that it has, as far as both can be told without importing it: processor, GPU, counts."""
    torch = library_version("torch") or "none"
    where = f"{device_name()} x {os.cpu_count()}"
    return f"{_gpu() or 'no GPU'}, {where}, torch {torch}" if study.workers.gpus else f"{where}, torch {torch}"


def has_gpu() -> bool:
    """Whether this machine has an Nvidia GPU, as its driver says it."""
    return _gpu() is not None


def kept_rows(file: KeptFile, kind: type[PaceRow]) -> list[PaceRow]:
    """The rows of a file, the oldest first."""
    try:
        values: dict[str, Any] = parse_json(file.path.read_bytes())
        return [from_json(kind, row) for row in values["rows"]] if values["schema"] == PACE_SCHEMA else []
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return []


def keep_rows(file: KeptFile, rows: Sequence[PaceRow]) -> None:
    """Add rows; studies and plans that share the cache wait for each other. Not being able to is no error: it is a cache."""
    if not rows:
        return
    try:
        file.path.parent.mkdir(parents=True, exist_ok=True)
        with sole(file.path.with_suffix(".lock")):
            newest = [*kept_rows(file, type(rows[0])), *rows][-MOST_ROWS:]
            values = {"schema": PACE_SCHEMA, "facts": dict(file.facts), "rows": [asdict(row) for row in newest]}
            write_whole(file.path, (json_of(values, indent=1) + "\n").encode())
    except OSError:
        return


def trusted(rows: Iterable[PaceRow]) -> list[PaceRow]:
    """What studies took, where any did; else what was timed."""
    found = list(rows)
    return [row for row in found if row.origin != "timed"] or found


def _file(facts: Mapping[str, Any]) -> KeptFile:
    digest = hashlib.sha256(json_of({**facts, "schema": PACE_SCHEMA}, sort_keys=True).encode()).hexdigest()[:16]
    return KeptFile(path=paces_folder() / f"{digest}.json", facts=facts)


def _gpu() -> str | None:
    for file in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        try:
            lines = file.read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            if line.startswith("Model:"):
                return line.partition(":")[2].strip()
    return None
