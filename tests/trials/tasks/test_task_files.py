"""Files of questions: found by name, read in three formats, and refused in a sentence with file and line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from search_space.errors import SpecError
from trials.tasks.task_files import read_tasks

ROW: dict[str, Any] = {"query": "2 + 2 =", "choices": ["4", "5"], "gold": 0}


def lines(rows: list[Any], file: Path) -> None:
    file.write_text("\n".join(map(json.dumps, rows)) + "\n\n", encoding="utf-8")


def listed(rows: list[Any], file: Path) -> None:
    file.write_text(json.dumps(rows, indent=1), encoding="utf-8")


def columns(rows: list[Any], file: Path) -> None:
    parquet.write_table(pyarrow.Table.from_pylist(rows), file)


@pytest.mark.parametrize(
    ("suffix", "write"), [("jsonl", lines), ("json", lines), ("json", listed), ("jsonl", listed), ("parquet", columns)]
)
def test_a_task_is_the_same_in_each_format(suffix: str, write: Callable[[list[Any], Path], None], tmp_path: Path) -> None:
    rows = [ROW, ROW | {"gold": 1}, ROW]
    write(rows, tmp_path / f"sums.{suffix}")
    [found] = read_tasks(["sums"], tmp_path)
    assert [question.answer for question in found.questions] == [0, 1, 0]
    [few] = read_tasks([f"other={tmp_path / f'sums.{suffix}'}"], None, most=2)
    assert (few.name, len(few.questions)) == ("other", 2)


def test_other_names_of_a_task_are_found(tmp_path: Path) -> None:
    lines([{"context": "He drank the", "continuation": "tea"}], tmp_path / "lambada_openai.jsonl")
    lines([ROW], tmp_path / "openbookqa.jsonl")
    assert [task.name for task in read_tasks(["lambada", "openbook_qa"], tmp_path)] == ["lambada", "openbook_qa"]


WRONG: list[tuple[str, bytes | None, str]] = [
    ("no file", None, "--data must hold sums.jsonl (arc_easy, "),
    ("nothing in it", b"\n\n", "must have a question in each line, found none"),
    ("no JSON", b'{"query"\n', "sums.jsonl, line 1 must be a JSON object, found column 9"),
    ("second line", json.dumps(ROW).encode() + b"\n{]\n", "sums.jsonl, line 2 must be a JSON object"),
    ("not UTF-8", b'{"query": "\xff"}', "byte 0xff is not UTF-8"),
    ("a number", b"3\n", "line 1 must be an object with a question's keys, found 3"),
    ("a cut list", b'[{"query": 1},', "must be a list of JSON objects, or one a line, found"),
    ("brackets", b"[" * 100_000, "must be a list of JSON objects"),
    ("no number", json.dumps(ROW | {"gold": float("nan")}).encode(), "line 1 must be a JSON object, found column"),
]


@pytest.mark.parametrize(("name", "content", "said"), WRONG, ids=[name for name, *_ in WRONG])
def test_what_is_no_file_of_questions_is_one_sentence(name: str, content: bytes | None, said: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "sums.jsonl").write_bytes(content)
    with pytest.raises(SpecError) as refused:
        read_tasks(["sums"], tmp_path)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_names_without_a_place_are_one_sentence(tmp_path: Path) -> None:
    lines([ROW], tmp_path / "sums.jsonl")
    for names, folder, said in (
        (["sums"], None, "must come with --data FOLDER"),
        (["sums", "sums"], tmp_path, "must name each task once"),
        (["sums"], tmp_path / "gone", "--data must be a folder"),
        ([f"sums={tmp_path}"], None, "must be a file that can be read"),
        (["x=gone.jsonl"], None, "must be a file that can be read"),
    ):
        with pytest.raises(SpecError, match=said):
            read_tasks(names, folder)
    (tmp_path / "torn.parquet").write_bytes(b"PAR1")
    with pytest.raises(SpecError, match="must be a whole Parquet file"):
        read_tasks(["torn"], tmp_path)
