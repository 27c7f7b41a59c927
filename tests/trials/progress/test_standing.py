"""The file of a running study: written whole, read or refused in a sentence, and not believed once its driver is gone."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from search_space.errors import SpecError
from tests.support.standings import a_standing, some_standing
from trials.progress.standing import LARGEST_PROGRESS_BYTES, PROGRESS_FILE, State, moment, read_standing, staleness, write_standing


@pytest.mark.parametrize("seed", range(20))
def test_what_was_written_is_read(seed: int, tmp_path: Path) -> None:
    standing = some_standing(seed)
    write_standing(tmp_path, standing)
    assert read_standing(tmp_path) == standing
    assert [path.name for path in tmp_path.iterdir()] == [PROGRESS_FILE]


def test_a_directory_without_the_file_is_told_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"must have the progress.json that a run writes, found none; begin or continue"):
        read_standing(tmp_path)
    with pytest.raises(SpecError, match="must be a study's directory, found none"):
        read_standing(tmp_path / "nowhere")


def _spoilt(content: str, seed: int) -> bytes:
    """The file with a value, a key or some bytes of it changed."""
    draw, values = random.Random(seed), json.loads(content)
    kind, key = draw.randrange(4), draw.choice(sorted(values))
    if kind == 0:
        values[key] = draw.choice([None, -1, 1e400, "", "text", [], {}, [1], {"a": 1}, True, 10**30])
    elif kind == 1:
        del values[key]
    elif kind == 2:
        values[f"{key}_"] = 1
    else:
        raw = bytearray(content.encode())
        place = draw.randrange(len(raw))
        return bytes(raw[:place] if draw.random() < 0.5 else raw[:place] + bytes([draw.randrange(256)]) + raw[place + 1 :])
    return json.dumps(values).encode()


def refusal(directory: Path) -> str | None:
    try:
        read_standing(directory)
    except SpecError as error:
        return str(error)
    return None


def test_whatever_the_file_holds_it_is_read_or_refused_in_one_sentence(tmp_path: Path) -> None:
    write_standing(tmp_path, some_standing(3))
    content, refused = (tmp_path / PROGRESS_FILE).read_text(encoding="utf-8"), 0
    for seed in range(400):
        (tmp_path / PROGRESS_FILE).write_bytes(_spoilt(content, seed))
        said = refusal(tmp_path)
        if said is not None:
            refused += 1
            assert said.startswith(f"{tmp_path / PROGRESS_FILE} must hold a study's progress"), seed
            assert said.endswith("delete progress.json; a run writes it again"), seed
            assert len(said.splitlines()) == 1, seed
    assert refused > 100


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"null", b"[" * 100_000, b"\xff\xfe", b'{"schema": 2}', b" " * (LARGEST_PROGRESS_BYTES + 1)]
)
def test_what_is_no_progress_is_one_sentence(content: bytes, tmp_path: Path) -> None:
    (tmp_path / PROGRESS_FILE).write_bytes(content)
    with pytest.raises(SpecError, match=r"delete progress\.json; a run writes it again") as refused:
        read_standing(tmp_path)
    assert len(str(refused.value)) < 300


def ended_process() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        return process.pid


@pytest.mark.parametrize(
    ("changes", "seconds", "said"),
    [
        ({}, 0.0, None),
        ({}, 59.0, None),
        ({}, 61.0, "not written for 1 min 1 s: look whether process"),
        ({}, -3600.0, None),
        ({"host": "elsewhere"}, 0.0, None),
        ({"host": "elsewhere"}, 7200.0, "not written for 2 h 0 min"),
        ({"pid": None}, 0.0, "is gone; what was recorded is kept"),
        ({"pid": None, "host": "elsewhere"}, 0.0, None),
        ({"pid": 10**15}, 0.0, "is gone"),
        ({"pid": None, "state": State.FINISHED}, 7200.0, None),
        ({"pid": None, "state": State.INTERRUPTED}, 7200.0, None),
    ],
)
def test_a_standing_is_stale_where_its_driver_is_gone_or_silent(changes: dict[str, Any], seconds: float, said: str | None) -> None:
    changes = changes | ({"pid": ended_process()} if "pid" in changes and changes["pid"] is None else {})
    now = time.time()
    found = staleness(replace(a_standing(written_at=moment(now)), **changes), now + seconds)
    assert found is None if said is None else found is not None and said in found
