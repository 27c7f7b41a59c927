"""One trial to run, as it travels to a worker, and the record of one that did not come back. No torch."""

from __future__ import annotations

import platform
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from analysis.objectives.observed import Observed
from analysis.records.record import Costs, Kind, Outcome, TrialRecord, trial_title
from search_space import cost
from search_space.architecture import Architecture
from search_space.sharing import Sharing
from trials.machine.niceness import niceness
from trials.machine.provenance import code_digest
from trials.machine.redaction import redacted
from trials.study.latency_spec import LatencySpec
from trials.study.spec import ProxySpec
from trials.training.failures import Diverged, OutOfMemory, TimedOut
from trials.training.schedules import stated_tokens


class DeviceLost(Exception):  # noqa: N818  as the failures of a training
    """The latency device was lost while it measured a trial's shape, too often: infrastructure, and so no verdict on the trial."""


class DeviceEnded(RuntimeError):  # noqa: N818  as the failures of a training
    """The process that takes latencies does not start, or was ended for good: nothing that it was asked for says anything of a shape."""


class DeviceAway(Exception):  # noqa: N818  as the failures of a training
    """The latency device is away, and who asked waits no longer: the shape is trained first, and measured once the device is back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialTask:
    """What a worker needs to know of a trial; picklable, and JSON-able through `as_dict`."""

    number: int
    """Place in the study, from 0; references come first."""
    kind: Kind
    name: str | None = None
    """Name of a reference, or of a scaling study's shape; None for other kinds."""
    replicates: int | None = None
    """The trial whose shape is trained again with another seed; None for other kinds."""
    point: Mapping[str, Any] | None = None
    """Raw sampled values in JSON's types; None where nothing was sampled."""
    architecture: Architecture
    seed: int
    """Decides the initial weights and the order of the data: the study's for every shape, another for a replicate."""
    tokens: int | None = None
    """Training tokens of this trial alone; None where the study's recipe says how many."""

    @property
    def title(self) -> str:
        """What its record is called, see `trial_title`."""
        return trial_title(self.number, self.architecture, self.name, self.replicates)

    def recipe(self, proxy: ProxySpec) -> ProxySpec:
        """The study's recipe as this trial follows it."""
        return proxy if self.tokens is None else proxy.with_tokens(self.tokens)

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "number": self.number,
            "kind": str(self.kind),
            "name": self.name,
            "replicates": self.replicates,
            "point": plain(self.point),
            "architecture": self.architecture.as_dict(),
            "seed": self.seed,
            "tokens": self.tokens,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The reverse of `as_dict`."""
        return cls(**{**values, "kind": Kind(values["kind"]), "architecture": Architecture.from_dict(values["architecture"])})

    @classmethod
    def of(cls, record: TrialRecord) -> Self:
        """The task that a record answered; a number of tokens of its own is not among what a record says."""
        return cls(
            number=record.number,
            kind=record.kind,
            name=record.name,
            replicates=record.replicates,
            point=record.point,
            architecture=record.architecture,
            seed=record.seed,
        )


def count_costs(architecture: Architecture, workload: LatencySpec, proxy: ProxySpec) -> Costs:
    """The closed forms of a shape at a study's latency workload and training context."""
    tokens = workload.prompt_tokens + workload.new_tokens
    return Costs(
        parameters=cost.parameters(architecture),
        non_embedding_parameters=cost.non_embedding_parameters(architecture),
        weight_bytes=cost.weight_bytes(architecture, workload.precision),
        kv_cache_bytes=cost.kv_cache_bytes(architecture, tokens),
        decode_flops=cost.decode_flops(architecture, tokens),
        training_flops_per_token=cost.training_flops_per_token(architecture, proxy.context_tokens),
    )


def shape_observed(architecture: Architecture, workload: LatencySpec, proxy: ProxySpec) -> Observed:
    """What is known of a shape before anything runs."""
    costs = count_costs(architecture, workload, proxy)
    return Observed(architecture=architecture, costs=costs, training_tokens=stated_tokens(proxy, architecture))


@dataclass(frozen=True, slots=True)
class Start:
    """When a trial began: the wall clock's time to be read, and a clock that never goes back to count from."""

    at: datetime
    monotonic: float

    @classmethod
    def now(cls) -> Self:
        """The present moment."""
        return cls(datetime.now(UTC), time.monotonic())

    @property
    def elapsed_seconds(self) -> float:
        """Since then; within the process that made it."""
        return time.monotonic() - self.monotonic


def record_of(task: TrialTask, outcome: Outcome, reason: str | None, costs: Costs, start: Start, **measured: Any) -> TrialRecord:
    """The record of this task that began then and ends now; `measured` are further fields of TrialRecord."""
    return TrialRecord(
        number=task.number,
        kind=task.kind,
        name=task.name,
        replicates=task.replicates,
        point=task.point,
        architecture=task.architecture,
        seed=task.seed,
        outcome=outcome,
        reason=reason and redacted(reason),
        costs=costs,
        started_at=start.at.isoformat(timespec="seconds"),
        wall_seconds=start.elapsed_seconds,
        **measured,
    )


def outcome_of(error: Exception) -> tuple[Outcome, str]:
    """An exception as an outcome and a reason that a person can act on, without a secret that another library put into its words."""
    known: dict[type[Exception], Outcome] = {
        Diverged: Outcome.DIVERGED,
        OutOfMemory: Outcome.OUT_OF_MEMORY,
        MemoryError: Outcome.OUT_OF_MEMORY,
        TimedOut: Outcome.TIMED_OUT,
        DeviceLost: Outcome.LOST,
    }
    for kind, outcome in known.items():
        if isinstance(error, kind):
            return outcome, redacted(str(error)) or "memory ran out; lower proxy.batch_sequences, proxy.context_tokens or workers.count"
    said = traceback.format_exception_only(error)[-1].strip()
    frames = traceback.extract_tb(error.__traceback__)
    place = f" (in {frames[-1].name}, {frames[-1].filename.rsplit('/', 1)[-1]}:{frames[-1].lineno})" if frames else ""
    return Outcome.FAILED, f"{redacted(said)}{place}"


def this_machine() -> dict[str, str]:
    """Host, processor, Python, digits of our code and niceness, of the process that calls."""
    return {
        "host": platform.node(),
        "processor": _processor(),
        "python": platform.python_version(),
        "code": code_digest(),
        "niceness": str(niceness()),
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def plain(value: Any) -> Any:
    """JSON's types only, for raw sampled values."""
    if isinstance(value, Sharing):
        return value.as_dict()
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, tuple | list) else value
