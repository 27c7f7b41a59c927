"""How sure a front is, in plain sentences: what a seed moves, which shapes tie, which one to take, whose place is in doubt."""

from __future__ import annotations

from analysis.fronts.front import Front
from analysis.fronts.membership import Membership
from analysis.statistics.seed_noise import NOISE_SHARE
from analysis.text.format import QUALITIES, joined, milliseconds, plural

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
