"""Whether the short trainings rank shapes as longer ones do: agreement at each evaluation, and which differences keep their order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from analysis.records.checked import PositiveFloat, from_json
from analysis.records.files import read_lines
from analysis.records.record import TrialRecord
from analysis.records.replicates import averaged, repetitions, validation
from analysis.statistics.rank_correlation import RankCorrelation, rank_correlation
from analysis.text.words import plural

VALIDITY, PROMOTED = "validity.jsonl", "promoted.jsonl"
"""Long trainings that judge a ranking, and those of a front's shapes."""
LEAST_RANKED = 3
"""Shapes that an agreement needs."""
KEPT = 0.95
"""Fraction of the pairs at least so far apart that must keep their order for a difference to count as trustworthy."""
LEAST_PAIRS = 10
"""Pairs that such a statement needs."""
GOOD, POOR = 0.7, 0.3
"""Taus that are told apart in words; 0.7 means that 85 % of all pairs keep their order, 0.3 that 65 % do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LongRun:
    """One shape trained longer, with a seed of its own."""

    number: int
    """Number of the trial whose shape it is."""
    architecture_key: str
    """Key of the shape, so that a trial which was run anew is not mixed up with the one that was."""
    times: PositiveFloat
    """Budget of the longer training over the study's."""
    seed: int
    tokens: int | None
    """Tokens that it trained on; None where it did not finish."""
    bits_per_byte: PositiveFloat | None
    """Bits per byte on the validation split at the end; None where it did not finish."""
    reason: str | None = None
    """Why it did not finish."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareCorrelation:
    """How the ranking at one evaluation of the short trainings agrees with the long ones."""

    share: float
    """Fraction of the short training that is done at the evaluation, 0 to 1."""
    correlation: RankCorrelation


@dataclass(frozen=True, slots=True, kw_only=True)
class Validity:
    """What the longer trainings say of the short ones."""

    times: float
    shapes: tuple[tuple[int, str, float, float], ...]
    """Trial, label, and bits per byte after the short and after the long training, best long one first."""
    correlations: tuple[ShareCorrelation, ...]
    """Rank correlations by share; the last is the whole short training. None where fewer than 3 shapes finished."""
    trusted_difference: float | None
    """Pairs of shapes at least so many bits per byte apart after the short training kept their order in 95 %; None where none did."""
    trusted_pairs: int
    """Pairs that this rests on."""
    failed: tuple[str, ...]
    """Long trainings that did not finish, and why."""


def read_long_runs(directory: Path, file: str = VALIDITY) -> list[LongRun]:
    """The long trainings in a file of a study's directory; SpecError with the line's place where it holds anything else."""
    cure = "delete that line to have it run again"
    return [*read_lines(directory / file, lambda values: from_json(LongRun, values), "a long training", cure)]


def read_all_long_runs(directory: Path) -> list[LongRun]:
    """All trainings of a study's shapes that were longer than its own, from both files of its directory."""
    return [*read_long_runs(directory, PROMOTED), *read_long_runs(directory)]


def stratified(records: Iterable[TrialRecord], count: int) -> list[TrialRecord]:
    """So many finished shapes over the whole range of losses, from the best to the worst; all of them where there are no more."""
    ranked = sorted((group[0] for group in repetitions(averaged(records))), key=_bits)
    if count >= len(ranked):
        return ranked
    places = {round(place * (len(ranked) - 1) / max(1, count - 1)) for place in range(count)}
    return [ranked[place] for place in sorted(places)]


def validity(records: Iterable[TrialRecord], runs: Sequence[LongRun], times: float | None = None) -> Validity | None:
    """What the long trainings of that length (the latest one's, by default) say; None where there are none."""
    times = runs[-1].times if times is None and runs else times
    known = {group[0].number: group[0] for group in repetitions(averaged(records))}
    ours = {r.number: r for r in runs if r.times == times and r.number in known and known[r.number].architecture.key == r.architecture_key}
    if times is None or not ours:
        return None
    long = {number: run.bits_per_byte for number, run in ours.items() if run.bits_per_byte is not None}
    shapes = [(n, known[n].architecture.label, _bits(known[n]), bits) for n, bits in sorted(long.items(), key=lambda pair: pair[1])]
    difference, pairs = _trusted([(short, bits) for _, _, short, bits in shapes])
    return Validity(
        times=times,
        shapes=tuple(shapes),
        correlations=tuple(_correlations([(known[number], bits) for number, bits in long.items()])),
        trusted_difference=difference,
        trusted_pairs=pairs,
        failed=tuple(f"{known[number].title}: {run.reason}" for number, run in ours.items() if run.bits_per_byte is None),
    )


def validity_sentences(found: Validity) -> list[str]:
    """The answer in words: whether the ranking can be trusted, and for which differences."""
    count = len(found.shapes)
    asked = (
        f"{plural(count, 'shape')} from the best to the worst loss {'was' if count == 1 else 'were'} trained {found.times:g} times longer"
    )
    if not found.correlations:
        return [f"{asked}: too few to say anything about the ranking.", *_failures(found)]
    whole = found.correlations[-1].correlation
    answer = "cannot be trusted" if not whole.tau >= POOR or not whole.low > 0 else "can be trusted"
    if answer == "can be trusted" and whole.tau < GOOD:
        answer = "can be trusted in part"
    sentences = [
        f"{asked}, with another seed. The short ranking {answer}: Kendall's tau between short and long is {whole.tau:.2f} "
        f"(95 % interval {whole.low:.2f} to {whole.high:.2f}; 1 is the same order, 0 is chance)."
    ]
    if found.trusted_difference is None:
        sentences.append("No difference after the short training was large enough to keep its order in 95 % of the pairs.")
    else:
        sentences.append(
            f"Differences above {found.trusted_difference:.3f} bits per byte kept their order in 95 % of the pairs "
            f"({plural(found.trusted_pairs, 'pair')}); smaller ones may turn around."
        )
    return [*sentences, *_failures(found)]


def _failures(found: Validity) -> list[str]:
    return [f"{plural(len(found.failed), 'long training')} did not finish: {'; '.join(found.failed)}."] if found.failed else []


def _correlations(pairs: Sequence[tuple[TrialRecord, float]]) -> Iterable[ShareCorrelation]:
    """Rank correlations at each share of the training at which all of these were evaluated."""
    if len(pairs) < LEAST_RANKED:
        return
    curves = [_curve(record) for record, _ in pairs]
    for share in sorted(set.intersection(*map(set, curves))):
        yield ShareCorrelation(share=share, correlation=rank_correlation([curve[share] for curve in curves], [bits for _, bits in pairs]))


def _curve(record: TrialRecord) -> dict[float, float]:
    """Bits per byte at each evaluation by the share of the training in percent's hundredths; the end has the mean of the seeds."""
    training, end = record.training, validation(record)
    assert training is not None
    scale = end.bits_per_byte / end.loss
    points = {round(p.tokens / training.tokens, 2): p.validation_loss * scale for p in training.curve if p.validation_loss is not None}
    return {**points, 1.0: end.bits_per_byte}


def _trusted(pairs: Sequence[tuple[float, float]]) -> tuple[float | None, int]:
    """The smallest short difference from which on 95 % of the pairs keep their order, and how many pairs that are."""
    gaps = sorted(((abs(a[0] - b[0]), (a[0] - b[0]) * (a[1] - b[1]) > 0) for a, b in combinations(pairs, 2)), reverse=True)
    best, kept = None, 0
    for place, (gap, same) in enumerate(gaps, start=1):
        kept += same
        if place >= LEAST_PAIRS and kept >= KEPT * place:
            best = (gap, place)
    return best or (None, 0)


def _bits(record: TrialRecord) -> float:
    return validation(record).bits_per_byte
