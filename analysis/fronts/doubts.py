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


def certainty(front: Front, sure: Membership) -> list[str]:
    """The sentences; none where nothing finished."""
    return [noise(front, sure), recommendation(front, sure), *doubts(front, sure)] if front.places else []


def noise(front: Front, sure: Membership) -> str:
    """How much luck moves a quality, and how that is known."""
    amount = _amount(sure.noise.size, front)
    if not sure.noise.freedom:
        return (
            f"Every shape was trained with one seed, so how much luck moves these numbers is not known; the intervals take it for {amount} "
            f"(standard deviation, {NOISE_SHARE:.1%} of the quality, as other studies had)."
        )
    return f"Another seed moves a shape by {amount} (standard deviation, from {plural(sure.noise.freedom, 'replicate')} and a prior)."


def recommendation(front: Front, sure: Membership) -> str:
    """Which shape to take where quality counts: the fastest that cannot be told from the best."""
    top = front.most_accurate
    assert top is not None
    standing, unit = sure.standings[top], QUALITIES[front.quality]
    if not standing.ties:
        return f"Recommended for {unit}: #{top}; no other shape ties with it (it is the best with {standing.most_accurate:.0%})."
    tied = f"#{top} measured best in {unit}, and {plural(len(standing.ties), 'other shape')} {'ties' if len(standing.ties) == 1 else 'tie'}"
    if sure.recommended == top:
        return f"{tied} with it: recommended is #{top} itself, the fastest of them on the front."
    assert sure.recommended is not None
    latency = milliseconds(front.places[sure.recommended].latency_ms)
    return f"{tied} with it: recommended is #{sure.recommended}, the fastest of them on the front ({latency})."


def doubts(front: Front, sure: Membership) -> list[str]:
    """Members that are probably none, and shapes beside the measured front that may be members."""
    doubtful = [number for number in front.members if sure.standings[number].on_front < LIKELY]
    others = [number for number, standing in sure.standings.items() if standing.on_front >= POSSIBLE and number not in front.members]
    others.sort(key=lambda number: -sure.standings[number].on_front)
    found = []
    if doubtful:
        found.append(f"On the measured front, but more probably beaten: {_with_odds(doubtful, sure)}.")
    if others:
        found.append(f"Beside the measured front, but possibly on the true one: {_with_odds(others, sure)}.")
    return found


def _with_odds(numbers: list[int], sure: Membership) -> str:
    return _named(numbers, {number: f" ({sure.standings[number].on_front:.0%})" for number in numbers})


def _named(numbers: list[int], notes: dict[int, str] | None = None) -> str:
    names = [f"#{number}{(notes or {}).get(number, '')}" for number in numbers[:NAMED]]
    return joined([*names, *([f"{len(numbers) - NAMED} more"] if len(numbers) > NAMED else [])])


def _amount(size: float, front: Front) -> str:
    return f"{size:.3f} bits per byte" if front.quality == "bits_per_byte" else f"{100 * size:.1f} points"


def luck(records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord], front: Front, sure: Membership) -> list[str]:
    """One sentence for each named shape that was trained again with a fresh seed after the selection."""
    return [
        _sentence(number, finals, _rival(records, finals), sure)
        for number in picks(front, sure)
        if number in finals and finals[number].fresh is not None
    ]


def _sentence(number: int, finals: Mapping[int, FinalRecord], rival: TrialRecord | None, sure: Membership) -> str:
    fresh, test = finals[number].fresh, finals[number].test
    assert fresh is not None
    if fresh.test is None:
        return f"#{number} with a fresh seed: {fresh.reason or 'nothing was measured'}."
    again = fresh.test.bits_per_byte
    if test is None:
        return f"With a fresh seed #{number} has {quality(again, 'bits_per_byte')} bits per byte on the test split."
    mine = test.bits_per_byte
    said = f"With a fresh seed #{number} has {quality(again, 'bits_per_byte')} bits per byte on the test split against {mine:.3f} selected"
    noise = f"seeds differ by {sure.noise.size:.3f}"
    rival_test = finals[rival.number].test if rival is not None else None
    if rival is None or rival_test is None or rival.number == number or rival_test.bits_per_byte <= mine:
        return f"{said} ({again - mine:+.3f}; {noise})."
    claimed, kept = rival_test.bits_per_byte - mine, rival_test.bits_per_byte - again
    against = f"its gain of {claimed:.3f} over {rival.name or f'#{rival.number}'}"
    if kept >= claimed:
        return f"{said}: {against} was no luck ({noise})."
    if kept <= 0:
        return f"{said}: nothing of {against} is left, all of it was luck ({noise})."
    return f"{said}: of {against} {kept:.3f} is left, {1 - kept / claimed:.0%} of it was luck ({noise})."


def _rival(records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord]) -> TrialRecord | None:
    """The reference that is best on the test split; none was selected, so its own seed is no luck."""
    tests = {number: final.test.bits_per_byte for number, final in finals.items() if final.test is not None}
    measured = [record for record in records if record.kind is Kind.REFERENCE and record.number in tests]
    return min(measured, key=lambda record: tests[record.number], default=None)


COMMON = 1.0
"""The factor of the study's own rate."""


def losses_of(final: FinalRecord) -> dict[float, float]:
    """Factor -> bits per byte, of the trainings that came to their end."""
    return {point.factor: point.bits_per_byte for point in final.rate_bracket if point.bits_per_byte is not None}


def overtaken(finals: Mapping[int, FinalRecord], front: Front) -> dict[int, list[int]]:
    """Each winner whose rank flips: a member of the front -> the finalists behind it at the common rate and before it at the best."""
    losses = _bracketed(finals)
    best = {number: min(each.values()) for number, each in losses.items()}
    flips = {
        winner: [other for other in losses if losses[other][COMMON] > losses[winner][COMMON] and best[other] < best[winner]]
        for winner in front.members
        if winner in losses
    }
    return {winner: others for winner, others in flips.items() if others}


def bracket_findings(finals: Mapping[int, FinalRecord], front: Front) -> list[str]:
    """What the bracket says of the ranking, in sentences; none where fewer than two finalists have one."""
    losses = _bracketed(finals)
    if len(losses) < 2:
        return []
    flips = overtaken(finals, front)
    if not flips:
        return [f"Trained at half and twice the learning rate too, the {len(losses)} finalists keep their order."]
    return [
        f"The rank of #{winner} flips with the learning rate: at its best of three it has {_best(losses[winner])}, "
        f"{joined([f'#{other} {_best(losses[other])}' for other in others])}."
        for winner, others in flips.items()
    ]


def _bracketed(finals: Mapping[int, FinalRecord]) -> dict[int, dict[float, float]]:
    """The losses of the finalists that have a bracket with the common rate in it."""
    found = {number: losses_of(final) for number, final in sorted(finals.items())}
    return {number: losses for number, losses in found.items() if COMMON in losses and len(losses) > 1}


def _best(losses: Mapping[float, float]) -> str:
    factor, loss = min(losses.items(), key=lambda point: point[1])
    return f"{quality(loss, 'bits_per_byte')} bits per byte (x{factor:g})"
