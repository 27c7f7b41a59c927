"""Tables of other devices that are kept with a study: the page has each of them as a choice."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path

import pytest

import archfront
from analysis.latency.latency_model import TOO_FAR_OUTSIDE
from analysis.objectives.problem import STANDARD
from analysis.records.record import append
from search_space.errors import SpecError
from tests.analysis.fronts.test_device_front import QUICKSTART, write_table
from tests.support.sample_study import sample_records
from trials.latency.known_devices import MeasuredStudy, keep_devices, known_devices
from trials.reporting.stored_study import read_study, report_study

OPTION = re.compile(r'<option value="([^"]*)"')


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "study").mkdir()
    shutil.copy(QUICKSTART, tmp_path / "study" / "study.yaml")
    for record in sample_records():
        append(tmp_path / "study", record)
    return tmp_path / "study"


@pytest.mark.slow
def test_a_page_lets_its_reader_choose_among_the_tables_that_are_kept_with_the_study(
    directory: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert OPTION.findall(report_study(read_study(directory)).read_text()) == []
    for name, slower in (("phone", 1.0), ("board", 6.0)):
        write_table(directory.parent / f"{name}.jsonl", device=name, slower=slower)
    asked = f"{directory.parent / 'phone.jsonl'},{directory.parent / 'board.jsonl'}"
    assert archfront.main(["report", str(directory), "--devices", asked]) == 0
    assert [path.name for path in sorted((directory / "devices").iterdir())] == ["board.jsonl", "phone.jsonl"]
    capsys.readouterr()
    text = (directory / "report.html").read_text()
    assert OPTION.findall(text) == ["", "device-1", "device-2"]
    picks = [json.loads(found)["members"] for found in re.findall(r'data-device="device-\d">({.*?})</script>', text)]
    assert len(picks) == 2
    assert picks[0] != picks[1]
    (directory / "devices" / "cut.jsonl").write_text("{")
    assert [device.name for device in known_devices(read_study(directory).measured)] == ["board", "phone"]
    assert "cut.jsonl is left out of the report" in caplog.text


def test_a_table_that_says_nothing_of_the_study_is_refused_and_not_kept(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_table(directory.parent / "other.jsonl", prompt_tokens=128)
    assert archfront.main(["report", str(directory), "--devices", str(directory.parent / "other.jsonl")]) == 2
    assert "must be of the study's workload" in capsys.readouterr().err
    assert archfront.main(["report", str(directory), "--devices", "nowhere.jsonl"]) == 2
    assert not (directory / "devices").exists()


def test_options_that_do_not_go_together_are_refused(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a/phone", "b/phone", "board"):
        (directory.parent / name).parent.mkdir(exist_ok=True)
        write_table(directory.parent / f"{name}.jsonl")
    first, second, board = (str(directory.parent / f"{name}.jsonl") for name in ("a/phone", "b/phone", "board"))
    asked = {
        (str(directory), "--devices", first, "--device", board): "--devices must stand alone, found --device beside it",
        (str(directory), "--devices", first, "--objectives", "parameters,bits_per_byte"): "found --objectives beside it",
        (str(directory), str(directory), "--devices", first): "--devices must be of one study, found several directories",
        (str(directory), str(directory), "--device", first): "--device must be of one study, found several directories",
        (str(directory), "--far"): "--far must stand beside --device or --devices, found neither",
        (str(directory), "--devices", f"{first},{second}"): f"found {first} and {second}; rename one",
    }
    for arguments, said in asked.items():
        assert archfront.main(["report", *arguments]) == 2
        assert said in capsys.readouterr().err
    assert sorted(path.name for path in directory.iterdir()) == ["records.jsonl", "study.yaml"]


def test_a_table_far_from_the_study_is_kept_where_that_is_asked_for_and_its_page_says_so(tmp_path: Path) -> None:
    table = write_table(tmp_path / "phone.jsonl")
    shape = table.rows[0].architecture
    wide = dataclasses.replace(shape, intermediate_size=round(5 * max(row.architecture.intermediate_size for row in table.rows)))
    records = [dataclasses.replace(record, architecture=wide) if record.number == 2 else record for record in sample_records()]
    measured = MeasuredStudy(tmp_path, records, {}, STANDARD)
    with pytest.raises(SpecError, match="add --far"):
        keep_devices(measured, [str(tmp_path / "phone.jsonl")])
    keep_devices(measured, [str(tmp_path / "phone.jsonl")], far=True)
    (device,) = known_devices(measured)
    assert device.predictions[2].times_outside > TOO_FAR_OUTSIDE
