"""What a study found, in plain sentences computed from its records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from analysis.fronts.domains import domain_sentences
from analysis.fronts.doubts import bracket_sentences, uncertainty_sentences
from analysis.fronts.front import Front
from analysis.fronts.likeness import are_alike
from analysis.fronts.membership import Membership, picks
from analysis.fronts.rounding import rounding_sentences, undecided_sentences
from analysis.objectives.objective import Objective
from analysis.objectives.observed import Observed
from analysis.records.record import FinalRecord, Kind, Outcome, TrialRecord
from analysis.text.passes import passes_sentences
from analysis.text.words import OUTCOMES, joined, plural


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the sampled shapes hold against one reference."""

    reference: int
    """Trial of the reference."""
    better: tuple[int | None, ...]
    """The sampled trial that is best in each objective, in the study's order, among those that are at least as good in all others,
    if it is better than the reference."""


def compare_with_reference(front: Front, reference: int) -> Comparison:
    """Hold all sampled shapes against a reference that has finished."""
    others = [n for n, point in front.points.items() if point.kind is not Kind.REFERENCE and point.infeasible is None]
    return Comparison(reference, tuple(_better(front, reference, others, place) for place in range(len(front.objectives))))


def _better(front: Front, reference: int, others: Sequence[int], place: int) -> int | None:
    """Trial that is better than the reference in the objective at this place of the study's order."""
    mine, columns = front.costs(reference), [place, *(column for column in front.problem.columns if column != place)]
    alike = [n for n in others if all(front.costs(n)[column] <= mine[column] for column in columns[1:])]
    best = min(alike, key=lambda n: [front.costs(n)[column] for column in columns], default=None)
    return best if best is not None and front.costs(best)[place] < mine[place] else None


def findings(records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord], front: Front, membership: Membership) -> list[str]:
    """The answer in a few sentences: the front's ends and knee, every reference, and how sure that is."""
    return [
        outcome_sentence(records),
        *passes_sentences(records),
        *front_sentences(records, front, membership),
        *(reference_sentence(record, finals, front, membership) for record in records if record.kind is Kind.REFERENCE),
        *domain_sentences(records),
        *rounding_sentences(records),
        *undecided_sentences(records, front.problem.limits),
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
    """How large the front is, its recommended shape, its knee and its best in each objective, and what a limit keeps off it."""
    labels = joined([front.objectives[place].words.label for place in front.problem.columns])
    if not front.members:
        within = " within all limits" if front.problem.limits else ""
        return [f"There is no front: no trial finished with {labels}{within}.", *infeasible_sentences(front)] if records else []
    shapes = {record.number: record for record in records}
    count = len(front.members)
    sentences = [f"{plural(count, 'shape')} {'stands' if count == 1 else 'stand'} on the front of {labels}."]
    for number, titles in picks(front, membership).items():
        what = joined([title if title == "recommended" else f"the {title}" for title in titles])
        sentences.append(f"{what[0].upper()}{what[1:]} is {shapes[number].title}: {written_numbers(front, number)}.")
    return sentences + infeasible_sentences(front)


def infeasible_sentences(front: Front) -> list[str]:
    """What finished and stands on no front because of a limit that only its training could tell; none where there is nothing such."""
    found = {number: point.infeasible for number, point in front.points.items() if point.infeasible is not None}
    if not found:
        return []
    first, reason = next(iter(found.items()))
    return [f"{plural(len(found), 'shape')} finished and {'is' if len(found) == 1 else 'are'} infeasible, such as #{first}: {reason}."]


def reference_sentence(reference: TrialRecord, finals: Mapping[int, FinalRecord], front: Front, membership: Membership) -> str:
    """What the sampled shapes hold against one reference, on the split that chose them and on the one that did not.

    No difference is claimed of shapes that tie.
    """
    name, objectives = reference.name or reference.title, front.objectives
    if reference.number not in front.points:
        lacks = " or ".join(f"no {objectives[place].words.label}" for place in front.problem.columns)
        why = f"has {lacks}" if reference.finished else OUTCOMES[reference.outcome]
        return f"{name} {why}, so nothing is compared with it."
    if all(point.kind is Kind.REFERENCE for point in front.points.values()):
        return f"No sampled shape has finished, so nothing is compared with {name}."
    held = compare_with_reference(front, reference.number)
    numbers, count = written_numbers(front, reference.number), "both numbers" if len(objectives) == 2 else "all numbers"
    claims = {place: number for place in front.problem.columns if (number := held.better[place]) is not None}
    if not claims:
        return f"No sampled shape beats {name} ({numbers}): none is at least as good in {count}."
    together = len(objectives) > 2  # else what a shape is better in is said once for each objective
    by_claim: dict[tuple[int, int | None], list[int]] = {(n, None if together else place): [] for place, n in claims.items()}
    for place, number in claims.items():
        by_claim[number, None if together else place].append(place)
    said = "; ".join(_claim(front, membership, number, reference.number, places) for (number, _), places in by_claim.items())
    test = _on_test_split([*dict.fromkeys(claims.values())], reference, finals, front)
    return f"Against {name} ({numbers}): {said}.{test}"


def _claim(front: Front, membership: Membership, number: int, reference: int, places: Sequence[int]) -> str:
    """How much better a trial is than a reference in the objectives at these places, and at what price in the others."""
    pairs = {place: (front.points[number].readings[place], front.points[reference].readings[place]) for place in places}
    alike = [place for place in places if are_alike(front, membership, place, number, reference)]
    gains = [front.objectives[place].words.gain(ours.value, theirs.value) for place, (ours, theirs) in pairs.items() if place not in alike]
    gains += [f"has a tie with it in {joined([front.objectives[place].words.label for place in alike])}"] if alike else []
    price = joined([front.objectives[column].words.no_worse for column in front.problem.columns if column not in places])
    return f"#{number} {joined(gains)}{f' {price}' if price else ''} ({written_numbers(front, number)})"


def _on_test_split(chosen: Sequence[int], reference: TrialRecord, finals: Mapping[int, FinalRecord], front: Front) -> str:
    """What the split that no search has seen says of the same claims, in the first objective that it tells."""
    for objective in front.objectives:
        tests = {n: value for n, final in finals.items() if (value := _on_test(objective, reference, final)) is not None}
        measured = [number for number in chosen if number in tests]
        if reference.number not in tests or not measured:
            continue
        said = joined([f"#{number} has {objective.words.write(tests[number])}" for number in measured])
        theirs = tests[reference.number]
        refuted = [f"#{number}" for number in measured if objective.passes(tests[number], theirs)]
        doubt = f", which does not confirm {joined(refuted)}" if refuted else ""
        return f" On the test split {said} against {objective.words.write(theirs)}{doubt}."
    return ""


def _on_test(objective: Objective, record: TrialRecord, final: FinalRecord) -> float | None:
    """What is said of an objective that is read from a split alone, so that any shape's record will do beside it; None of the others."""
    return objective.value(Observed.judged_by(record, final.test)) if objective.has_splits else None


def written_numbers(front: Front, number: int) -> str:
    """A place's values, the one by which the front is listed first."""
    values = front.points[number].values
    return ", ".join(front.objectives[place].said(values[place]) for place in front.problem.columns)
