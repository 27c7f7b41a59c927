"""The verbs on a study's directory: what a report does with lines that are no records."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.objectives.observed import Observed
from analysis.objectives.registry import find_objective
from analysis.records.record import read_finals, read_records
from tests.conftest import Call
from tests.support.fuzz_subjects import STORED
from trials.commands.results import more_said

DAMAGES: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "no JSON": lambda lines: [*lines[:2], b"{broken", *lines[3:]],
    "a number below zero": lambda lines: [*lines[:2], lines[2].replace(b'"wall_seconds":', b'"wall_seconds":-'), *lines[3:]],
    "two of one trial": lambda lines: [*lines, lines[2].replace(b'"wall_seconds":', b'"wall_seconds":1')],
}


@pytest.mark.parametrize("flags", [[], ["--verbose"]])
def test_a_report_names_what_says_more_than_it_has_said(flags: list[str], archfront: Call, tmp_path: Path) -> None:
    shutil.copytree(STORED / "search", tmp_path / "study")
    done = archfront("report", str(tmp_path / "study"), *flags)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^more     archfront explain WORDS$", done.stderr, re.MULTILINE)
    assert ("--verbose" in done.stderr) is not bool(flags)


def test_the_commands_that_say_more_are_whole_on_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A path with two spaces would be another one where it was broken at them."""
    monkeypatch.setattr("trials.commands.results.output_width", lambda: 40)
    directory = Path("runs/a name  of two")
    assert more_said(directory, is_verbose=True) == "more     archfront explain WORDS"
    first, second = more_said(directory, is_verbose=False).splitlines()
    assert shlex.split(first) == ["more", "archfront", "report", str(directory), "--verbose"]
    assert second == "more     archfront explain WORDS"


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_report_leaves_a_line_out_that_is_no_record_and_says_which(damage: str, archfront: Call, tmp_path: Path) -> None:
    study = tmp_path / "study"
    shutil.copytree(STORED / "search", study)
    records = study / "records.jsonl"
    lines = records.read_bytes().splitlines()
    records.write_bytes(b"\n".join([*DAMAGES[damage](lines), b""]))
    done = archfront("report", str(study), "--output", str(tmp_path / "page.html"))
    assert done.returncode == 0, done.stderr
    assert "archfront: left out: " in done.stderr
    assert "records.jsonl" in done.stderr
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "1 unreadable line left out" in page
    assert "1 line of the study&#x27;s files cannot be read and is left out" in page
    assert archfront("export", str(study), "--pick", "knee").returncode == 2, "whoever takes a model away is refused"


def test_a_million_tokens_and_the_study_have_a_price_and_an_estimated_energy(archfront: Call, tmp_path: Path) -> None:
    """By hand: milliseconds of one are thousands of seconds of a million, joules are megajoules, and a kilowatt hour has 3.6 of these."""
    study = tmp_path / "study"
    shutil.copytree(STORED / "search", study)
    page = ("--output", str(tmp_path / "page.html"))
    rates = ("--price-per-hour", "2", "--grams-per-kwh", "480")
    said = archfront("report", str(study), *rates, *page)
    assert said.returncode == 0, said.stderr
    assert "1,000,000 decoded tokens" in said.stdout
    text = " ".join(said.stdout.split())
    assert re.search(r"how long the study's runs took was not kept; .* trials' own trainings took an estimated .* J and .* µg of CO2", text)
    rows = json.loads(archfront("report", str(study), *rates, *page, "--json").stdout)
    records, finals = {record.number: record for record in read_records(study)}, read_finals(study)
    members = [row for row in rows if row["on_front"]]
    assert members
    for row in members:
        cost, seen = row["million_tokens"], Observed.of(records[row["trial"]], finals.get(row["trial"]))
        decode, joules = (find_objective(name).value(seen) for name in ("decode_ms_per_token", "joules_per_token"))
        assert decode is not None
        assert joules is not None
        assert cost["seconds"] == pytest.approx(1_000 * decode)
        assert cost["price"] == pytest.approx(2 * 1_000 * decode / 3_600)
        assert cost["estimated_joules"] == pytest.approx(1e6 * joules)
        assert cost["estimated_grams"] == pytest.approx(480 * 1e6 * joules / 3.6e6)
    one = json.loads(archfront("report", str(study), "--price-per-hour", "2", *page, "--json").stdout)
    assert {row["million_tokens"]["estimated_grams"] for row in one if row["on_front"]} == {None}, "no rate, no grams"
    plain = json.loads(archfront("report", str(study), *page, "--json").stdout)
    assert not any("million_tokens" in row for row in plain)
    with pytest.raises(SystemExit):
        archfront("report", str(study), "--grams-per-kwh", "-1")
