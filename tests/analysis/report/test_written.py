"""What the recommended shape writes: on a page and in a terminal, whatever its characters are."""

from __future__ import annotations

from dataclasses import replace

import pytest

from analysis.fronts.front import front_of
from analysis.fronts.membership import estimate_membership
from analysis.records.record import FinalRecord, WrittenText
from analysis.report.written import written_part, written_text
from tests.support.sample_study import sample_finals, sample_records

RECORDS = sample_records()
FINALS = sample_finals(RECORDS)
MEMBERSHIP = estimate_membership(front_of(RECORDS, FINALS))
assert MEMBERSHIP.recommended is not None
BEST = MEMBERSHIP.recommended


def written(beginning: str, text: str) -> dict[int, FinalRecord]:
    return {**FINALS, BEST: replace(FINALS[BEST], written=WrittenText(beginning=beginning, text=text))}


def test_the_terminal_shows_who_writes_and_each_line_behind_a_bar() -> None:
    label = next(record.architecture.label for record in RECORDS if record.number == BEST)
    found = written_text(RECORDS, written("def f(", "x):\n\treturn x\n"), MEMBERSHIP)
    assert found == f"#{BEST} {label} writes, after “def f(” of the test split:\n  | def f(x):\n  |     return x"


def test_the_page_marks_what_was_given_and_escapes_what_was_written() -> None:
    lead, text = written_part(RECORDS, written("if a", " < b & c:"), MEMBERSHIP)
    assert f"#{BEST} " in lead
    assert text == "<pre><b>if a</b> &lt; b &amp; c:</pre>"


@pytest.mark.parametrize("sign", ["\x1b", "\r", "\x00", "\x07", "\u202e", "\x9b", "\ue000"])
def test_no_character_that_a_terminal_obeys_is_printed(sign: str) -> None:
    finals = written(f"a{sign}", f"{sign}[2Jb")
    shown = [written_text(RECORDS, finals, MEMBERSHIP) or "", *written_part(RECORDS, finals, MEMBERSHIP)]
    assert all(sign not in each for each in shown)
    assert "a··[2Jb" in shown[0]


def test_without_a_text_nothing_is_shown() -> None:
    assert written_text(RECORDS, FINALS, MEMBERSHIP) is None
    assert written_part(RECORDS, FINALS, MEMBERSHIP) == []
    nothing = estimate_membership(front_of([]))
    assert written_text([], {}, nothing) is None
