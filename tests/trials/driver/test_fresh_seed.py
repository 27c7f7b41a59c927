"""What a fresh seed says of the shapes that a study claims something about."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from analysis.fronts.doubts import selection_bias_sentences
from analysis.fronts.front import front_of
from analysis.fronts.membership import estimate_membership
from analysis.records.record import FinalRecord, FreshSeed, TrialRecord, read_finals
from analysis.records.training import Quality
from analysis.report.study_page import report_page
from analysis.terminal.front_text import front_text
from tests.support.sample_study import sample_finals, sample_records, sample_summary
from trials.driver.retrainings import missing_retrainings, retrain
from trials.tracking.mlflow_standing import qualities_on_test

RECORDS = sample_records()
FINALS = sample_finals(RECORDS)
TOP = front_of(RECORDS, FINALS).best(0)


def quality(bits_per_byte: float) -> Quality:
    return Quality(loss=1.0, bits_per_byte=bits_per_byte, next_token_accuracy=0.4, tokens=1)


def told(selected: float, fresh: float, reference: float = 2.2) -> str:
    """The sentence about the most accurate shape, where the best reference has that on the test split."""
    assert TOP is not None
    finals = {n: dataclasses.replace(final, test=quality(reference)) for n, final in FINALS.items()}
    finals[TOP] = dataclasses.replace(finals[TOP], test=quality(selected), fresh_seed=FreshSeed(seed=2_000, test=quality(fresh)))
    front = front_of(RECORDS, finals)
    [sentence] = selection_bias_sentences(RECORDS, finals, front, estimate_membership(front))
    return sentence


def test_the_part_of_a_gain_that_is_gone_with_a_fresh_seed_was_luck() -> None:
    assert f"With a fresh seed #{TOP} has 2.125 bits per byte on the test split against 2.100 selected" in told(2.1, 2.125)
    assert "of its gain of 0.100 over deep-thin 0.075 is left, 25% of it was selection bias (seeds differ by 0.0" in told(2.1, 2.125)
    assert "its gain of 0.100 over deep-thin shows no selection bias" in told(2.1, 2.09)
    assert "nothing of its gain of 0.100 over deep-thin is left, all of it was selection bias" in told(2.1, 2.21)
    assert "(+0.025; seeds differ by" in told(2.3, 2.325), "there is no gain to lose"


def test_a_fresh_seed_that_fails_is_told_with_its_reason() -> None:
    assert TOP is not None
    finals = {**FINALS, TOP: dataclasses.replace(FINALS[TOP], fresh_seed=FreshSeed(seed=2_000, reason="diverged: the loss was nan"))}
    assert f"#{TOP} with a fresh seed: diverged: the loss was nan." in front_text(RECORDS, finals, front_of(RECORDS, finals))
    assert missing_retrainings(RECORDS, finals, "fresh_seed") != missing_retrainings(RECORDS, FINALS, "fresh_seed")


def test_every_named_shape_gets_one_and_whatever_raises_is_tried_again(tmp_path: Path) -> None:
    def train(record: TrialRecord, final: FinalRecord) -> FinalRecord:
        if record.number == TOP:
            raise RuntimeError("the worker was lost")
        return dataclasses.replace(final, fresh_seed=FreshSeed(seed=2_000, validation=quality(2.1), test=quality(2.2)))

    wanted = [record.number for record in missing_retrainings(RECORDS, FINALS, "fresh_seed")]
    assert TOP in wanted
    assert len(wanted) == 4
    finals = retrain(tmp_path, RECORDS, FINALS, "fresh_seed", train)
    assert read_finals(tmp_path) == {number: finals[number] for number in wanted if number != TOP}
    assert [record.number for record in missing_retrainings(RECORDS, finals, "fresh_seed")] == [TOP]
    one = next(number for number in wanted if number != TOP)
    assert finals[one].test == FINALS[one].test
    assert qualities_on_test(RECORDS[one], finals[one])["fresh_seed_test_bits_per_byte"] == 2.2
    assert "With a fresh seed #" in report_page(sample_summary(), RECORDS, finals)


def test_final_records_of_before_have_no_fresh_seed() -> None:
    values = FINALS[0].as_dict()
    del values["fresh_seed"]
    assert FinalRecord.from_dict(values) == FINALS[0]
