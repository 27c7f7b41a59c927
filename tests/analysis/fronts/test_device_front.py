"""A finished study's front, redrawn for a device that only a table knows."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

import archfront
from analysis.fronts.device_front import transfer_rows, transfer_to_device
from analysis.fronts.front import front_of
from analysis.fronts.membership import estimate_membership
from analysis.latency.device_table import DeviceTable, Row, append_row, read_table
from analysis.latency.latency_model import TOO_FAR_OUTSIDE
from analysis.objectives.problem import problem_of
from analysis.objectives.registry import USUAL
from analysis.records.record import Outcome, append
from analysis.report.device_page import transfer_page
from analysis.terminal.device_text import transfer_text
from analysis.text import words
from search_space.errors import SpecError
from tests.support.planted_device import planted_latency
from tests.support.sample_study import SPACE, sample_finals, sample_records

BITS, MS = 0, 1
"""Places of the usual objectives."""
RECORDS = sample_records()
QUICKSTART = Path(__file__).resolve().parents[3] / "studies" / "quickstart.yaml"


def write_table(path: Path, **changes: object) -> DeviceTable:
    for shape in SPACE.sample(40, 7):
        append_row(path, Row(architecture=shape, role="fit", latency=planted_latency(shape, **changes)))  # type: ignore[arg-type]
    for shape in SPACE.sample(60, 8)[:10]:
        append_row(path, Row(architecture=shape, role="check", latency=planted_latency(shape, seed=1, **changes)))  # type: ignore[arg-type]
    return read_table(path)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> DeviceTable:
    return write_table(tmp_path_factory.mktemp("devices") / "phone.jsonl", device="a <phone>")


def test_the_front_is_that_of_the_other_device(table: DeviceTable) -> None:
    transfer = transfer_to_device(RECORDS, table)
    truth = {record.number: planted_latency(record.architecture, noise=0.0).total_ms.median for record in RECORDS}
    for number, point in transfer.front.points.items():
        reading = point.readings[MS]
        assert reading.value == pytest.approx(truth[number], rel=0.1)
        assert reading.spread is not None
        assert reading.spread.p10 < reading.value < reading.spread.p90
    assert set(transfer.front.points) == set(transfer.measured_front.points)
    losses = [{n: point.values[BITS] for n, point in each.points.items()} for each in (transfer.front, transfer.measured_front)]
    assert losses[0] == losses[1]


def test_what_was_measured_after_the_search_is_the_measured_one(table: DeviceTable) -> None:
    finals = sample_finals(RECORDS)
    transfer = transfer_to_device(RECORDS, table, finals)
    assert {number: transfer.measured[number] for number in finals} == {number: final.latency for number, final in finals.items()}
    assert transfer.measured_front == front_of(RECORDS, finals)
    assert transfer.front == transfer_to_device(RECORDS, table).front


def test_a_predicted_front_is_as_sure_as_its_predictions(table: DeviceTable) -> None:
    transfer = transfer_to_device(RECORDS, table)
    assert transfer.membership == estimate_membership(
        transfer.front, {MS: {number: transfer.predictions[number].total.deviation for number in transfer.front.points}}
    )
    assert (transfer.left_out.coverage, transfer.checks is not None) == (None, True)
    page = transfer_page("sample", transfer)
    for number in transfer.front.members:
        odds = words.probability(transfer.membership.posteriors[number].on_front).replace(">", "\\u003e")  # as it stands in a script
        assert f"on the true front with {odds}" in page


def test_what_is_shown_says_predicted(table: DeviceTable) -> None:
    transfer = transfer_to_device(RECORDS, table)
    text, page = transfer_text(transfer), transfer_page("sample", transfer)
    for said in (text, page):
        assert "Latencies are predicted, not measured: from the table phone" in said
        assert "on the measured" in said
    assert "float32, 1 thread<" in page
    assert "a &lt;phone&gt;" in page
    assert "a <phone>" not in page
    assert "Predicted latency, ms for 64 prompt and 64 new tokens" in page
    found = transfer_rows(transfer)
    assert found["predicted"] is True
    assert [row["trial"] for row in found["front"] if row["on_front"]] == list(transfer.front.members)
    for row in found["front"]:
        assert row["predicted_total_ms_low"] < row["predicted_total_ms"] < row["predicted_total_ms_high"]
    assert json.loads(json.dumps(found)) == found


def test_limits_hold_on_the_other_device_and_what_they_kept_from_training_is_told(table: DeviceTable) -> None:
    free = transfer_to_device(RECORDS, table).front
    slowest = max(free.members, key=lambda number: free.points[number].values[MS])
    limit = free.points[slowest].values[MS] * 0.99
    heavy = next(record for record in RECORDS if record.finished and record.number not in free.members)
    over = dataclasses.replace(heavy, outcome=Outcome.OVER_LIMIT, reason="its latency is above limits.total_ms", training=None)
    records = [over if record is heavy else record for record in RECORDS]
    transfer = transfer_to_device(records, table, problem=problem_of(USUAL, {"total_ms": limit, "load_ms": 1e6}))
    assert slowest not in transfer.front.members
    assert all(transfer.front.points[number].values[MS] <= limit for number in transfer.front.members)
    assert transfer.membership.posteriors[slowest].on_front == 0
    assert transfer.untrained == [next(record for record in transfer.records if record.number == heavy.number)]
    text = transfer_text(transfer)
    for said in ("over a limit here, and so not on the front: of #", "above limits.total_ms", "limits.load_ms is not asked"):
        assert said in text
    kept = int(transfer.predictions[heavy.number].total.ms <= limit)
    assert f"1 shape was over a limit on the study's own device and not trained, and so not judged here; by the table {kept} would" in text
    none = transfer_to_device(records, table, problem=problem_of(USUAL, {"total_ms": 1e-3}))
    assert none.front.members == ()
    for said in (transfer_text(none), transfer_page("sample", none)):
        assert "The predicted front has 0 shapes" in said


def test_another_workload_is_refused(tmp_path: Path) -> None:
    table = write_table(tmp_path / "table.jsonl", prompt_tokens=128)
    with pytest.raises(SpecError, match="must be of the study's workload, 64 prompt and 64 new tokens, found 128 and 64; run"):
        transfer_to_device(RECORDS, table)


def test_a_study_that_measured_nothing_is_refused(table: DeviceTable) -> None:
    with pytest.raises(SpecError, match="when trials have been measured, found none"):
        transfer_to_device([], table)


def test_shapes_beyond_the_table_are_marked(table: DeviceTable) -> None:
    small = dataclasses.replace(table, rows=tuple(row for row in table.rows if row.architecture.hidden_size <= 48))
    transfer = transfer_to_device(RECORDS, small, far=True)
    assert transfer.outside
    assert " is outside of what the table has seen: num_hidden_layers is 4, measured were 9 to 24." in transfer_text(transfer)


def test_shapes_too_far_beyond_the_table_are_refused_unless_asked_for(table: DeviceTable) -> None:
    shape = table.rows[0].architecture
    wide = dataclasses.replace(shape, intermediate_size=round(5 * max(row.architecture.intermediate_size for row in table.rows)))
    records = [dataclasses.replace(RECORDS[0], architecture=wide), *RECORDS[1:]]
    with pytest.raises(SpecError, match=r"times outside: parameters is [\d,]+, measured were"):
        transfer_to_device(records, table)
    moved = transfer_to_device(records, table, far=True)
    assert moved.predictions[RECORDS[0].number].times_outside > 5.0
    assert max(found.times_outside for number, found in moved.predictions.items() if number != RECORDS[0].number) <= TOO_FAR_OUTSIDE


def test_the_command_leaves_the_measured_report_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = tmp_path / "study"
    directory.mkdir()
    shutil.copy(QUICKSTART, directory / "study.yaml")
    for record in RECORDS:
        append(directory, record)
    (directory / "report.html").write_text("measured", encoding="utf-8")
    write_table(tmp_path / "phone.jsonl")
    before = sorted(file.name for file in directory.iterdir())
    assert archfront.main(["report", str(directory), "--device", str(tmp_path / "phone.jsonl"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["table"] == "phone"
    assert archfront.main(["report", str(directory), "--device", str(tmp_path / "phone.jsonl")]) == 0
    assert "predicted, not measured: " in capsys.readouterr().err
    assert (directory / "report.html").read_text(encoding="utf-8") == "measured"
    assert sorted(file.name for file in directory.iterdir()) == sorted([*before, "report-phone.html"])
    assert archfront.main(["report", str(directory), "--device", "nowhere.jsonl"]) == 2
    assert "nowhere.jsonl is not a file" in capsys.readouterr().err


def test_a_shape_is_described_with_the_latency_that_a_table_predicts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_table(tmp_path / "phone.jsonl")
    asked = ["describe", "mobilellm-125m", "--device", str(tmp_path / "phone.jsonl"), "--json"]
    assert archfront.main(asked) == 2
    assert f"a latency is predicted up to {TOO_FAR_OUTSIDE:g} times outside of the shapes that the table phone has, found " in (
        said := capsys.readouterr().err
    )
    assert "measure such shapes with `archfront profile-device`, or add --far" in said
    assert archfront.main([*asked, "--far"]) == 0
    found = json.loads(capsys.readouterr().out)["predicted_latency"]
    assert 0 < found["total_ms_low"] < found["total_ms"] < found["total_ms_high"]
    assert found["outside"].startswith("parameters is 124,635,456")
