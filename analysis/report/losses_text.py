"""The losses of a scaling study as rows and as plain text, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from analysis.records.record import TrialRecord
from analysis.text import format as words
from analysis.text.columns import aligned


def grid_rows(records: Sequence[TrialRecord]) -> list[dict[str, Any]]:
    """Every finished loss of the grid, rungs included, in the order of the trials; a training that did not finish has a row with None."""
    return [row for record in sorted(records, key=lambda record: record.number) for row in _rows(record)]


def grid_text(records: Sequence[TrialRecord]) -> str:
    """A line for each training with its losses by tokens, and what did not finish, each with its reason."""
    lines = [("trial", "name", "shape", "parameters", "seed", "loss (nats per token) at tokens")]
    failed = []
    for record in sorted(records, key=lambda record: record.number):
        found = [row for row in _rows(record) if row["loss"] is not None]
        losses = "  ".join(f"{row['loss']:.4f} at {words.short(row['tokens'])}" for row in found)
        if not found:
            losses = f"{record.outcome}"
            failed.append(f"#{record.number} {record.outcome}: {record.reason}")
        shape = record.architecture.label
        lines.append((f"#{record.number}", record.name or "", shape, f"{record.costs.parameters:,}", f"{record.seed}", losses))
    return "\n".join([*aligned(lines, (1, 2, 5)), *failed])


def _rows(record: TrialRecord) -> list[dict[str, Any]]:
    known = {
        "trial": record.number,
        "name": record.name,
        "shape": record.architecture.label,
        "parameters": record.costs.parameters,
        "seed": record.seed,
    }
    training = record.training
    if not record.finished or training is None or training.validation is None:
        return [{**known, "tokens": None, "loss": None, "bits_per_byte": None}]
    last = training.validation
    losses = [*((rung.tokens, rung.loss, rung.bits_per_byte) for rung in training.rungs), (training.tokens, last.loss, last.bits_per_byte)]
    return [{**known, "tokens": tokens, "loss": loss, "bits_per_byte": bits} for tokens, loss, bits in losses]
