"""What the recommended shape writes, for a terminal and for a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from analysis.fronts.membership import Membership
from analysis.records.record import FinalRecord, TrialRecord, WrittenText
from analysis.report.html import Html, element

UNPRINTED = "\N{MIDDLE DOT}"
"""What stands for a character that a terminal would obey, or that is none."""


def written_text(records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord], membership: Membership) -> str | None:
    """A line on who writes, and the text below it, each line behind a bar; None where nothing was written."""
    found = _of_recommended(finals, membership)
    if found is None:
        return None
    number, written = found
    lines = _printable(f"{written.beginning}{written.text}").splitlines()
    return "\n".join([f"{_lead(records, number, written)}:", *(f"  | {line}".rstrip() for line in lines)])


def written_part(records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord], membership: Membership) -> list[Html]:
    """Who writes, and the text with the given beginning in bold; nothing where nothing was written."""
    found = _of_recommended(finals, membership)
    if found is None:
        return []
    number, written = found
    text = element("pre", element("b", _printable(written.beginning)), _printable(written.text))
    return [element("p", f"{_lead(records, number, written)}; the beginning, in bold, was given:"), text]


def _of_recommended(finals: Mapping[int, FinalRecord], membership: Membership) -> tuple[int, WrittenText] | None:
    number = membership.recommended
    written = finals[number].written if number is not None and number in finals else None
    return None if number is None or written is None else (number, written)


def _lead(records: Sequence[TrialRecord], number: int, written: WrittenText) -> str:
    label = next(record.architecture.label for record in records if record.number == number)
    given = " ".join(_printable(written.beginning).split())
    return f"#{number} {label} writes, after \N{LEFT DOUBLE QUOTATION MARK}{given}\N{RIGHT DOUBLE QUOTATION MARK} of the test split"


def _printable(text: str) -> str:
    """The text as it may stand anywhere: tabs as spaces, and no character that moves a cursor or has no form."""
    return "".join(sign if sign == "\n" or sign.isprintable() else UNPRINTED for sign in text.expandtabs(4))
