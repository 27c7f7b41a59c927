"""How sure a front is, in plain sentences: what a seed moves, which shapes tie, selection bias, what hangs on the learning rate."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from analysis.fronts.front import Front
from analysis.fronts.membership import Membership, picks
from analysis.objectives.objective import Objective
from analysis.objectives.observed import Observed
from analysis.objectives.registry import task_of, validation_set_of
from analysis.records.record import FinalRecord, Kind, TrialRecord
from analysis.records.training import Quality
from analysis.statistics.noise_prior import ANSWER_NOISE, NoisePrior
from analysis.text.words import bits_text, joined, plural

LIKELY, POSSIBLE = 0.5, 0.2
"""A member of the measured front is in doubt below the first; another shape is named from the second on."""
MOST_NAMED = 8
"""Shapes of one kind that are named in a sentence, at most."""


def uncertainty_sentences(front: Front, membership: Membership) -> list[str]:
    """The sentences; none where nothing finished."""
    if not front.members:
        return []
    return [*noise_sentences(front, membership), recommendation_sentence(front, membership), *membership_sentences(front, membership)]


def noise_sentences(front: Front, membership: Membership) -> list[str]:
    """How much a seed moves each objective that it moves, and how that is known."""
    noises = [(objective, noise) for objective, noise in zip(front.objectives, membership.noises, strict=True) if noise is not None]
    if not noises:
        return []
    amount = joined([objective.words.amount(noise.size) for objective, noise in noises])
    replicates, expected = noises[0][1].freedom, {front.problem.expected_noise(front.objectives.index(each)) for each, _ in noises}
    if not replicates:
        return [
            "Every shape was trained with one seed, so how much a seed moves these numbers is not known; the intervals expect about "
            f"{amount} (standard deviation{_share_of(expected)}) and allow for much less and more."
        ]
    return [f"Another seed moves a shape by {amount} (standard deviation, from {plural(replicates, 'replicate')} and a prior)."]


def _share_of(expected: Collection[NoisePrior]) -> str:
    """What is expected of all objectives alike, and from where; empty where they differ."""
    if len(expected) > 1:
        return ""
    [prior] = expected
    if prior == ANSWER_NOISE:
        return f", {prior.share:.1%} of the share that is not answered, which a thousand questions leave open"
    measured = "trainings of about this recipe, size and length" if prior.is_near else "other studies"
    return f", {prior.share:.1%} of the quality, as {measured} had"


def recommendation_sentence(front: Front, membership: Membership) -> str:
    """Which shape to take where the first objective counts: the best in another one of those that cannot be told from the best."""
    top, problem = front.best(0), front.problem
    assert top is not None
    posterior, label = membership.posteriors[top], problem.objectives[0].words.label
    if not posterior.ties:
        return f"Recommended for {label}: #{top}; no other shape ties with it (it is the best with {posterior.best:.0%})."
    tied = (
        f"#{top} measured best in {label}, and {plural(len(posterior.ties), 'other shape')} {'ties' if len(posterior.ties) == 1 else 'tie'}"
    )
    other = next(place for place in problem.columns if place != 0)
    words = problem.objectives[other].words
    if membership.recommended == top:
        return f"{tied} with it: recommended is #{top} itself, the {words.best} of them on the front."
    assert membership.recommended is not None
    value = words.write(front.points[membership.recommended].values[other])
    return f"{tied} with it: recommended is #{membership.recommended}, the {words.best} of them on the front ({value})."


def membership_sentences(front: Front, membership: Membership) -> list[str]:
    """Members that are probably none, and shapes beside the measured front that may be members."""
    doubtful = [number for number in front.members if membership.posteriors[number].on_front < LIKELY]
    others = [
        number for number, posterior in membership.posteriors.items() if posterior.on_front >= POSSIBLE and number not in front.members
    ]
    others.sort(key=lambda number: -membership.posteriors[number].on_front)
    found = []
    if doubtful:
        found.append(f"On the measured front, but more probably beaten: {_with_odds(doubtful, membership)}.")
    if others:
        found.append(f"Beside the measured front, but possibly on the true one: {_with_odds(others, membership)}.")
    return found


def _with_odds(numbers: list[int], membership: Membership) -> str:
    return _named(numbers, {number: f" ({membership.posteriors[number].on_front:.0%})" for number in numbers})


def _named(numbers: list[int], notes: dict[int, str] | None = None) -> str:
    names = [f"#{number}{(notes or {}).get(number, '')}" for number in numbers[:MOST_NAMED]]
    return joined([*names, *([f"{len(numbers) - MOST_NAMED} more"] if len(numbers) > MOST_NAMED else [])])


def selection_bias_sentences(
    records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord], front: Front, membership: Membership
) -> list[str]:
    """One sentence for each named shape that was trained again with a fresh seed after the selection.

    It is on the first of the objectives that a seed moves and the test split tells.
    """
    by_number = {record.number: record for record in records}
    again = {n: final for n, final in finals.items() if n in by_number and final.fresh_seed is not None}
    moved = [
        (objective, noise)
        for objective, noise in zip(front.objectives, membership.noises, strict=True)
        if noise is not None and not (validation_set_of(objective.name) or task_of(objective.name))
    ]
    for objective, noise in moved:
        fresh = {n: _value(objective, by_number[n], final.fresh_seed.test if final.fresh_seed else None) for n, final in again.items()}
        tests = {n: _value(objective, by_number[n], final.test) for n, final in finals.items() if n in by_number}
        if objective is moved[-1][0] or any(value is not None for value in fresh.values()):
            write, rival, size = objective.words.write, _rival(records, tests, objective), noise.size
            return [
                _bias_sentence(objective, number, finals, fresh[number], tests, rival, f"seeds differ by {write(size)}")
                for number in picks(front, membership)
                if number in fresh
            ]
    return []


def _bias_sentence(
    objective: Objective,
    number: int,
    finals: Mapping[int, FinalRecord],
    again: float | None,
    tests: Mapping[int, float | None],
    rival: TrialRecord | None,
    noise: str,
) -> str:
    fresh, mine, write = finals[number].fresh_seed, tests[number], objective.words.write
    if again is None:
        return f"#{number} with a fresh seed: {(fresh.reason if fresh else None) or 'nothing was measured'}."
    said = f"With a fresh seed #{number} has {objective.said(again)} on the test split"
    if mine is None:
        return f"{said}."
    said = f"{said} against {write(mine)} selected"
    theirs = None if rival is None else tests[rival.number]
    if rival is None or theirs is None or rival.number == number or objective.cost(theirs) <= objective.cost(mine):
        return f"{said} ({'-' if again < mine else '+'}{write(abs(again - mine))}; {noise})."
    claimed, kept = objective.cost(theirs) - objective.cost(mine), objective.cost(theirs) - objective.cost(again)
    against = f"its gain of {write(claimed)} over {rival.name or f'#{rival.number}'}"
    if kept >= claimed:
        return f"{said}: {against} shows no selection bias ({noise})."
    if kept <= 0:
        return f"{said}: nothing of {against} is left, all of it was selection bias ({noise})."
    return f"{said}: of {against} {write(kept)} is left, {1 - kept / claimed:.0%} of it was selection bias ({noise})."


def _value(objective: Objective, record: TrialRecord, quality: Quality | None) -> float | None:
    return objective.value(Observed.judged_by(record, quality))


def _rival(records: Sequence[TrialRecord], tests: Mapping[int, float | None], objective: Objective) -> TrialRecord | None:
    """The reference that is best on the test split; none was selected, so it has no selection bias."""
    costs = {number: objective.cost(value) for number, value in tests.items() if value is not None}
    measured = [record for record in records if record.kind is Kind.REFERENCE and record.number in costs]
    return min(measured, key=lambda record: costs[record.number], default=None)


COMMON = 1.0
"""The factor of the study's own rate."""


def bracket_losses(final: FinalRecord) -> dict[float, float]:
    """Factor -> bits per byte, of the trainings that came to their end."""
    return {point.factor: point.bits_per_byte for point in final.learning_rate_bracket if point.bits_per_byte is not None}


def rank_flips(finals: Mapping[int, FinalRecord], front: Front) -> dict[int, list[int]]:
    """Each winner whose rank flips: a member of the front -> the finalists behind it at the common rate and before it at the best."""
    losses = _bracketed(finals)
    best = {number: min(each.values()) for number, each in losses.items()}
    flips = {
        winner: [other for other in losses if losses[other][COMMON] > losses[winner][COMMON] and best[other] < best[winner]]
        for winner in front.members
        if winner in losses
    }
    return {winner: others for winner, others in flips.items() if others}


def bracket_sentences(finals: Mapping[int, FinalRecord], front: Front) -> list[str]:
    """What the bracket says of the ranking, in sentences; none where fewer than two finalists have one."""
    losses = _bracketed(finals)
    if len(losses) < 2:
        return []
    flips = rank_flips(finals, front)
    if not flips:
        return [f"Trained at half and twice the learning rate too, the {len(losses)} finalists keep their order."]
    return [
        f"The rank of #{winner} flips with the learning rate: at its best of three it has {_best(losses[winner])}, "
        f"{joined([f'#{other} {_best(losses[other])}' for other in others])}."
        for winner, others in flips.items()
    ]


def _bracketed(finals: Mapping[int, FinalRecord]) -> dict[int, dict[float, float]]:
    """The losses of the finalists that have a bracket with the common rate in it."""
    found = {number: bracket_losses(final) for number, final in sorted(finals.items())}
    return {number: losses for number, losses in found.items() if COMMON in losses and len(losses) > 1}


def _best(losses: Mapping[float, float]) -> str:
    factor, loss = min(losses.items(), key=lambda point: point[1])
    return f"{bits_text(loss)} bits per byte (x{factor:g})"
