"""What rounding costs, in a column and in sentences."""

from __future__ import annotations

from dataclasses import replace

from analysis.fronts.front import front_of
from analysis.fronts.rounding import rounding_interval, rounding_sentences
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
