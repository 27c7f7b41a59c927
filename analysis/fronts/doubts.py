"""How sure a front is, in plain sentences: what a seed moves, which shapes tie, what was luck, what hangs on the learning rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from analysis.fronts.front import Front
from analysis.fronts.membership import Membership, picks
from analysis.records.record import FinalRecord, Kind, TrialRecord
from analysis.statistics.seed_noise import NOISE_SHARE
from analysis.text.words import QUALITIES, joined, milliseconds, plural, quality

LIKELY, POSSIBLE = 0.5, 0.2
"""A member of the measured front is in doubt below the first; another shape is named from the second on."""
NAMED = 8
"""Shapes of one kind that are named in a sentence, at most."""


def uncertainty_sentences(front: Front, membership: Membership) -> list[str]:
    """The sentences; none where nothing finished."""
    return (
        [noise_sentence(front, membership), recommendation_sentence(front, membership), *membership_sentences(front, membership)]
        if front.places
        else []
    )


def noise_sentence(front: Front, membership: Membership) -> str:
    """How much a seed moves a quality, and how that is known."""
    amount = _amount(membership.noise.size, front)
    if not membership.noise.freedom:
        return (
            f"Every shape was trained with one seed, so how much a seed moves these numbers is not known; the intervals take it for "
            f"{amount} (standard deviation, {NOISE_SHARE:.1%} of the quality, as other studies had)."
        )
    return f"Another seed moves a shape by {amount} (standard deviation, from {plural(membership.noise.freedom, 'replicate')} and a prior)."


def recommendation_sentence(front: Front, membership: Membership) -> str:
    """Which shape to take where quality counts: the fastest that cannot be told from the best."""
    top = front.most_accurate
    assert top is not None
    posterior, unit = membership.posteriors[top], QUALITIES[front.quality]
    if not posterior.ties:
        return f"Recommended for {unit}: #{top}; no other shape ties with it (it is the best with {posterior.most_accurate:.0%})."
    tied = (
        f"#{top} measured best in {unit}, and {plural(len(posterior.ties), 'other shape')} {'ties' if len(posterior.ties) == 1 else 'tie'}"
    )
    if membership.recommended == top:
        return f"{tied} with it: recommended is #{top} itself, the fastest of them on the front."
    assert membership.recommended is not None
    latency = milliseconds(front.places[membership.recommended].latency_ms)
    return f"{tied} with it: recommended is #{membership.recommended}, the fastest of them on the front ({latency})."


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
    names = [f"#{number}{(notes or {}).get(number, '')}" for number in numbers[:NAMED]]
    return joined([*names, *([f"{len(numbers) - NAMED} more"] if len(numbers) > NAMED else [])])


def _amount(size: float, front: Front) -> str:
    return f"{size:.3f} bits per byte" if front.quality == "bits_per_byte" else f"{100 * size:.1f} points"


def selection_bias_sentences(
    records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord], front: Front, membership: Membership
) -> list[str]:
    """One sentence for each named shape that was trained again with a fresh seed after the selection."""
    return [
        _sentence(number, finals, _rival(records, finals), membership)
        for number in picks(front, membership)
        if number in finals and finals[number].fresh is not None
    ]


def _sentence(number: int, finals: Mapping[int, FinalRecord], rival: TrialRecord | None, membership: Membership) -> str:
    fresh, test = finals[number].fresh, finals[number].test
    assert fresh is not None
    if fresh.test is None:
        return f"#{number} with a fresh seed: {fresh.reason or 'nothing was measured'}."
    again = fresh.test.bits_per_byte
    if test is None:
        return f"With a fresh seed #{number} has {quality(again, 'bits_per_byte')} bits per byte on the test split."
    mine = test.bits_per_byte
    said = f"With a fresh seed #{number} has {quality(again, 'bits_per_byte')} bits per byte on the test split against {mine:.3f} selected"
    noise = f"seeds differ by {membership.noise.size:.3f}"
    rival_test = finals[rival.number].test if rival is not None else None
    if rival is None or rival_test is None or rival.number == number or rival_test.bits_per_byte <= mine:
        return f"{said} ({again - mine:+.3f}; {noise})."
    claimed, kept = rival_test.bits_per_byte - mine, rival_test.bits_per_byte - again
    against = f"its gain of {claimed:.3f} over {rival.name or f'#{rival.number}'}"
    if kept >= claimed:
        return f"{said}: {against} shows no selection bias ({noise})."
    if kept <= 0:
        return f"{said}: nothing of {against} is left, all of it was selection bias ({noise})."
    return f"{said}: of {against} {kept:.3f} is left, {1 - kept / claimed:.0%} of it was selection bias ({noise})."


def _rival(records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord]) -> TrialRecord | None:
    """The reference that is best on the test split; none was selected, so it has no selection bias."""
    tests = {number: final.test.bits_per_byte for number, final in finals.items() if final.test is not None}
    measured = [record for record in records if record.kind is Kind.REFERENCE and record.number in tests]
    return min(measured, key=lambda record: tests[record.number], default=None)


COMMON = 1.0
"""The factor of the study's own rate."""


def bracket_losses(final: FinalRecord) -> dict[float, float]:
    """Factor -> bits per byte, of the trainings that came to their end."""
    return {point.factor: point.bits_per_byte for point in final.rate_bracket if point.bits_per_byte is not None}


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
    return f"{quality(loss, 'bits_per_byte')} bits per byte (x{factor:g})"
