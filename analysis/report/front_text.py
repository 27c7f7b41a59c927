"""A study's front as plain text, for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from analysis.fronts.findings import findings, picks
from analysis.fronts.front import Front
from analysis.fronts.membership import membership
from analysis.fronts.rows import front_rows
from analysis.fronts.selection_bias import luck
from analysis.records.record import FinalRecord, TrialRecord
from analysis.text import format as words
from analysis.text.columns import aligned

COLUMNS = ("trial", "shape", "parameters", "latency", "bits per byte", "true, 90 %", "on front", "accuracy", "")
TEXT = ("trial", "shape", "")
"""Columns whose cells stand on the left."""


def front_text(records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord], front: Front) -> str:
    """The front from fast to slow with the references that it beats, then the findings in sentences."""
    sure = membership(front)
    chosen = picks(front, sure)
    rows = [COLUMNS]
    for row in front_rows(records, finals, front, sure):
        notes = [*([row["name"]] if row["name"] else []), *chosen.get(row["trial"], []), *([] if row["on_front"] else ["not on the front"])]
        notes += ["reused"] if row["reused_from"] else []
        notes += ["tie"] if front.most_accurate in row["ties"] else []
        rows.append(
            (
                f"#{row['trial']}",
                row["shape"],
                f"{row['parameters']:,}",
                words.milliseconds(row["latency_ms"]),
                words.quality(row["validation_bits_per_byte"], "bits_per_byte"),
                words.interval(row["true_bits_per_byte_low"], row["true_bits_per_byte_high"], "bits_per_byte"),
                words.probability(row["front_probability"]),
                words.quality(row["validation_next_token_accuracy"], "next_token_accuracy"),
                ", ".join(notes),
            )
        )
    lines = aligned(rows, [place for place, column in enumerate(COLUMNS) if column in TEXT])
    sentences = [*findings(records, finals, front), *luck(records, finals, front, sure)]
    return "\n".join([*(lines if len(rows) > 1 else []), "", *sentences]).strip()
