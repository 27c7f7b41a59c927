"""How much of a chosen shape's gain was the luck of its seed: the selected seed beside a fresh one, on the split that chose neither."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from analysis.fronts.findings import picks
from analysis.fronts.front import Front
from analysis.fronts.membership import Membership
from analysis.records.record import FinalRecord, Kind, TrialRecord
from analysis.text.format import quality


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
