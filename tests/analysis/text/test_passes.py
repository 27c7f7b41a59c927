"""Passes over a text: in figures, and as a doubt."""

from __future__ import annotations

from dataclasses import replace

import pytest

from analysis.fronts.findings import findings
from analysis.fronts.front import front_of
from analysis.fronts.membership import estimate_membership
from analysis.report.study_page import report_page
from analysis.text.passes import GOOD_EPOCHS, passes_range, passes_sentences, repetition_warning
from tests.support.sample_study import sample_finals, sample_records, sample_summary


@pytest.mark.parametrize(
    ("fewest", "most", "said"),
    [(0.421, 0.421, "0.42 passes"), (0.5, 3.14, "0.50 to 3.1 passes"), (21.7, 22.4, "22 passes"), (1000, 1234.4, "1,000 to 1,234 passes")],
)
def test_passes_are_written_with_what_can_be_told(fewest: float, most: float, said: str) -> None:
    assert passes_range(fewest, most) == said


def test_only_beyond_four_passes_is_there_a_warning() -> None:
    assert [repetition_warning(passes) is not None for passes in (0.1, 4, 4.1, 22)] == [False, False, True, True]


@pytest.mark.parametrize("share", [0.5, 22])
def test_terminal_and_report_say_how_often_a_text_was_gone_through(share: float) -> None:
    records = [
        record
        if record.training is None
        else replace(record, training=replace(record.training, text_tokens=int(record.training.tokens // share)))
        for record in sample_records()
    ]
    (said,) = passes_sentences(records)
    is_much = share > GOOD_EPOCHS
    assert passes_range(share, share) in said
    assert ("repeated text is worth less" in said) is is_much
    assert bool(passes_sentences(records, beyond=GOOD_EPOCHS)) is is_much
    finals = sample_finals(records)
    front = front_of(records, finals)
    assert said in findings(records, finals, front, estimate_membership(front))
    assert report_page(sample_summary(), records, finals).count(said) == (2 if is_much else 1)


def test_records_that_do_not_know_their_text_say_nothing() -> None:
    assert passes_sentences(sample_records()) == []
    assert passes_sentences([]) == []
