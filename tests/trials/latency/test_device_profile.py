"""Profiling a device: which shapes are measured, what is kept of an interrupted one, and what the table then says."""

from __future__ import annotations

import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import pytest
import yaml

import archfront
from analysis.latency.device_report import table_facts
from analysis.latency.device_table import DeviceTable, Row, append_row, read_table
from analysis.records.latency import Latency, Spread, Yardstick
from analysis.records.record import append
from analysis.terminal.device_text import device_table_text
from search_space.architecture import Architecture
from search_space.cost import parameters
from search_space.errors import SpecError
from tests.support.planted_device import planted_latency, planted_space
from tests.support.sample_study import sample_finals, sample_records
from trials.latency.add_trials import add_trials, at_pace_of
from trials.latency.device_profile import Wanted, choose_shapes, default_table, latency_spec, profile
from trials.latency.device_tables import device_folder, find_table
from trials.latency.process import LatencyError
from trials.study.latency_spec import LatencySpec

QUICKSTART = Path(__file__).resolve().parents[3] / "studies" / "quickstart.yaml"
SPACE, SPEC = planted_space(1_000_000), LatencySpec()


@cache
def wanted() -> list[Wanted]:
    """Fifty shapes; to choose them takes seconds."""
    return choose_shapes(SPACE, SPEC, 40, 10)


class Killed(BaseException):
    """Stands for Ctrl-C or a kill."""


class Device:
    """Measures as the planted device does, and remembers what it was asked."""

    def __init__(self, dies_after: int = 1000, disturbed: frozenset[str] = frozenset(), fails: frozenset[str] = frozenset()) -> None:
        self.asked: list[Architecture] = []
        self.dies_after, self.disturbed, self.fails = dies_after, disturbed, fails

    def measure(self, shape: Architecture) -> Latency:
        if len(self.asked) == self.dies_after:
            raise Killed
        self.asked.append(shape)
        if shape.key in self.fails:
            raise LatencyError("the latency process was ended by SIGKILL")
        first = self.asked.count(shape) == 1
        return planted_latency(shape, seed=len(self.asked), disturbed=first and shape.key in self.disturbed)


def test_shapes_are_spread_over_sizes_and_the_same_each_time() -> None:
    assert choose_shapes(SPACE, SPEC, 40, 10) == wanted()
    assert choose_shapes(SPACE, SPEC, 40, 10, seed=1) != wanted()
    assert [each.role for each in wanted()] == ["fit"] * 40 + ["check"] * 10
    assert len({each.architecture for each in wanted()}) == 50
    sizes = sorted(round(parameters(each.architecture) / 1e6, 1) for each in wanted() if each.role == "fit")
    assert sizes.count(1.0) == 24
    assert (sizes[0], sizes[-1]) == (0.2, 2.0)
    depths = {each.architecture.num_hidden_layers for each in wanted()}
    assert (min(depths), max(depths) >= 16) == (1, True)


def test_a_space_that_does_not_reach_other_sizes_is_measured_at_its_own() -> None:
    narrow = tuple(
        dataclasses.replace(dimension, choices=(192,)) if dimension.name == "hidden_size" else dimension for dimension in SPACE.dimensions
    )
    found = choose_shapes(dataclasses.replace(SPACE, dimensions=narrow), SPEC, 20, 4)
    assert len(found) == 24
    assert min(parameters(each.architecture) for each in found) > 400_000  # the embedding alone is larger than a quarter of the budget


def test_a_killed_profiling_continues(tmp_path: Path) -> None:
    path, first, second = tmp_path / "table.jsonl", Device(dies_after=17), Device()
    with pytest.raises(Killed):
        profile(path, SPEC, wanted(), measure=first.measure)
    assert len(read_table(path).rows) == 17
    with path.open("a", encoding="utf-8") as file:
        file.write('{"architecture": {"vocab_si')  # what a kill in the middle of a line leaves
    table = profile(path, SPEC, wanted(), measure=second.measure)
    assert first.asked + second.asked == [each.architecture for each in wanted()]
    assert len(table.rows) == 50
    assert profile(path, SPEC, wanted(), measure=Device(dies_after=0).measure).rows == table.rows


def test_a_disturbed_shape_is_measured_once_more(tmp_path: Path) -> None:
    device = Device(disturbed=frozenset(each.architecture.key for each in wanted()[3:6]))
    table = profile(tmp_path / "table.jsonl", SPEC, wanted(), measure=device.measure)
    assert len(device.asked) == 53
    assert not any(row.latency.disturbed for row in table.rows)


def test_where_most_are_disturbed_nothing_is_measured_again(tmp_path: Path) -> None:
    device = Device(disturbed=frozenset(each.architecture.key for each in wanted()))
    table = profile(tmp_path / "table.jsonl", SPEC, wanted(), measure=device.measure)
    assert len(device.asked) == 50
    assert table_facts(table)["disturbed"] == 50


def test_a_shape_that_fails_is_left_out_and_said(tmp_path: Path) -> None:
    said: list[str] = []
    device = Device(fails=frozenset([wanted()[2].architecture.key]))
    table = profile(tmp_path / "table.jsonl", SPEC, wanted(), measure=device.measure, progress=lambda done, of, text: said.append(text))
    assert len(table.rows) == 49
    assert said[2].endswith("is left out: the latency process was ended by SIGKILL")
    with pytest.raises(LatencyError):
        profile(
            tmp_path / "other.jsonl", SPEC, wanted(), measure=Device(fails=frozenset(each.architecture.key for each in wanted())).measure
        )


def test_another_devices_measurements_do_not_enter(tmp_path: Path) -> None:
    path = tmp_path / "table.jsonl"
    profile(path, SPEC, wanted()[:10], measure=Device().measure)
    with pytest.raises(SpecError, match="was measured otherwise: device is 'another', in the table 'planted'"):
        profile(path, SPEC, wanted(), measure=lambda shape: planted_latency(shape, device="another"))


def test_another_workload_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    path, device = tmp_path / "table.jsonl", Device()
    profile(path, SPEC, wanted()[:10], measure=device.measure)
    with pytest.raises(SpecError, match="was measured otherwise: threads is 2, in the table 1; name another file with --output"):
        profile(path, LatencySpec(threads=2), wanted()[:10], measure=device.measure)
    assert len(device.asked) == 10


@pytest.mark.parametrize("left", ["", '{"form', '{"format":"archfront-device-table-1","device":"pl'])
def test_an_interruption_in_the_first_line_is_continued(left: str, tmp_path: Path) -> None:
    path = tmp_path / "table.jsonl"
    path.write_text(left, encoding="utf-8")
    assert len(profile(path, SPEC, wanted()[:10], measure=Device().measure).rows) == 10


def test_a_file_of_something_else_is_left_as_it_is(tmp_path: Path) -> None:
    path, device = tmp_path / "notes.txt", Device()
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(SpecError, match="must begin with a line that says what was measured"):
        profile(path, SPEC, wanted()[:10], measure=device.measure)
    with pytest.raises(SpecError, match="is not a file"):
        profile(tmp_path, SPEC, wanted()[:10], measure=device.measure)
    assert (path.read_text(encoding="utf-8"), device.asked) == ("mine", [])


def test_two_profilings_of_a_table_take_turns(tmp_path: Path) -> None:
    path, devices = tmp_path / "table.jsonl", (Device(), Device())
    with ThreadPoolExecutor(2) as pool:
        tables = list(pool.map(lambda device: profile(path, SPEC, wanted()[:10], measure=device.measure), devices))
    assert sorted(len(device.asked) for device in devices) == [0, 10]
    assert tables[0].rows == tables[1].rows
    assert len(path.read_text(encoding="utf-8").splitlines()) == 11


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> DeviceTable:
    return profile(tmp_path_factory.mktemp("devices") / "planted.jsonl", SPEC, wanted(), measure=Device().measure)


def test_the_table_says_how_good_it_is(table: DeviceTable) -> None:
    facts = table_facts(table)
    assert (facts["fitted"], facts["checks"], facts["device"]) == (40, 10, "planted")
    assert facts["check_errors"]["median_error"] <= 0.04
    assert facts["left_out_errors"]["coverage"] is None  # they decided how wide the intervals are
    assert facts["check_errors"]["coverage"] is not None
    assert sum(facts["decode_shares"].values()) == pytest.approx(1.0)
    assert json.loads(json.dumps(facts)) == facts
    text = device_table_text(table)
    assert "40 fitted, 10 to check" in text
    assert "rank correlation" in text
    assert [line.split()[0] for line in text.splitlines() if "within their 90 % intervals" in line] == ["checks"]


def test_checks_do_not_enter_the_fit(table: DeviceTable) -> None:
    without = dataclasses.replace(table, rows=tuple(row for row in table.rows if row.role == "fit"))
    shapes = [row.architecture for row in table.rows]
    assert without.predict(shapes) == table.predict(shapes)
    assert without.check_errors() is None


def test_a_studys_trials_join_the_fit(tmp_path: Path) -> None:
    path, study = tmp_path / "table.jsonl", tmp_path / "study"
    study.mkdir()
    records = sample_records()
    for record in records:
        append(study, record)
    for final in sample_finals(records).values():
        append(study, final)
    latency = records[0].latency
    assert latency is not None
    append_row(path, Row(architecture=wanted()[0].architecture, role="fit", latency=dataclasses.replace(latency, disturbed=True)))
    measured = {record.architecture for record in records if record.latency is not None}
    assert add_trials(path, study) == (len(measured), None)
    assert add_trials(path, study) == (0, None)
    assert [row.role for row in read_table(path).rows] == ["fit"] + ["trial"] * len(measured)
    other = tmp_path / "other.jsonl"
    append_row(other, Row(architecture=wanted()[0].architecture, role="fit", latency=planted_latency(wanted()[0].architecture)))
    added, left_out = add_trials(other, study)
    assert added == 0
    assert left_out is not None
    assert "device is 'cpu', in the table 'planted'" in left_out


def test_times_are_brought_to_the_tables_pace() -> None:
    def stick(prefill: float, decode: float) -> Yardstick:
        spread = Spread(median=1.0, p10=1.0, p90=1.0)
        return Yardstick(label="a", ratio=spread, total_ms=spread, device_prefill_ms=prefill, device_decode_ms=decode)

    latency = planted_latency(wanted()[0].architecture, yardstick=stick(2.0, 10.0))
    moved = at_pace_of(latency, {"a": stick(1.0, 20.0)})
    assert moved.prefill_ms.median == pytest.approx(latency.prefill_ms.median / 2)
    assert moved.decode_ms_per_token.median == pytest.approx(latency.decode_ms_per_token.median * 2)
    assert moved.total_ms.median == pytest.approx(moved.prefill_ms.median + 64 * moved.decode_ms_per_token.median)
    assert at_pace_of(latency, {"b": stick(1.0, 20.0)}) == latency
    assert at_pace_of(moved, {"a": stick(1.0, 20.0)}) == moved


def test_tables_are_found_by_file_and_by_name(table: DeviceTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(SpecError, match="there is none yet, and `archfront profile-device STUDY` makes one"):
        find_table("planted")
    path = device_folder() / "planted.jsonl"
    for row in table.rows:
        append_row(path, row)
    assert find_table("planted").rows == table.rows == find_table(str(path)).rows
    with pytest.raises(SpecError, match="found neither; name one of planted"):
        find_table("plante")
    assert default_table(SPACE, SPEC).parent == path.parent
    assert default_table(SPACE, SPEC).name.endswith("-onnxruntime-float32-1t-64-64-1.0m.jsonl")


@pytest.mark.parametrize("text", ["", "{}\n", '{"format": "archfront-device-table-9"}\n', "not JSON\n"])
def test_a_file_that_is_no_table_is_told(text: str, tmp_path: Path) -> None:
    path = tmp_path / "table.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SpecError, match=r"(does not hold what a device's table|must begin with a line)"):
        read_table(path)


@pytest.mark.parametrize("median", [0.0, -1.0, float("nan"), float("inf"), "fast", None])
def test_a_time_that_is_none_is_told(median: object, table: DeviceTable, tmp_path: Path) -> None:
    path = tmp_path / "table.jsonl"
    append_row(path, table.rows[0])
    row = table.rows[1].as_dict()
    row["latency"]["prefill_ms"]["median"] = median
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    with pytest.raises(SpecError, match=r"table\.jsonl:3 does not hold what a device's table"):
        read_table(path)


@pytest.mark.parametrize("change", [{"precision": "int5"}, {"threads": 0}, {"new_tokens": 1.5}, {"prompt_tokens": "64"}])
def test_a_first_line_that_says_no_workload_is_told(change: dict[str, object], table: DeviceTable, tmp_path: Path) -> None:
    path = tmp_path / "table.jsonl"
    append_row(path, table.rows[0])
    first, rest = path.read_text(encoding="utf-8").split("\n", 1)
    path.write_text(f"{json.dumps({**json.loads(first), **change})}\n{rest}", encoding="utf-8")
    with pytest.raises(SpecError, match=r"table\.jsonl:1 does not hold what a device's table"):
        read_table(path)


def test_few_measured_shapes_are_told(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="must hold at least 8 measured shapes, found 3"):
        table_facts(profile(tmp_path / "table.jsonl", SPEC, wanted()[:3], measure=Device().measure))


def test_the_workload_is_the_studys_but_for_what_is_named() -> None:
    spec = latency_spec(LatencySpec(prompt_tokens=16), precision="int8")
    assert (spec.prompt_tokens, spec.precision, spec.runtime) == (16, "int8", "onnxruntime")
    with pytest.raises(SpecError, match="precision must be float32 where the runtime is torch"):
        latency_spec(LatencySpec(), runtime="torch", precision="int4")


def test_another_runtime_than_a_command_has_no_command() -> None:
    by_command = LatencySpec(runtime="command", command=("measure",), format="gguf", precision="float32")
    assert latency_spec(by_command, runtime="onnxruntime") == LatencySpec()
    assert latency_spec(by_command, runtime="command") == latency_spec(by_command) == by_command
    assert latency_spec(LatencySpec(context_positions=(128,))) == LatencySpec()
    with pytest.raises(SpecError, match=r"a table must be named where the runtime is command, .*; name its file with --output"):
        default_table(SPACE, by_command)


def test_a_space_without_a_shape_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = yaml.safe_load(QUICKSTART.read_text(encoding="utf-8"))
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump({**values, "budget": {"parameters": 1000}}), encoding="utf-8")
    assert archfront.main(["profile-device", str(path)]) == 2
    assert "no shape of this space spends the budget" in capsys.readouterr().err


@pytest.mark.more
@pytest.mark.slow
def test_the_command_measures_really(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "table.jsonl"
    assert archfront.main(["profile-device", str(QUICKSTART), "--shapes", "8", "--checks", "2", "--output", str(path), "--json"]) == 0
    printed = capsys.readouterr()
    facts = json.loads(printed.out)
    assert (facts["fitted"], facts["checks"], facts["protocol"]) == (8, 2, "archfront-3")
    assert "10 of 10: " in printed.err
    assert all(row.latency.yardstick is not None for row in read_table(path).rows)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--shapes", "3"], "--shapes must be at least 8"),
        (["--trials", "nowhere"], "nowhere"),
        (["--output", "/proc/a.jsonl"], "/proc/a.jsonl must be a file that can be written"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_measured(
    options: list[str], sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("trials.latency.device_profile.LatencyProcess", lambda *_: pytest.fail("something was measured"))
    assert archfront.main(["profile-device", "studies/quickstart.yaml", *options]) == 2
    assert sentence in capsys.readouterr().err
