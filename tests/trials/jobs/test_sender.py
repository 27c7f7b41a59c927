from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from search_space.errors import WorkError
from trials.jobs import sender
from trials.jobs.asking import content_of, unpacked
from trials.jobs.sender import PIECE_BYTES, answers


def told(directory: Path, **asked: Any) -> list[dict[str, Any]]:
    """What is said beside the clock."""
    first, *others = answers({"directory": str(directory), **asked})
    assert first.keys() == {"clock"}
    return others


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A directory beside which lies what is nobody's business."""
    directory = tmp_path / "study"
    (directory / "weights").mkdir(parents=True)
    (directory / "records.jsonl").write_text("{}\n" * 9)
    (directory / "weights" / "0000.safetensors").write_bytes(random.Random(0).randbytes(PIECE_BYTES + 10))
    (tmp_path / "secret").write_text("nobody's business")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "0001.safetensors").write_text("nobody's business")
    return directory


def test_files_are_named_with_size_and_hash(study: Path) -> None:
    found = {each["file"]: each for each in told(study, names=["*.jsonl", "weights/*.safetensors", "nothing/*"])}
    assert set(found) == {"records.jsonl", "weights/0000.safetensors"}
    content = (study / "weights" / "0000.safetensors").read_bytes()
    assert found["weights/0000.safetensors"]["bytes"] == len(content)
    assert found["weights/0000.safetensors"]["sha256"] == hashlib.sha256(content).hexdigest()


def test_pieces_come_as_they_were_asked_for(study: Path) -> None:
    content = (study / "weights" / "0000.safetensors").read_bytes()
    pieces = told(study, pieces=[("weights/0000.safetensors", 5, len(content)), ("records.jsonl", 3, 6)])
    assert [(each["file"], each["at"], each["bytes"], each["zlib"]) for each in pieces] == [
        ("weights/0000.safetensors", 5, PIECE_BYTES, False),
        ("weights/0000.safetensors", 5 + PIECE_BYTES, 5, False),
        ("records.jsonl", 3, 6, False),
    ]
    assert b"".join(map(unpacked, pieces[:2])) == content[5:]
    assert content_of(told(study, pieces=[("records.jsonl", 0, 1000)]), "records.jsonl", 1000) == b"{}\n" * 9
    assert content_of(told(study, pieces=[("nothing", 0, 9)]), "nothing", 9) is None


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/passwd", "weights/../../secret", "link", "folder/0001.safetensors", "pipe", "weights", "x\0y"]
)
def test_nothing_outside_of_the_directory_is_sent(study: Path, name: str) -> None:
    (study / "link").symlink_to(study.parent / "secret")
    (study / "folder").symlink_to(study.parent / "elsewhere")
    os.mkfifo(study / "pipe")
    found = told(study, pieces=[(name, 0, 100)], names=[name, "folder/*", "li*", "pi*"])
    assert [list(each) for each in found] == [["refused", "why"]], found


def test_a_directory_that_is_not_there_is_said(study: Path) -> None:
    assert told(study / "none", names=["*"]) == [{"missing": str(study / "none")}]


def test_only_the_log_of_another_job_is_forgotten(tmp_path: Path) -> None:
    """As the Jobs API has it: standard output is the job's log, beside those of others."""
    for name in ("job-driver-asks-1.log", "job-driver-asks-2.log", "raylet.out"):
        (tmp_path / name).write_text("what was sent")
    words = base64.b64encode(json.dumps({"forget": ["asks-1", "../raylet.out", "none-3"]}).encode()).decode()
    with (tmp_path / "job-driver-mine.log").open("w") as log:
        subprocess.run([sys.executable, "-E", sender.__file__, words], stdout=log, check=True)
    assert [len((tmp_path / f"job-driver-asks-{n}.log").read_bytes()) for n in (1, 2)] == [0, 13]
    assert (tmp_path / "raylet.out").read_text() == "what was sent"
    assert (tmp_path / "job-driver-mine.log").read_text().splitlines()[-1] == sender.line({"end": True})


@pytest.mark.parametrize(
    "changes",
    [{"content": "?"}, {"content": ""}, {"bytes": 2}, {"bytes": None}, {"zlib": False}, {"content": base64.b64encode(b"\0" * 40).decode()}],
)
def test_a_damaged_piece_is_refused(study: Path, changes: dict[str, Any]) -> None:
    (study / "records.jsonl").write_bytes(b"{}\n" * 1000)
    (piece,) = told(study, pieces=[("records.jsonl", 0, 3000)])
    assert piece["zlib"]
    assert len(unpacked(piece)) == 3000
    with pytest.raises(WorkError, match="came damaged"):
        unpacked({**piece, **changes})
