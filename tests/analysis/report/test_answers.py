"""Deep or wide, heads, sharing, and how sure: the same answers in a terminal and on a page, longer trainings marked as such."""

from __future__ import annotations

import re
from dataclasses import fields, replace

import pytest

from analysis.fidelity.longer_trainings import SHIPPED, kindred_sets, shipped_sets
from analysis.fronts.effects import SHAPE_FACTORS
from analysis.fronts.front import front_of
from analysis.objectives.problem import problem_of
from analysis.records.record import TrialRecord
from analysis.records.training import RoundedQuality
from analysis.report.answers import answers_part, answers_text
from benchmarks.longer import SHIPPED_REFERENCES, shipped_text
from search_space.cost import parameters
from tests.support.sample_study import sample_records

RECORDS = sample_records()
FRONT = front_of(RECORDS)
CORPUS = shipped_sets()[0].corpus


def test_each_question_has_what_this_study_and_the_longer_trainings_say() -> None:
    lines = answers_text(RECORDS, FRONT, CORPUS).splitlines()
    sets = kindred_sets(CORPUS, [record.architecture for record in RECORDS])
    assert f"of {len(FRONT.points)} shapes after " in lines[0]
    asked = [line.split("?")[0] for line in lines if "?" in line]
    assert asked == [factor.question for factor in SHAPE_FACTORS]
    assert sum(line.startswith("  this study ") for line in lines) == len(SHAPE_FACTORS)
    assert sum(line.startswith("  longer, ") for line in lines) == len(SHAPE_FACTORS) * len(sets) > 0
    assert sum("shipped, not of this study; python -m benchmarks.proxy" in line for line in lines) == len(sets)
    assert lines[-1].startswith("where they disagree with this study")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["bits_per_byte", "total_ms"], "times the latency"),
        (["bits_per_byte", "prefill_ms", "total_ms"], "times the prefill"),
        (["bits_per_byte", "peak_memory_bytes"], "times the peak memory"),
        (["bits_per_byte", "kv_cache_bytes"], None),
        (["next_token_accuracy", "bits_per_byte", "total_ms"], "times the latency"),
    ],
)
def test_what_is_paid_is_called_by_its_name_and_the_loss_is_in_bits_per_byte(names: list[str], said: str | None) -> None:
    text = answers_text(RECORDS, front_of(RECORDS, {}, problem_of(names)), CORPUS)
    assert set(re.findall(r"times the [a-z ]+", text)) == ({said} if said else set())
    own, usual = ([line for line in each.splitlines() if "this study " in line] for each in (text, answers_text(RECORDS, FRONT, CORPUS)))
    assert own == usual


def rounded(record: TrialRecord) -> TrialRecord:
    """The record with a quality that rounding to int8 left as it was, but for a hundredth of it."""
    training = record.training
    if training is None or training.validation is None:
        return record
    own = training.validation
    facts = {each.name: getattr(own, each.name) for each in fields(RoundedQuality) if hasattr(own, each.name)}
    kind = {"runtime": "onnxruntime", "precision": "int8"}
    less = RoundedQuality(**{**facts, **kind, "bits_per_byte": 1.01 * own.bits_per_byte, "difference_error": 0.001})
    return replace(record, training=replace(training, validation=replace(own, rounded=less)))


def test_what_rounding_costs_is_not_the_loss_that_is_answered_for() -> None:
    seen = [rounded(record) for record in RECORDS]
    first, last = (
        answers_text(seen, front_of(seen, {}, problem_of(names)), CORPUS)
        for names in (["rounding_loss_bits_per_byte", "bits_per_byte", "total_ms"], ["bits_per_byte", "total_ms"])
    )
    assert first == last != ""
    assert answers_text(seen, front_of(seen, {}, problem_of(["rounding_loss_bits_per_byte", "total_ms"])), CORPUS) == ""


def test_longer_trainings_say_how_many_seeds_their_shapes_have() -> None:
    own = shipped_sets()[0]
    for counts, said in ((1, 1), "1 seed each"), ((2, 2), "2 seeds each"), ((1, 2), "1 to 2 seeds each"):
        bits = tuple((1.5,) * count for count in counts)
        assert replace(own, shapes=own.shapes[:2], bits_per_byte=bits).described.endswith(f", {said}")


def test_a_study_without_a_loss_in_bits_per_byte_answers_nothing() -> None:
    assert answers_text(RECORDS, front_of(RECORDS, {}, problem_of(["next_token_accuracy", "total_ms"])), CORPUS) == ""


def test_the_page_has_the_same_numbers() -> None:
    page, text = "".join(answers_part(RECORDS, FRONT, CORPUS)), answers_text(RECORDS, FRONT, CORPUS)
    changes = re.findall(r"[+-][0-9.]+% \([^)]*\)", text)
    assert len(changes) >= 2 * len(SHAPE_FACTORS)
    assert all(change in page for change in changes)


def test_another_text_or_size_has_no_longer_trainings_beside_it() -> None:
    alone = answers_text(RECORDS, FRONT, "a text of somebody's")
    assert "this study" in alone
    assert "onger" not in alone
    large = [shape for each in shipped_sets() for shape in each.shapes if parameters(shape) > 900_000]
    assert {each.title for each in kindred_sets(CORPUS, large)} <= set(SHIPPED_REFERENCES)


def test_a_study_of_few_shapes_answers_nothing() -> None:
    for few in ([], RECORDS[:3]):
        assert answers_text(few, front_of(few), CORPUS) == ""
        assert answers_part(few, front_of(few), CORPUS) == []


def test_what_ships_is_what_the_results_say() -> None:
    assert SHIPPED.read_text(encoding="utf-8") == shipped_text()


def test_longer_trainings_say_what_findings_keep() -> None:
    """findings, 2026-11-29: after many tokens heads are worth 1.6 % a doubling and depth nothing, twice."""
    for title in ("0.3M", "1M"):
        [found] = [each for each in shipped_sets() if each.title == title]
        depth, heads, _, _ = found.effects()
        assert depth.better is None
        assert heads.better == "many"
        assert -0.03 < heads.change < -0.01
