"""What rounding costs, in a column and in sentences."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from analysis.fronts.front import front_of
from analysis.fronts.rounding import judged_activations, rounding_interval, rounding_sentences, rounds_otherwise, undecided_sentences
from analysis.objectives.problem import problem_of
from analysis.objectives.registry import USUAL
from analysis.records.latency import Activations
from analysis.records.replicates import averaged
from analysis.report.study_page import report_page
from analysis.terminal.front_text import front_text
from tests.support.sample_study import as_rounded, sample_records, sample_summary

HEADING = "loss by rounding, 90 %"


PLAIN = sample_records()
ROUNDED = [as_rounded(record, 0.01 + 0.0001 * record.number) for record in PLAIN]


def test_a_study_that_rounds_has_the_column_and_the_sentence_and_no_other_has() -> None:
    for records, there in ((PLAIN, False), (ROUNDED, True)):
        for text in (front_text(records, {}, front_of(records, {})), report_page(sample_summary(), records, {})):
            assert (HEADING in text) == there
            assert ("as onnxruntime rounds them to int4, after training; against float32 that costs" in text) == there


def test_a_front_is_of_what_is_deployed() -> None:
    plain, rounded = front_of(PLAIN, {}), front_of([as_rounded(record, 0.01) for record in PLAIN], {})
    for number, point in rounded.points.items():
        assert abs(point.values[0] - plain.points[number].values[0] - 0.01) < 1e-9


def test_records_of_before_are_told_once() -> None:
    before = [replace(record, latency=replace(record.latency, precision="int4")) if record.latency else record for record in PLAIN]
    (said,) = rounding_sentences(before)
    assert "is that of float32 weights, for the directory began before quality as rounded was measured" in said
    assert rounding_sentences(PLAIN) == []


@pytest.mark.parametrize(
    ("read", "word", "expected"),
    [
        (None, None, "How the device rounds activations is not known; they were taken to be rounded to int8."),
        ("int8", None, "How the device rounds activations is not known; they were taken to be rounded to int8."),
        ("int8", "int8", "activations are rounded to int8, as a known network showed there."),
        ("float32", "float32", "activations are left in float32, as a known network showed there."),
        ("int8", "float32", "but the quality is that of activations rounded to int8, by which the directory's first trials were judged"),
        (None, "float32", "but the quality is that of activations rounded to int8, by which the directory's first trials were judged"),
    ],
)
def test_the_device_s_word_is_said_beside_what_the_quality_was_judged_by(
    read: Activations | None, word: Activations | None, expected: str
) -> None:
    rounding, device = rounding_sentences([as_rounded(record, 0.01, read=read, word=word) for record in PLAIN])
    assert rounding.startswith(
        f"Quality is that of the weights {'' if read == 'float32' else 'and activations '}as onnxruntime rounds them to int4"
    )
    assert expected in device


@pytest.mark.parametrize(("limit", "told"), [(0.01, True), (0.05, False), (None, False)])
def test_a_limit_within_an_interval_is_told(limit: float | None, told: bool) -> None:
    records = [as_rounded(record, 0.01 + 0.0001 * record.number) for record in PLAIN]
    limits = {} if limit is None else {"rounding_loss_bits_per_byte": limit}
    said = undecided_sentences(records, limits)
    assert bool(said) == told
    assert not told or "keep to limits.rounding_loss_bits_per_byte cannot be told: it lies in the 90 % interval." in said[0]
    front = front_of(records, {}, problem_of(USUAL, limits))
    assert all(text in front_text(records, {}, front) for text in said)


def test_the_card_says_what_rounding_costs() -> None:
    page = report_page(sample_summary(), ROUNDED, {})
    assert re.search(r"90 %: [^<]* bits per byte; 0\.0\d+ to 0\.0\d+ lost by rounding to int4", page)
    assert "lost by rounding to" not in report_page(sample_summary(), PLAIN, {})


def test_two_ways_of_rounding_in_one_directory_are_told() -> None:
    half = len(PLAIN) // 2
    mixed = [as_rounded(record, 0.01, read="int8", word="int8") for record in PLAIN[:half]]
    mixed += [as_rounded(record, 0.01, read="float32", word="float32") for record in PLAIN[half:]]
    said = rounding_sentences(mixed)
    assert len([text for text in said if text.startswith("Quality is")]) == 2
    assert any("more than one way of rounding, so their qualities do not compare" in text for text in said)
    assert judged_activations(mixed) == "int8"
    assert judged_activations(PLAIN) is None


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        (("onnxruntime", "int4", "int8"), None),
        (("onnxruntime", "int4", None), None),
        (
            ("onnxruntime", "int4", "float32"),
            "with activations rounded to int8, as the study judged them; on this device they would be",
        ),
        (("openvino", "int4", "int8"), "those of weights as onnxruntime rounds them to int4, as the study judged them"),
        (("onnxruntime", "float32", None), "would be those of weights that are not rounded to so few bits"),
    ],
)
def test_another_device_s_rounding_is_told(device: tuple[str, str, Activations | None], expected: str | None) -> None:
    said = rounds_otherwise([as_rounded(record, 0.01, read="int8") for record in PLAIN], *device)
    assert (said == []) if expected is None else (expected in said[0])


def test_a_study_in_float32_says_what_a_device_of_few_bits_would_have() -> None:
    assert rounds_otherwise(PLAIN, "onnxruntime", "float32", None) == []
    (said,) = rounds_otherwise(PLAIN, "llama.cpp", "int8", None)
    assert said.startswith("Qualities are those of weights in float32, as the study judged them")


def test_an_interval_holds_what_windows_and_seeds_move() -> None:
    first = next(record for record in PLAIN if record.finished and record.replicates is None)
    again = replace(first, number=90, replicates=first.number, seed=1)
    one = as_rounded(first, 0.02)
    assert one.training is not None
    alone = rounding_interval(one.training.validation)
    (both,) = averaged([one, as_rounded(again, 0.03)])
    assert both.training is not None
    assert both.training.validation is not None
    pair = rounding_interval(both.training.validation)
    assert alone is not None
    assert pair is not None
    assert abs((both.training.validation.rounding_loss or 0) - 0.025) < 1e-9
    assert pair[1] - pair[0] > alone[1] - alone[0]
    (mixed,) = averaged([one, again])
    assert mixed.training is not None
    assert rounding_interval(mixed.training.validation) is None
    lone = as_rounded(first, 0.02, None).training
    assert lone is not None
    assert rounding_interval(lone.validation) is None
