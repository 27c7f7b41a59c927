"""What of a record another run of the same study must have again."""

from __future__ import annotations

from typing import Any

from analysis.records.record import TrialRecord


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
