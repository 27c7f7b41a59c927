"""After the finals: the recommended shapes trained once more with a seed that chose nothing, so that their claims are free of its luck."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from analysis.findings import picks
from analysis.front import front_of
from analysis.membership import membership
from analysis.record import FinalRecord, FreshSeed, TrialRecord, append

SEED_AWAY = 2_000
"""Added to the study's seed: far from those of replicates."""
Train = Callable[[TrialRecord], FreshSeed]

logger = logging.getLogger(__name__)


def missing_fresh(records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord]) -> list[TrialRecord]:
    """The shapes that the report names (recommended, most accurate, knee, fastest) whose finals have no fresh seed yet."""
    front = front_of(records, finals)
    chosen = picks(front, membership(front))
    return [record for record in records if record.number in chosen and record.number in finals and finals[record.number].fresh is None]


def train_fresh(directory: Path, records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord], train: Train) -> dict[int, FinalRecord]:
    """All final records, those of the named shapes with a fresh seed; each is written anew, and the newest counts.

    What `train` raises leaves that one out, with a warning, and the next run tries again.
    """
    known = dict(finals)
    for record in missing_fresh(records, known):
        try:
            fresh = train(record)
        except Exception as error:
            logger.warning("the fresh seed of %s is missing: %s", record.title, error)
            continue
        known[record.number] = replace(known[record.number], fresh=fresh)
        append(directory, known[record.number])
    return known
