"""What of a record another run of the same study must have again."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

from analysis.records.record import TrialRecord

OF_A_RUN = frozenset({
    "started_at", "wall_seconds", "seconds", "process_seconds", "evaluation_seconds", "cooldown_seconds", "tokens_per_second",
    "model_flops_utilisation", "peak_memory_bytes", "load_average", "load_average_after", "clock_mhz_before", "clock_mhz_after",
    "disturbed",
})  # fmt: skip
"""Fields of a record, at any depth, that say when and how quickly something ran."""


def lasting(record: TrialRecord) -> dict[str, Any]:
    """What holds of a trial whenever it runs: all but times, and for a real one the losses, bit for bit."""
    training = record.training
    curve = [(point.tokens, point.training_loss, point.validation_loss) for point in training.curve] if training else None
    names = ("number", "kind", "name", "replicates", "point", "architecture", "seed", "outcome", "reason", "costs")
    lasting = {name: record.as_dict()[name] for name in names}
    return lasting | {
        "validation": training.validation if training else None,
        "tokens": training.tokens if training else None,
        "curve": curve,
    }


def differing(ours: TrialRecord, theirs: TrialRecord) -> dict[str, tuple[Any, Any]]:
    """The fields in which two records of one trial differ, by their path, with both values: every field is looked at but `OF_A_RUN`."""
    return {path: (one, other) for path, one, other in _pairs("", ours.as_dict(), theirs.as_dict()) if one != other}


def _pairs(path: str, one: Any, other: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(one, dict) and isinstance(other, dict):
        for name in [*one, *(name for name in other if name not in one)]:
            if name not in OF_A_RUN:
                yield from _pairs(f"{path}.{name}", one.get(name), other.get(name))
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple):
        for place, (ours, theirs) in enumerate(zip_longest(one, other)):
            yield from _pairs(f"{path}.{place}", ours, theirs)
    else:
        yield path.lstrip("."), one, other
