"""After the finals: the shapes that the report names are trained again, against the noise of a seed and the choice of a learning rate."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

from analysis.fronts.front import front_of
from analysis.fronts.membership import estimate_membership, picks
from analysis.objectives.problem import STANDARD, Problem
from analysis.records.record import FinalRecord, FreshSeed, RatePoint, TrialRecord, append, read_finals
from trials.study.spec import StudySpec
from trials.training.recipe import as_it_is, with_scaled_rates
from trials.trial.reuse import Reuse

FRESH_SEED_OFFSET = 2_000
"""Added to the study's seed for a fresh one: far from those of replicates."""
Retraining = Literal["fresh_seed", "learning_rate_bracket"]
"""A field of a final record: one training with a seed that chose nothing, or one at half and one at twice the rate."""
Train = Callable[[TrialRecord, FinalRecord], FinalRecord]
"""The final record of a trial with that field."""

logger = logging.getLogger(__name__)


def wanted_retrainings(study: StudySpec) -> list[Retraining]:
    """What the study wants of the shapes that its report names; a grid has chosen none."""
    if study.scaling is not None:
        return []
    wanted: list[tuple[Retraining, bool]] = [
        ("fresh_seed", study.finals.fresh_seed),
        ("learning_rate_bracket", study.finals.learning_rate_bracket),
    ]
    return [field for field, asked in wanted if asked]


def named_shapes(records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord], problem: Problem = STANDARD) -> list[TrialRecord]:
    """The shapes that the report names (recommended, the knee, the best in each objective) and that have finals."""
    front = front_of(records, finals, problem)
    chosen = picks(front, estimate_membership(front))
    return [record for record in records if record.number in chosen and record.number in finals]


def missing_retrainings(
    records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord], field: Retraining, problem: Problem = STANDARD
) -> list[TrialRecord]:
    """The shapes that the report names whose finals have nothing in that field yet."""
    return [record for record in named_shapes(records, finals, problem) if not getattr(finals[record.number], field)]


def retrain(
    directory: Path,
    records: Sequence[TrialRecord],
    finals: Mapping[int, FinalRecord],
    field: Retraining,
    train: Train,
    problem: Problem = STANDARD,
) -> dict[int, FinalRecord]:
    """All final records, those of the named shapes with the named field; each is written anew, and the newest counts.

    What `train` raises leaves that one out, with a warning, and the next run tries again.
    """
    known = dict(finals)
    for record in missing_retrainings(records, known, field, problem):
        try:
            known[record.number] = train(record, known[record.number])
        except Exception as error:
            logger.warning("the %s of %s is missing: %s", field.replace("_", " "), record.title, error)
            continue
        append(directory, known[record.number])
    return known


def fresh_seed(record: TrialRecord, seed: int, train: Callable[[TrialRecord, int], FreshSeed], reuse: Reuse) -> FreshSeed:
    """The trial's shape with a fresh seed, trained where no other study has and judged it by the same rounding."""
    own = record.rounded_quality
    kind = None if own is None else own.kind

    def read(directory: Path, there: TrialRecord) -> tuple[int, FreshSeed]:
        fresh = read_finals(directory)[there.number].fresh_seed
        if fresh is None or fresh.validation is None or fresh.test is None:
            raise KeyError("fresh_seed")
        if kind is None:
            validation, test = replace(fresh.validation, rounded=None), replace(fresh.test, rounded=None)
            return fresh.seed, replace(fresh, validation=validation, test=test)
        if not fresh.test.rounded_as(kind):
            raise KeyError("fresh_seed")
        return fresh.seed, fresh

    found = reuse.result("fresh_seed", record.architecture, seed, as_it_is, read) or train(record, seed)
    if found.reason is None:
        reuse.leave_result("fresh_seed", record, seed, as_it_is)
    return found


def learning_rate_bracket(record: TrialRecord, train: Callable[[TrialRecord, float], RatePoint], reuse: Reuse) -> tuple[RatePoint, ...]:
    """The trial at half, once (its own) and twice the study's rate, trained where no other study has."""
    own = record.training.validation if record.training else None
    once = RatePoint(factor=1.0, bits_per_byte=own.bits_per_byte if own else None)
    return _rate_point(record, 0.5, train, reuse), once, _rate_point(record, 2.0, train, reuse)


def _rate_point(record: TrialRecord, factor: float, train: Callable[[TrialRecord, float], RatePoint], reuse: Reuse) -> RatePoint:
    def read(directory: Path, there: TrialRecord) -> tuple[int, RatePoint]:
        points = {point.factor: point for point in read_finals(directory)[there.number].learning_rate_bracket}
        if points[factor].bits_per_byte is None:
            raise KeyError(factor)
        return there.seed, points[factor]

    recipe = partial(with_scaled_rates, factor=factor)
    found = reuse.result("rate_bracket", record.architecture, record.seed, recipe, read) or train(record, factor)
    if found.bits_per_byte is not None:
        reuse.leave_result("rate_bracket", record, record.seed, recipe)
    return found
