"""What a study comes to, in at most three sentences: how it went, which shape to take, and what that holds against each reference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from analysis.fronts.findings import infeasible_sentences, written_numbers
from analysis.fronts.front import Front
from analysis.fronts.likeness import are_alike
from analysis.fronts.membership import Membership
from analysis.fronts.recommendation import second_place
from analysis.records.record import Kind, Outcome, TrialRecord
from analysis.text.words import OUTCOMES, capitalised, joined, plural


def last_word(records: Sequence[TrialRecord], front: Front, membership: Membership) -> list[str]:
    """The sentences; no difference is claimed of shapes that tie (`are_alike`)."""
    if not records:
        return ["No trial has ended yet."]
    first = _outcome(records, front)
    if membership.recommended is None:
        return [first, *infeasible_sentences(front)[:1]]
    titles = {record.number: record.title for record in records}
    against = [_against(record, front, membership) for record in records if record.kind is Kind.REFERENCE]
    compared = "; ".join(said for said in against if said)
    return [first, _recommended(titles[membership.recommended], front, membership), *([f"{capitalised(compared)}."] if compared else [])]


def _outcome(records: Sequence[TrialRecord], front: Front) -> str:
    counts = Counter(record.outcome for record in records)
    others = [f"{counts[outcome]} {word}" for outcome, word in OUTCOMES.items() if counts[outcome] and outcome is not Outcome.FINISHED]
    reused = sum(record.training is not None and record.training.reused_from is not None for record in records)
    others += [f"{plural(reused, 'training')} taken over"] if reused else []
    labels, size = joined([front.objectives[place].words.label for place in front.problem.columns]), len(front.members)
    on_front = f"{plural(size, 'shape')} {'stands' if size == 1 else 'stand'}" if size else "no shape stands"
    ended = f"{counts[Outcome.FINISHED]} of {plural(len(records), 'trial')} finished{f' ({joined(others)})' if others else ''}"
    return f"{ended}, and {on_front} on the front of {labels}."


def _recommended(title: str, front: Front, membership: Membership) -> str:
    number = membership.recommended
    assert number is not None
    top, label = front.best(0), front.objectives[0].words.label
    assert top is not None
    ties = membership.posteriors[top].ties or ()
    said = f"Recommended is {title}: {written_numbers(front, number)}"
    if not ties:
        return f"{said}; no other shape ties with it in {label}."
    other = front.objectives[second_place(front)]
    which = "it" if number == top else f"#{top}, which measured best,"
    others = f"{plural(len(ties), 'shape')} {'ties' if len(ties) == 1 else 'tie'} with {which} in {label}"
    return f"{said}; {others}, and of those on the front it is the {other.words.best}."


def _against(reference: TrialRecord, front: Front, membership: Membership) -> str:
    """`against deep-thin it takes 47% less time and ties in bits per byte`; empty where there is nothing to compare."""
    ours, name = membership.recommended, reference.name or reference.title
    if ours is None or reference.number not in front.points or reference.number == ours:
        return ""
    said, alike = [], []
    for place in front.problem.columns:
        objective = front.objectives[place]
        mine, theirs = (front.points[number].values[place] for number in (ours, reference.number))
        if are_alike(front, membership, place, ours, reference.number):
            alike.append(objective.words.label)
        elif objective.cost(mine) < objective.cost(theirs):
            said.append(objective.words.gain(mine, theirs))
        else:
            said.append(f"has {objective.said(mine)} where that has {objective.words.write(theirs)}")
    return f"against {name} it {joined([*said, *([f'ties in {joined(alike)}'] if alike else [])])}"
