"""Whether the answer moves with the text: how named validation sets rank the shapes, and what depth is worth on each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from analysis.objectives.objective import Objective
from analysis.objectives.observed import Observed
from analysis.objectives.quality import BITS_PER_BYTE, ON
from analysis.objectives.registry import find_objective
from analysis.records.record import Kind, TrialRecord
from analysis.records.replicates import averaged, repetitions
from analysis.statistics.intervals import standard_errors
from analysis.statistics.rank_correlation import RankCorrelation, rank_correlation
from analysis.statistics.seed_noise import estimate_seed_noise
from analysis.text.words import capitalised, joined

LEAST_JUDGED = 3
"""Shapes that a ranking is told of."""
HELD_OUT_TEXT = "the held-out split"
DEEP, WIDE = "deep-thin", "wide-shallow"


@dataclass(frozen=True, slots=True)
class DomainRanking:
    """One validation set beside the split by which the search has chosen."""

    name: str
    """The set, as the study's corpus names it."""
    shapes: int
    """Finished shapes that were judged on both."""
    agreement: RankCorrelation | None
    """How far the two rankings agree, the interval over the shapes; None of fewer than three."""


@dataclass(frozen=True, slots=True)
class DepthEffect:
    """What the deep reference has beyond the wide one, in bits per byte."""

    name: str
    """The set, or the held-out split."""
    value: float
    low: float
    """Lower end of the 90 % interval, of what seeds move alone."""
    high: float


def domain_rankings(records: Sequence[TrialRecord]) -> list[DomainRanking]:
    """Each named set's ranking of the shapes against the held-out split's, seeds averaged; nothing where the study names no set."""
    seen = _shapes(records)
    found = []
    for name in _sets(seen):
        here, there = find_objective(BITS_PER_BYTE), find_objective(f"{ON}{name}")
        pairs = [(a, b) for a, b in ((here.value(each), there.value(each)) for each in seen) if a is not None and b is not None]
        agreement = rank_correlation(*zip(*pairs, strict=True)) if len(pairs) >= LEAST_JUDGED else None
        found.append(DomainRanking(name, len(pairs), agreement))
    return found


def depth_effects(records: Sequence[TrialRecord]) -> list[DepthEffect]:
    """The deep reference less the wide one on the held-out split and on each named set; nothing where one did not finish, or none is named.

    The interval is of two trainings' seeds, by the replicates that there are and by what is expected of such trainings.
    """
    groups = repetitions(records)
    ends = {name: next((group for group in groups if _is_named(group[0], name)), None) for name in (DEEP, WIDE)}
    deep, wide = ends[DEEP], ends[WIDE]
    names = _sets(_shapes(records))
    if deep is None or wide is None or not names:
        return []
    found = []
    for name, objective in ((HELD_OUT_TEXT, find_objective(BITS_PER_BYTE)), *((name, find_objective(f"{ON}{name}")) for name in names)):
        seeds = [values for group in groups if (values := _values(group, objective))]
        ours, theirs = _values(deep, objective), _values(wide, objective)
        if not ours or not theirs:
            continue
        noise = estimate_seed_noise(seeds).size * sqrt(1 / len(ours) + 1 / len(theirs))
        value = sum(ours) / len(ours) - sum(theirs) / len(theirs)
        half = standard_errors() * noise
        found.append(DepthEffect(name, value, value - half, value + half))
    return found


def domain_sentences(records: Sequence[TrialRecord]) -> list[str]:
    """The answer in words; nothing where the study names no validation set, or fewer than three shapes were judged on it."""
    told = [(each, each.agreement) for each in domain_rankings(records) if each.agreement is not None]
    if not told:
        return []
    ranked = [f"{each.name} {agreement} of {each.shapes} shapes" for each, agreement in told]
    sentences = [
        f"How the shapes rank on the named sets beside {HELD_OUT_TEXT}, as Kendall's tau with its 95 % interval over the shapes "
        f"(1 is the same order, 0 is chance): {joined(ranked)}."
    ]
    if effects := depth_effects(records):
        said = [f"{each.value:+.3f} on {each.name} ({each.low:+.3f} to {each.high:+.3f})" for each in effects]
        alike = max(each.low for each in effects) <= min(each.high for each in effects)
        verdict = (
            "these intervals have a value in common" if alike else "these intervals do not all meet, so the answer moves with the text"
        )
        moved = "in bits per byte with 90 % intervals of what seeds move, not of the choice of texts"
        sentences.append(capitalised(f"{DEEP} less {WIDE}, {moved}: {joined(said)}; {verdict}."))
    return sentences


def _shapes(records: Sequence[TrialRecord]) -> list[Observed]:
    return [Observed.of(record) for record in averaged(records) if record.finished]


def _sets(seen: Sequence[Observed]) -> list[str]:
    return sorted({name for each in seen for name in each.validations})


def _is_named(record: TrialRecord, name: str) -> bool:
    return record.kind is Kind.REFERENCE and name in (record.name or "").split(" and ")


def _values(group: Sequence[TrialRecord], objective: Objective) -> list[float]:
    found = [objective.value(Observed.of(record)) for record in group]
    return [value for value in found if value is not None]
