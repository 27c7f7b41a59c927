"""What waits to be measured is read as it was written, or refused in a sentence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from analysis.records.record import UNMEASURED_FILE, Outcome
from analysis.records.unmeasured import UnmeasuredTrial, append_unmeasured, read_unmeasured
from search_space.errors import SpecError
from tests.support.sample_study import sample_records

RECORD = replace(sample_records()[3], latency=None)
TRIAL = UnmeasuredTrial(record=RECORD, looks=(replace(RECORD, outcome=Outcome.STOPPED), RECORD))


def test_a_trial_is_read_as_it_was_written_and_the_newest_of_a_number_counts(tmp_path: Path) -> None:
    assert read_unmeasured(tmp_path) == {}
    append_unmeasured(tmp_path, replace(TRIAL, looks=()))
    append_unmeasured(tmp_path, TRIAL)
    assert read_unmeasured(tmp_path) == {RECORD.number: TRIAL}


@pytest.mark.parametrize(
    "line", ["{", "[]", "{}", '{"record": {}, "looks": []}', '{"record": 1, "looks": []}', '{"record": {"number": 1}}']
)
def test_a_line_that_holds_none_is_one_sentence(tmp_path: Path, line: str) -> None:
    (tmp_path / UNMEASURED_FILE).write_text(f"{line}\n")
    with pytest.raises(
        SpecError, match=r"unmeasured.jsonl:1.*(delete that line to have the trial run again|use the archfront version that wrote it)"
    ):
        read_unmeasured(tmp_path)
