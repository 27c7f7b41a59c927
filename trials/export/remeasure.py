"""The latency of an export in the runtime that its file is for, taken when it is written."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace

from analysis.records.latency import Latency
from search_space.architecture import Architecture
from search_space.errors import SpecError
from trials.catalogue.formats import MODEL_FORMATS
from trials.export.check import Check
from trials.latency.process import LatencyError, LatencyProcess
from trials.study.latency_spec import LatencySpec, parse_latency


def with_latencies(checks: Sequence[Check], architecture: Architecture, spec: LatencySpec, earlier: Sequence[Latency]) -> list[Check]:
    """The checks with a latency each, by the study's workload, where there is a runtime for the format; a reason where it cannot be taken.

    `earlier` latencies of the study say what the yardstick counts as on this device, so that new ones compare with them. The protocol
    writes files of its own, alike but for their weights' values, which make no difference to the time.
    """
    found = []
    for check in checks:
        if check.format not in MODEL_FORMATS:
            found.append(check)
            continue
        try:
            taken = _measure(architecture, spec, MODEL_FORMATS[check.format], check.precision or "float32", earlier)
            found.append(replace(check, latency=taken))
        except (SpecError, LatencyError) as error:
            found.append(replace(check, not_measured=str(error)))
    return found


def _measure(architecture: Architecture, spec: LatencySpec, runtime: str, precision: str, earlier: Sequence[Latency]) -> Latency:
    """Raises SpecError where the runtime is not installed or cannot hold the shape, LatencyError where the measurement fails."""
    workload = spec.model_dump(include={"prompt_tokens", "new_tokens", "threads", "repeats"})
    with closing(LatencyProcess(parse_latency({**workload, "runtime": runtime, "precision": precision}), earlier)) as process:
        return process.measure(architecture)
