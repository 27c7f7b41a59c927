"""What a study was planned to take and took: kept whole, added up over its runs, and shared among its trials."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from analysis.records.record import TrialRecord
from analysis.records.stages import (
    FORETOLD,
    NOTHING_TAKEN,
    STAGES,
    WAS_TAKEN,
    Foretold,
    Outlook,
    by_stage,
    read_foretold,
    read_taken,
    write_stages,
)
from analysis.report.plan_part import UNPLANNED, outlook_sentence, plan_part
from search_space.errors import SpecError
from tests.support.sample_study import sample_records

TOLD = Foretold(
    seconds={"start_up": 10.0, "training": 60.0, "evaluation": 10.0, "latency": 10.0, "report": 10.0},
    machine="a machine", workers=2, basis="3 shapes timed here", processor_share=1.0, trials=4, training_flops=1e12, training_joules=2.3,
    made_at="2026-01-31T12:00:00+00:00",
)  # fmt: skip


def test_what_was_kept_is_read_again(tmp_path: Path) -> None:
    assert read_foretold(tmp_path) is None
    assert read_taken(tmp_path) == NOTHING_TAKEN
    taken = replace(NOTHING_TAKEN, begun=1).plus({"search": 3.0})
    write_stages(tmp_path, TOLD)
    write_stages(tmp_path, taken)
    assert read_foretold(tmp_path) == TOLD
    assert read_taken(tmp_path) == taken
    assert TOLD.total_seconds == 100.0


@pytest.mark.parametrize("name", [FORETOLD, WAS_TAKEN])
@pytest.mark.parametrize("content", ["", "[]", '{"seconds": {"search": -1}}', '{"schema": 1, "seconds": {}, "begun": NaN, "ended": 0}'])
def test_a_damaged_file_is_told_with_the_cure(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(SpecError, match=rf"{name} must hold a study's stages of schema 1, found something else; delete it"):
        Outlook.of(tmp_path, [])


def trial(record: TrialRecord, **changes: Any) -> TrialRecord:
    assert record.training is not None
    training = replace(record.training, wall_seconds=12.0, evaluation_seconds=3.0, **{"reused_from": None, **changes})
    return replace(record, wall_seconds=20.0, training=training)


TRAINED = [record for record in sample_records() if record.finished and record.training is not None]


def test_the_search_is_shared_among_its_trials_and_adds_up() -> None:
    found = by_stage({"start_up": 8.0, "search": 45.0}, [trial(record) for record in TRAINED[:4]], 2)
    assert found == {"start_up": 8.0, "training": 29.0, "evaluation": 6.0, "latency": 10.0}
    assert by_stage({"search": 45.0}, [trial(record, reused_from="x #1") for record in TRAINED[:4]], 2)["evaluation"] == 0.0
    assert by_stage({"report": 2.0}, [], 2) == {"report": 2.0}


def test_a_study_of_several_runs_has_the_stages_of_each_one(tmp_path: Path) -> None:
    """What a run that was cut off has trained counts in no later run's search."""
    write_stages(tmp_path, replace(NOTHING_TAKEN, begun=1))
    write_stages(tmp_path, read_taken(tmp_path).plus(by_stage({"search": 14.0}, [trial(TRAINED[0])], 2)))
    write_stages(tmp_path, read_taken(tmp_path).plus(by_stage({"search": 15.0, "report": 2.0}, [trial(TRAINED[1])], 2)))
    found = Outlook.of(tmp_path, [trial(record) for record in TRAINED[:6]])
    assert found.seconds == {"training": 21.0, "evaluation": 3.0, "latency": 5.0, "report": 2.0}
    assert list(found.seconds) == [name for name in STAGES if name in found.seconds]


def test_a_study_that_was_continued_with_more_trials_is_in_no_ratio_to_its_plan(tmp_path: Path) -> None:
    write_stages(tmp_path, TOLD)
    write_stages(tmp_path, replace(NOTHING_TAKEN, begun=1).plus({"start_up": 12.0, "training": 96.0}))
    found = Outlook.of(tmp_path, [trial(record) for record in TRAINED[:6]])
    assert outlook_sentence(found) == "4 trials were planned to take 1 min 10 s and 6 took 1 min 48 s, by 3 shapes timed here."


def test_a_plan_is_compared_with_what_is_known_of_it(tmp_path: Path) -> None:
    write_stages(tmp_path, replace(NOTHING_TAKEN, begun=2).plus({"start_up": 12.0, "training": 96.0}))
    assert outlook_sentence(Outlook.of(tmp_path, [])) == f"It took 1 min 48 s. {UNPLANNED}"
    assert "took" in "".join(map(str, plan_part(Outlook.of(tmp_path, []))))
    write_stages(tmp_path, TOLD)
    found = Outlook.of(tmp_path, [])
    assert outlook_sentence(found) == (
        "It was planned to take 1 min 10 s and took 1 min 48 s (54% more), by 3 shapes timed here. 1 run of 2 did not come to an end; "
        "those seconds are not counted."
    )
    page = "".join(map(str, plan_part(found)))
    assert all(word in page for word in ("start-up", "training", "10 s", "12 s"))


def test_a_study_without_either_says_nothing(tmp_path: Path) -> None:
    assert outlook_sentence(Outlook.of(tmp_path, [])) is None
    assert plan_part(Outlook.of(tmp_path, [])) == []


def test_other_work_on_the_machine_is_counted_with(tmp_path: Path) -> None:
    write_stages(tmp_path, replace(TOLD, processor_share=0.8))
    write_stages(tmp_path, NOTHING_TAKEN.plus({"start_up": 12.0, **by_stage({"search": 168.0}, [], 2)}, processor_share=0.4))
    said = outlook_sentence(Outlook.of(tmp_path, []))
    assert said is not None
    assert "Its trials had 40% of their processors beside other work of the machine, and 80% was planned with" in said
    assert said.endswith("with what they had the plan is 3 min 0 s.")
