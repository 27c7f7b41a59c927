"""The verbs on a study's directory: what a report does with lines that are no records."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Call
from tests.support.fuzz_subjects import STORED

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
    assert re.search(r"^more     .*archfront explain WORDS$", done.stderr, re.MULTILINE)
    assert ("--verbose" in done.stderr) is not bool(flags)


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
