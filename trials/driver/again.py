"""After the finals: the shapes that the report names are trained again, against the luck of a seed and of a learning rate."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from analysis.findings import picks
from analysis.front import front_of
from analysis.membership import membership
from analysis.record import FinalRecord, TrialRecord, append

SEED_AWAY = 2_000
"""Added to the study's seed for a fresh one: far from those of replicates."""
Again = Literal["fresh", "rate_bracket"]
"""A field of a final record: one training with a seed that chose nothing, or one at half and one at twice the rate."""
Train = Callable[[TrialRecord, FinalRecord], FinalRecord]
"""The final record of a trial with that field."""

logger = logging.getLogger(__name__)


def missing_again(records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord], field: Again) -> list[TrialRecord]:
    """The shapes that the report names (recommended, most accurate, knee, fastest) whose finals have nothing there yet."""
    front = front_of(records, finals)
    chosen = picks(front, membership(front))
    named = [record for record in records if record.number in chosen and record.number in finals]
    return [record for record in named if not getattr(finals[record.number], field)]


def train_again(
    directory: Path, records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord], field: Again, train: Train
) -> dict[int, FinalRecord]:
    """All final records, those of the named shapes with that field; each is written anew, and the newest counts.

    What `train` raises leaves that one out, with a warning, and the next run tries again.
    """
    known = dict(finals)
    for record in missing_again(records, known, field):
        try:
            known[record.number] = train(record, known[record.number])
        except Exception as error:
            logger.warning("the %s of %s is missing: %s", field.replace("_", " "), record.title, error)
            continue
        append(directory, known[record.number])
    return known
