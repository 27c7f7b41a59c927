"""What a study found, in plain sentences computed from its records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from analysis.fronts.doubts import bracket_sentences, uncertainty_sentences
from analysis.fronts.front import Front, ObjectivePoint
from analysis.fronts.membership import Membership, estimate_membership, picks
from analysis.records.record import FinalRecord, Kind, Outcome, TrialRecord
from analysis.text.words import OUTCOMES, QUALITIES, joined, milliseconds, plural, quality


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the sampled shapes hold against one reference."""

    reference: int
    """Its trial."""
    faster: int | None
    """The fastest sampled trial among those that are at least as accurate, if it is faster than the reference."""
    better: int | None
    """The most accurate sampled trial among those that are at least as fast, if it is more accurate than the reference."""


def compare_with_reference(front: Front, reference: int) -> Comparison:
    """Hold all sampled shapes against a reference that has finished."""
    mine = front.places[reference]
    others = [place for place in front.places.values() if place.kind is not Kind.REFERENCE]
    as_good = [place for place in others if front.cost(place.number) <= front.cost(reference)]
    as_fast = [place for place in others if place.latency_ms <= mine.latency_ms]
    faster = min(as_good, key=lambda place: (place.latency_ms, front.cost(place.number)), default=None)
    better = min(as_fast, key=lambda place: (front.cost(place.number), place.latency_ms), default=None)
    return Comparison(
        reference=reference,
        faster=faster.number if faster and faster.latency_ms < mine.latency_ms else None,
        better=better.number if better and front.cost(better.number) < front.cost(reference) else None,
    )


def findings(records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord], front: Front) -> list[str]:
    """The answer in a few sentences: the front's ends and knee, every reference, and how sure that is."""
    membership = estimate_membership(front)
    return [
        outcome_sentence(records),
        *front_sentences(records, front, membership),
        *(reference_sentence(record, finals, front) for record in records if record.kind is Kind.REFERENCE),
        *uncertainty_sentences(front, membership),
        *bracket_sentences(finals, front),
    ]


def outcome_sentence(records: Sequence[TrialRecord]) -> str:
    """How many trials finished, and how the others ended."""
    if not records:
        return "No trial has ended yet."
    counts = Counter(record.outcome for record in records)
    others = joined(
        [f"{counts[outcome]} {word}" for outcome, word in OUTCOMES.items() if counts[outcome] and outcome is not Outcome.FINISHED]
    )
    reused = sum(record.training is not None and record.training.reused_from is not None for record in records)
    taken = f" {plural(reused, 'training')} had been finished before and {'was' if reused == 1 else 'were'} taken over." if reused else ""
    spared = f" Stopping early spared {_spared(records):.0%} of the tokens." if counts[Outcome.STOPPED] else ""
    return f"{counts[Outcome.FINISHED]} of {plural(len(records), 'trial')} finished{f'; {others}' if others else ''}.{spared}{taken}"


def _spared(records: Sequence[TrialRecord]) -> float:
    """Share of the tokens planned that trials which finished or stopped were not trained on."""
    trained = [r.training for r in records if r.training is not None and (r.finished or r.outcome is Outcome.STOPPED)]
    return 1 - sum(training.tokens for training in trained) / sum(training.planned_tokens for training in trained)


def front_sentences(records: Sequence[TrialRecord], front: Front, membership: Membership) -> list[str]:
    """How large the front is, and its recommended shape, most accurate, knee and fastest."""
    if not front.members:
        return ["There is no front: no trial finished with both a latency and a validation loss."] if records else []
    shapes = {record.number: record for record in records}
    count = len(front.members)
    sentences = [f"{plural(count, 'shape')} {'stands' if count == 1 else 'stand'} on the front of latency and {QUALITIES[front.quality]}."]
    for number, titles in picks(front, membership).items():
        what = joined([title if title == "recommended" else f"the {title}" for title in titles])
        sentences.append(f"{what[0].upper()}{what[1:]} is {shapes[number].title}: {_numbers(front.places[number], front)}.")
    return sentences


def reference_sentence(reference: TrialRecord, finals: Mapping[int, FinalRecord], front: Front) -> str:
    """What the sampled shapes hold against one reference, on the split that chose them and on the one that did not."""
    name = reference.name or reference.title
    if reference.number not in front.places:
        why = "has no latency or no validation loss" if reference.finished else OUTCOMES[reference.outcome]
        return f"{name} {why}, so nothing is compared with it."
    if all(place.kind is Kind.REFERENCE for place in front.places.values()):
        return f"No sampled shape has finished, so nothing is compared with {name}."
    held = compare_with_reference(front, reference.number)
    numbers = _numbers(front.places[reference.number], front)
    if held.faster is None and held.better is None:
        return f"No sampled shape beats {name} ({numbers}): none is at least as good in both numbers."
    claims = [_faster(held.faster, reference.number, front)] if held.faster is not None else []
    claims += [_better(held.better, reference.number, front)] if held.better is not None else []
    chosen = dict.fromkeys(number for number in (held.faster, held.better) if number is not None)
    test = _on_test_split([*chosen], reference.number, finals, front)
    return f"Against {name} ({numbers}): {'; '.join(claims)}.{test}"


def _faster(number: int, reference: int, front: Front) -> str:
    ours, theirs = front.places[number].latency, front.places[reference].latency
    saved = f"{1 - ours.total_ms.median / theirs.total_ms.median:.0%}"
    tie = ", a tie, for the p10 to p90 ranges of the two overlap" if ours.total_ms.p90 >= theirs.total_ms.p10 else ""
    return f"#{number} takes {saved} less time at no worse {QUALITIES[front.quality]} ({_numbers(front.places[number], front)}){tie}"


def _better(number: int, reference: int, front: Front) -> str:
    gain = abs(front.places[number].quality - front.places[reference].quality)
    amount = f"{gain:.3f} fewer bits per byte" if front.quality == "bits_per_byte" else f"{100 * gain:.1f} points more next-token accuracy"
    return f"#{number} has {amount} in no more time ({_numbers(front.places[number], front)})"


def _on_test_split(chosen: Sequence[int], reference: int, finals: Mapping[int, FinalRecord], front: Front) -> str:
    """What the split that no search has seen says of the same claims."""
    tests = {number: getattr(final.test, front.quality) for number, final in finals.items() if final.test is not None}
    measured = [number for number in chosen if number in tests]
    if reference not in tests or not measured:
        return ""
    said = joined([f"#{number} has {quality(tests[number], front.quality)}" for number in measured])
    sign = -1 if front.quality == "next_token_accuracy" else 1
    refuted = [f"#{number}" for number in measured if sign * tests[number] > sign * tests[reference]]
    doubt = f", which does not confirm {joined(refuted)}" if refuted else ""
    return f" On the test split {said} against {quality(tests[reference], front.quality)}{doubt}."


def _numbers(place: ObjectivePoint, front: Front) -> str:
    unit = " bits per byte" if front.quality == "bits_per_byte" else " next-token accuracy"
    return f"{milliseconds(place.latency_ms)}, {quality(place.quality, front.quality)}{unit}"
