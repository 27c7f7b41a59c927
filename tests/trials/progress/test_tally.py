"""How long a study still takes, by the trials that it has made."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.fronts.front import front_of
from analysis.objectives.problem import STANDARD
from analysis.records.record import Outcome, TrialRecord
from tests.support.sample_study import sample_finals, sample_records
from trials.progress.standing import LONGEST_SHOWN_REASON
from trials.progress.tally import ProgressTally


@pytest.fixture(scope="module")
def record() -> TrialRecord:
    return sample_records(1)[0]


def test_nine_of_ten_intervals_hold_what_the_trials_then_take(record: TrialRecord) -> None:
    random, held, of = np.random.default_rng(0), [], 14
    for _ in range(400):
        seconds = random.lognormal(3.0, 0.3, size=of)
        done = int(random.integers(3, of))
        tally = ProgressTally([], STANDARD, workers=2)
        for number in range(done):
            tally.add(replace(record, number=number, wall_seconds=float(seconds[number])))
        left = tally.left(of)
        assert left is not None
        assert left.low is not None
        assert left.high is not None
        held.append(left.low <= seconds[done:].sum() / min(2, of - done) <= left.high)
    assert 0.86 <= np.mean(held) <= 0.94


def test_time_left_is_not_known_before_a_trial_is_back_and_has_no_interval_of_one(record: TrialRecord) -> None:
    tally = ProgressTally([record], STANDARD)
    assert tally.left(14) is None  # trials of an earlier run were of another hour
    tally.add(replace(record, number=1, wall_seconds=10.0))
    left = tally.left(14)
    assert left is not None
    assert (left.seconds, left.low) == (120.0, None)
    tally.add(replace(record, number=2, wall_seconds=20.0))
    found, spent = tally.left(14), tally.left(14, [5.0, 1_000.0])
    assert found is not None
    assert spent is not None
    assert found.seconds - spent.seconds == pytest.approx(5.0 + 15.0)
    assert tally.left(3) is None, "nothing is to come"


def test_the_front_is_that_of_the_report_once_its_members_were_measured_again() -> None:
    records = sample_records(12)
    finals = sample_finals(records)
    tally = ProgressTally(records, STANDARD)
    searched = tally.fields()["front"]
    tally.measured_again(finals)
    front = front_of(records, finals)
    fields = tally.fields()
    assert (fields["front_size"], {each.number for each in fields["front"]}) == (len(front.members), set(front.members))
    for each in fields["front"]:
        assert list(each.values.values()) == pytest.approx([front.points[each.number].values[place] for place in STANDARD.columns])
    assert fields["front"] != searched


def test_a_training_that_was_taken_over_tells_no_time(record: TrialRecord) -> None:
    assert record.training is not None
    tally = ProgressTally([], STANDARD)
    for number in range(5):
        taken_over = replace(record.training, reused_from="abc")
        tally.add(replace(record, number=number, training=taken_over, wall_seconds=0.5))
    assert tally.left(14) is None
    tally.add(replace(record, number=5, wall_seconds=10.0))
    left = tally.left(14)
    assert left is not None
    assert left.seconds == 80.0


def test_a_failure_is_listed_with_its_reason_in_one_short_line(record: TrialRecord) -> None:
    tally = ProgressTally([], STANDARD)
    tally.add(replace(record, outcome=Outcome.FAILED, reason="a\n\x1b[2Jb http://me:hunter2@host " + "c" * 1_000, training=None))
    [failure] = tally.fields()["failures"]
    assert failure.reason.startswith("a [2Jb http://me:***@host ccc")
    assert len(failure.reason) == LONGEST_SHOWN_REASON
    assert tally.fields()["failed"] == tally.fields()["done"] == 1
