"""What a scaling study ends with on a terminal."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from analysis.law_report.law_text import law_last_text, losses_text
from analysis.records.record import Outcome
from tests.support.sample_scaling import sample_scaling, scaling_records

RECORDS = scaling_records(sample_scaling()[0])
FAILED = [*RECORDS[:-2], *(replace(r, outcome=Outcome.DIVERGED, reason="no number", training=None) for r in RECORDS[-2:])]
LAW = {
    "form": "chinchilla",
    "formula": "L = E + A/N^a + B/D^b",
    "backtest": {"headline": "Hidden runs are met within 1 %."},
    "parameters": {"E": 1.2},
}


@pytest.mark.parametrize("law", [LAW, {"form": "isoflop"}, "chinchilla has 5 unknowns"])
@pytest.mark.parametrize("records", [RECORDS, FAILED])
def test_a_scaling_study_ends_with_its_table_and_at_most_three_sentences(records: list[Any], law: Any) -> None:
    table, _, said = law_last_text(records, law).partition("\n\n")
    assert table.splitlines() == losses_text(records).splitlines()[: len(records) + 1]
    sentences = said.splitlines()
    assert 2 <= len(sentences) <= 3
    assert all(sentence.endswith(".") for sentence in sentences)
    assert sentences[0].startswith(f"{sum(record.finished for record in records)} of {len(records)} trainings finished")
    assert ("no number" in sentences[0]) == (records is FAILED)
    if law is LAW:
        assert sentences[1:] == ["The law is chinchilla: L = E + A/N^a + B/D^b.", "Its backtest: Hidden runs are met within 1 %."]
