from __future__ import annotations

import dataclasses
import json
import math
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.records.record import FINALS, RECORDS, FinalRecord, TrialRecord, append, read_finals, read_records
from analysis.records.training import Quality
from search_space.errors import SpecError
from tests.support.sample_study import sample_finals, sample_records

SHORT = sample_records(3)


@pytest.fixture(scope="module")
def records() -> list[TrialRecord]:
    return sample_records()


def write(directory: Path, records: list[TrialRecord]) -> Path:
    for record in records:
        append(directory, record)
    return directory / RECORDS


def test_every_kind_of_record_survives_its_file(tmp_path: Path, records: list[TrialRecord]) -> None:
    finals = sample_finals(records)
    write(tmp_path, records)
    for final in finals.values():
        append(tmp_path, final)
    assert read_records(tmp_path) == records
    assert read_finals(tmp_path) == finals


def test_records_come_back_in_the_order_of_their_numbers(tmp_path: Path, records: list[TrialRecord]) -> None:
    write(tmp_path, records[5:8] + records[:5])
    assert [record.number for record in read_records(tmp_path)] == list(range(8))


def test_a_directory_without_records_has_none(tmp_path: Path) -> None:
    assert read_records(tmp_path) == []
    assert read_finals(tmp_path) == {}


def test_the_newest_final_record_of_a_trial_counts(tmp_path: Path, records: list[TrialRecord]) -> None:
    first = sample_finals(records)[0]
    second = dataclasses.replace(first, measured_at="2026-01-02T00:00:00+00:00")
    append(tmp_path, first)
    append(tmp_path, second)
    assert read_finals(tmp_path) == {0: second}


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_file_cut_anywhere_loses_its_last_line_only(data: st.DataObject) -> None:
    records = SHORT
    with tempfile.TemporaryDirectory() as name:
        path = write(Path(name), records)
        whole = path.read_bytes()
        last = whole.rstrip(b"\n").rfind(b"\n") + 1
        path.write_bytes(whole[: data.draw(st.integers(last, len(whole) - 1), label="bytes left")])
        assert read_records(Path(name)) == records[:2]
        append(Path(name), records[2])
        assert path.read_bytes() == whole


def test_a_first_line_that_was_cut_is_replaced(tmp_path: Path, records: list[TrialRecord]) -> None:
    (tmp_path / RECORDS).write_text('{"number": 0, "kin')
    assert read_records(tmp_path) == []
    append(tmp_path, records[0])
    assert read_records(tmp_path) == records[:1]


def test_another_schema_is_refused_with_its_place(tmp_path: Path, records: list[TrialRecord]) -> None:
    rows = [record.as_dict() for record in records[:2]]
    rows[1]["schema"] = 99
    (tmp_path / RECORDS).write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(SpecError, match=r"records\.jsonl:2: a record must have a schema from 1 to 2, found 99; use the archfront version"):
        read_records(tmp_path)


def without_costs(row: dict[str, Any]) -> str:
    return json.dumps({name: value for name, value in row.items() if name != "costs"})


@pytest.mark.parametrize("damage", ["not JSON at all", "3", '{"schema": 1}', '{"schema": 2}', "", without_costs])
def test_a_line_that_holds_no_record_is_named_with_a_cure(tmp_path: Path, records: list[TrialRecord], damage: Any) -> None:
    path = write(tmp_path, records[:3])
    lines = path.read_text().splitlines()
    lines[1] = damage(json.loads(lines[1])) if callable(damage) else damage
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(SpecError, match=r"records\.jsonl:2 does not hold a record of schema 1 to 2; .* delete that line"):
        read_records(tmp_path)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_becomes_absent(tmp_path: Path, records: list[TrialRecord], value: float) -> None:
    record = records[2]
    assert record.training is not None
    curve = (dataclasses.replace(record.training.curve[0], training_loss=value),)
    validation = Quality(loss=value, bits_per_byte=value, next_token_accuracy=0.0, tokens=10)
    append(tmp_path, dataclasses.replace(record, training=dataclasses.replace(record.training, validation=validation, curve=curve)))
    assert "NaN" not in (tmp_path / RECORDS).read_text()
    assert "Infinity" not in (tmp_path / RECORDS).read_text()
    [read] = read_records(tmp_path)
    assert read.training is not None
    assert read.training.curve[0].training_loss is None
    assert read.training.validation is None, "a quality with a missing number is no quality"


def test_a_latency_with_a_missing_time_is_no_latency(tmp_path: Path, records: list[TrialRecord]) -> None:
    latency = records[2].latency
    assert latency is not None
    broken = dataclasses.replace(latency, total_ms=dataclasses.replace(latency.total_ms, p90=math.nan))
    append(tmp_path, dataclasses.replace(records[2], latency=broken))
    assert read_records(tmp_path)[0].latency is None


def test_final_records_have_a_file_of_their_own(tmp_path: Path) -> None:
    append(tmp_path, FinalRecord(number=4, measured_at="2026-01-01T00:00:00+00:00"))
    assert [path.name for path in tmp_path.iterdir()] == [FINALS]
    assert read_finals(tmp_path)[4].latency is None


def test_a_title_names_the_trial_the_reference_and_the_shape(records: list[TrialRecord]) -> None:
    assert records[0].title.startswith("#0 deep-thin: 12x32 ")
    assert records[3].title == f"#3 {records[3].architecture.label}"
