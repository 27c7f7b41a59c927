"""A stored study of earlier words brought to today's: the files in a study's directory are read for ever, a person's file is not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from search_space.errors import SpecError

Values = dict[str, Any]
LIMITS = {"latency_ms": "total_ms", "memory_bytes": "peak_memory_bytes"}
"""Names of limits before there were objectives by name."""


def upgraded(values: object) -> object:
    """The mapping of a stored `study.yaml` under today's keys; what is no mapping stays as it is, for the reader to refuse."""
    if not isinstance(values, Mapping):
        return values
    changed = dict(values)
    for step in STEPS:
        step(changed)
    return changed


def _objectives_by_name(values: Values) -> None:
    """`objectives: {quality, latency, limits}` into `latency`, `limits` and a list of names, which was always the same."""
    there = values.get("objectives")
    if not isinstance(there, Mapping):
        return
    unknown = set(there) - {"quality", "latency", "limits"}
    if unknown:
        raise SpecError(f"objectives.{min(unknown)} is unknown; restore the study.yaml of this directory from a copy")
    del values["objectives"]
    if there.get("latency") is not None:
        values["latency"] = there["latency"]
    if there.get("limits"):
        values["limits"] = {LIMITS.get(name, name): limit for name, limit in there["limits"].items() if limit is not None}


STEPS: tuple[Callable[[Values], None], ...] = (_objectives_by_name,)
"""Each changes a mapping of the form before it in place."""
