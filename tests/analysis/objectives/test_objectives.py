"""Every objective of the registry is whole: it has a name and words, is read from a record, and its absence is no number."""

from __future__ import annotations

import dataclasses

import pytest

from analysis.objectives.objective import Objective
from analysis.objectives.observed import Observed
from analysis.objectives.problem import STANDARD, problem_of
from analysis.objectives.registry import OBJECTIVES, SHOWN_BESIDE, USUAL, find_objective
from analysis.records.record import FinalRecord, TrialRecord
from analysis.records.training import RoundedQuality
from search_space.errors import SpecError
from tests.support.sample_study import sample_finals, sample_records

RECORDS = sample_records()
FINALS = sample_finals(RECORDS)
UNITS = ("_ms", "_bytes", "_flops", "_per_token", "_accuracy", "_per_byte")
EVERY = pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=list(OBJECTIVES))


def finished() -> TrialRecord:
    record = next(record for record in RECORDS if record.finished and record.number in FINALS)
    assert record.training is not None
    assert record.training.validation is not None
    on_code = dataclasses.replace(record.training.validation, bits_per_byte=1.5)
    rounded = RoundedQuality(
        runtime="onnxruntime", precision="int4", loss=4.0, bits_per_byte=3.5, next_token_accuracy=0.2, difference_error=0.01
    )
    validation = dataclasses.replace(record.training.validation, rounded=rounded)
    return dataclasses.replace(record, training=dataclasses.replace(record.training, validation=validation, validations={"code": on_code}))


@EVERY
def test_an_objective_is_read_from_a_record_and_has_all_its_words(objective: Objective) -> None:
    value = objective.value(Observed.of(finished()))
    assert value is not None, "tests/support/sample_study.py has no number for it"
    assert value > 0
    assert objective.name.endswith(UNITS), "its unit ends its name"
    words = objective.words
    for text in (words.label, words.axis, words.phrase, words.best, words.no_worse, words.meaning):
        assert text, f"{objective.name} has no words for one of its places"
    assert words.meaning.endswith("."), "its meaning is a sentence"
    assert words.write(value) in objective.said(value)
    assert words.write(value).endswith(words.unit)
    assert objective.heading().startswith(words.short or words.label)
    assert objective.cell(None) == "–"
    assert "{" not in words.axis.format(prompt_tokens=64, new_tokens=64)
    assert words.gain(*((0.9, 0.8) if objective.better == "higher" else (0.8, 0.9)))
    assert (objective.between > 0) == (objective.noise == "measurement"), "a measurement's noise has a prior, and nothing else has one"
    assert (objective.noise == "none") == (objective.known == "shape")


@EVERY
def test_an_objective_is_known_when_it_says_so(objective: Objective) -> None:
    record = finished()
    assert record.training is not None
    shape = Observed(architecture=record.architecture, costs=record.costs, training_tokens=record.training.planned_tokens)
    measured = dataclasses.replace(shape, latency=record.latency)
    assert (objective.value(shape) is not None) == (objective.known == "shape")
    assert (objective.value(measured) is not None) == (objective.known in ("shape", "device"))
    assert objective.known == "training" or objective.value(measured) == objective.value(Observed.of(record)), "then and afterwards alike"


def test_quality_is_that_of_what_is_deployed_where_it_is_known() -> None:
    record, bits, loss = finished(), OBJECTIVES["bits_per_byte"], OBJECTIVES["rounding_loss_bits_per_byte"]
    assert record.training is not None
    assert record.training.validation is not None
    plain = dataclasses.replace(record.training.validation, rounded=None)
    before = Observed.of(dataclasses.replace(record, training=dataclasses.replace(record.training, validation=plain)))
    assert bits.value(Observed.of(record)) == 3.5
    assert OBJECTIVES["next_token_accuracy"].value(Observed.of(record)) == 0.2
    assert bits.value(before) == plain.bits_per_byte
    assert loss.value(Observed.of(record)) == 3.5 - plain.bits_per_byte
    assert loss.value(before) is None


def test_words_tell_objectives_apart() -> None:
    for told in ("label", "axis", "phrase", "best", "no_worse", "meaning"):
        assert len({getattr(objective.words, told) for objective in OBJECTIVES.values()}) == len(OBJECTIVES), told


def test_the_usual_objectives_and_the_one_beside_them_exist() -> None:
    assert {*USUAL, SHOWN_BESIDE} <= OBJECTIVES.keys()
    assert STANDARD.names == USUAL
    assert [objective.name for objective in (STANDARD.objectives[place] for place in STANDARD.columns)] == ["total_ms", "bits_per_byte"]


def test_a_second_measurement_counts_where_there_is_one() -> None:
    record, total = finished(), OBJECTIVES["total_ms"]
    final = FINALS[record.number]
    assert final.latency is not None
    assert total.value(Observed.of(record, final)) == final.latency.total_ms.median != total.value(Observed.of(record))
    without = FinalRecord(number=record.number, measured_at="2026-01-01T00:00:00+00:00")
    assert total.value(Observed.of(record, without)) == total.value(Observed.of(record))


def test_a_cold_start_is_known_where_both_its_parts_are() -> None:
    record, cold = finished(), OBJECTIVES["cold_start_ms"]
    assert record.latency is not None
    assert record.latency.load_ms is not None
    assert record.latency.first_prefill_ms is not None
    assert cold.value(Observed.of(record)) == record.latency.load_ms + record.latency.first_prefill_ms
    for lacking in (dataclasses.replace(record.latency, load_ms=None), dataclasses.replace(record.latency, first_prefill_ms=None)):
        assert cold.value(Observed.of(dataclasses.replace(record, latency=lacking))) is None


def test_a_validation_set_is_an_objective_by_its_name() -> None:
    found = find_objective("bits_per_byte.code")
    assert found.value(Observed.of(finished())) == 1.5
    assert found.value(Observed.of(RECORDS[0])) is None
    assert found is find_objective("bits_per_byte.code")
    assert found.said(1.5) == "1.500 bits per byte of code"


def test_an_unknown_objective_names_the_nearest() -> None:
    with pytest.raises(SpecError, match=r"the objective latency_total_ms is unknown; did you mean `total_ms`\?"):
        find_objective("latency_total_ms")
    with pytest.raises(SpecError, match="bits_per_byte"):
        find_objective("bits_per_byte.")


def test_costs_are_better_where_smaller() -> None:
    accuracy, bits, total = (OBJECTIVES[name] for name in ("next_token_accuracy", "bits_per_byte", "total_ms"))
    assert accuracy.cost(0.3) > accuracy.cost(0.4)
    assert accuracy.cost(accuracy.cost(0.3)) == pytest.approx(0.3)
    assert bits.cost(2.1) == 2.1
    assert total.scaled(20.0) - total.scaled(10.0) == pytest.approx(total.scaled(2.0) - total.scaled(1.0)), "logarithmic"


def test_values_are_written_as_people_read_them() -> None:
    said = {"total_ms": 24.0, "bits_per_byte": 2.0714, "next_token_accuracy": 0.438, "kv_cache_bytes": 131_072, "training_flops": 1.2e12}
    assert [OBJECTIVES[name].said(value) for name, value in said.items()] == [
        "24.0 ms", "2.071 bits per byte", "43.8% next-token accuracy", "131 kB of KV cache", "1.2 trillion training FLOPs",
    ]  # fmt: skip
    assert (OBJECTIVES["total_ms"].heading(" after"), OBJECTIVES["total_ms"].cell(24.0)) == ("latency after, ms", "24.0")
    assert OBJECTIVES["total_ms"].words.gain(88.0, 100.0) == "takes 12% less time"
    assert OBJECTIVES["bits_per_byte"].words.gain(2.05, 2.071) == "has 0.021 fewer bits per byte"
    assert OBJECTIVES["next_token_accuracy"].words.gain(0.44, 0.43) == "has 1.0 points more next-token accuracy"


def test_a_problem_has_two_or_three_objectives_each_once() -> None:
    assert len(problem_of(["bits_per_byte", "total_ms", "kv_cache_bytes"]).objectives) == 3
    for wrong in (["bits_per_byte"], ["total_ms", "total_ms"], ["bits_per_byte", "total_ms", "load_ms", "weight_bytes"], []):
        with pytest.raises(SpecError, match="objectives must be 2 or 3 different ones, found"):
            problem_of(wrong)
    with pytest.raises(SpecError, match="did you mean `total_ms`"):
        problem_of(USUAL, {"totl_ms": 3.0})


def test_a_front_is_listed_by_what_is_known_first() -> None:
    assert problem_of(["bits_per_byte", "total_ms", "kv_cache_bytes"]).columns == (1, 0, 2)
    assert problem_of(["kv_cache_bytes", "bits_per_byte"]).columns == (0, 1)
    assert problem_of(["bits_per_byte", "next_token_accuracy"]).columns == (1, 0)


def test_a_limit_is_of_any_objective_and_asked_when_it_can_be_told() -> None:
    record = finished()
    seen = Observed.of(record)
    assert record.latency is not None
    total = record.latency.total_ms.median
    tight = problem_of(USUAL, {"total_ms": total / 2})
    assert tight.passed_limit(seen, "device") == f"its latency of {total:#.3g} ms is above limits.total_ms, {total / 2:#.3g} ms"
    assert tight.passed_limit(seen, "shape", "training") is None, "not asked for"
    assert problem_of(USUAL, {"total_ms": total}).passed_limit(seen, "device") is None, "a limit may be reached"
    said = problem_of(USUAL, {"next_token_accuracy": 0.999}).passed_limit(seen, "training")
    assert said is not None
    assert said.endswith("is below limits.next_token_accuracy, 99.9%")
    assert problem_of(USUAL, {"bits_per_byte.code": 0.1}).passed_limit(Observed.of(RECORDS[0]), "training") is None, "never measured"
