"""Finalists at half and twice the learning rate: what is kept, and when a winner is said to owe its rank to the rate."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from analysis.fronts.doubts import bracket_sentences, noise_sentences, rank_flips
from analysis.fronts.findings import findings
from analysis.fronts.front import front_of
from analysis.fronts.membership import estimate_membership
from analysis.objectives.problem import problem_of
from analysis.records.record import FinalRecord, RatePoint, TrialRecord, read_finals
from analysis.report.study_page import report_page
from analysis.statistics.noise_prior import USUAL_NOISE, NoisePrior
from analysis.terminal.front_text import front_text
from tests.support.sample_study import sample_finals, sample_records, sample_summary
from trials.driver.retrainings import missing_retrainings, retrain

RECORDS = [record for record in sample_records(12) if record.finished]

NEAR = NoisePrior(0.004, 0.6, is_near=True)
LIKE = "trainings of about this recipe, size and length"


def bits(record: TrialRecord) -> float:
    assert record.training is not None
    assert record.training.validation is not None
    return record.training.validation.bits_per_byte


def bracketed(gain: dict[int, float]) -> dict[int, FinalRecord]:
    """The finals with brackets: twice the rate gains so many bits per byte, half of it loses a little."""
    by_number = {record.number: record for record in RECORDS}
    return {
        number: dataclasses.replace(final, learning_rate_bracket=bracket(bits(by_number[number]), gain.get(number, 0.0)))
        for number, final in sample_finals(RECORDS).items()
    }


def bracket(own: float, gain: float) -> tuple[RatePoint, ...]:
    return tuple(RatePoint(factor=f, bits_per_byte=b) for f, b in ((0.5, own + 0.01), (1.0, own), (2.0, own - gain)))


def test_an_order_that_holds_at_every_rate_is_said_to() -> None:
    finals = bracketed(dict.fromkeys((record.number for record in RECORDS), 0.005))
    front = front_of(RECORDS, finals)
    assert rank_flips(finals, front) == {}
    (said,) = bracket_sentences(finals, front)
    assert said == f"Trained at half and twice the learning rate too, the {len(finals)} finalists keep their order."
    assert said in findings(RECORDS, finals, front, estimate_membership(front))


def test_a_winner_whose_rank_flips_is_flagged_on_the_page_and_in_the_terminal() -> None:
    plain = sample_finals(RECORDS)
    winner = front_of(RECORDS, plain).best(0)
    assert winner is not None
    second = min((record for record in RECORDS if record.number in plain and record.number != winner), key=bits).number
    finals = bracketed({second: 0.5})
    front = front_of(RECORDS, finals)
    assert second in rank_flips(finals, front)[winner]
    said = next(sentence for sentence in bracket_sentences(finals, front) if f"The rank of #{winner} flips" in sentence)
    assert f"#{second} " in said
    assert "(x2)" in said
    assert said in front_text(RECORDS, finals, front)
    assert f"The rank of #{winner} flips" in report_page(sample_summary(), RECORDS, finals)


def test_a_training_that_diverged_at_another_rate_is_no_loss() -> None:
    finals = bracketed({})
    number = next(iter(finals))
    diverged = (RatePoint(factor=2.0, bits_per_byte=None), *finals[number].learning_rate_bracket[:2])
    finals[number] = dataclasses.replace(finals[number], learning_rate_bracket=diverged)
    assert "keep their order" in bracket_sentences(finals, front_of(RECORDS, finals))[0]


def test_a_study_without_brackets_says_nothing_of_them() -> None:
    finals = sample_finals(RECORDS)
    assert bracket_sentences(finals, front_of(RECORDS, finals)) == []


def test_every_named_shape_gets_its_bracket_once(tmp_path: Path) -> None:
    finals, trained = sample_finals(RECORDS), []

    def train(record: TrialRecord, final: FinalRecord) -> FinalRecord:
        trained.append(record.number)
        return dataclasses.replace(final, learning_rate_bracket=bracket(bits(record), 0.01))

    found = retrain(tmp_path, RECORDS, finals, "learning_rate_bracket", train)
    assert 2 <= len(trained) <= 4
    assert {number for number, final in found.items() if len(final.learning_rate_bracket) == 3} == set(trained)
    assert read_finals(tmp_path) == {number: found[number] for number in trained}
    assert missing_retrainings(RECORDS, found, "learning_rate_bracket") == []
    assert {record.number for record in missing_retrainings(RECORDS, found, "fresh_seed")} == set(trained)


@pytest.mark.parametrize(
    ("names", "noise", "said"),
    [
        (["bits_per_byte", "total_ms"], USUAL_NOISE, "(standard deviation, 0.8% of the quality, as other studies had)"),
        (
            ["bits_per_byte", "total_ms"],
            NEAR,
            f"(standard deviation, 0.4% of the quality, as {LIKE} had)",
        ),
        (["bits_per_byte", "next_token_accuracy"], USUAL_NOISE, "(standard deviation, 0.8% of the quality, as other studies had)"),
        (["bits_per_byte", "next_token_accuracy"], NEAR, "(standard deviation)"),
    ],
)
def test_a_share_is_said_where_it_is_that_of_all_objectives(names: list[str], noise: NoisePrior, said: str) -> None:
    front = front_of(RECORDS, {}, problem_of(names, noise=noise))
    (sentence,) = noise_sentences(front, estimate_membership(front))
    assert sentence.endswith(f"{said} and allow for much less and more.")
