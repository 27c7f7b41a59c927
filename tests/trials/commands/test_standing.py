"""How a run stands, asked from another terminal."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

import archfront
from tests.support.standings import a_standing
from trials.progress.standing import PROGRESS_FILE, State, TimeLeft, write_standing


@pytest.fixture
def ended() -> int:
    """Process id of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        return process.pid


def test_a_running_study_is_told_from_its_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_standing(tmp_path, a_standing(of=14, done=5, left=TimeLeft(seconds=130.0, low=100.0, high=180.0)))
    assert archfront.main(["status", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "small: 5 of 14 trials, 0 on the front"
    assert lines[1].endswith("36%, 2 min 10 s left (1 min 40 s to 3 min 0 s)")
    assert lines[2].endswith("waits for 2 trials to end")
    assert len(lines) == 3
    assert archfront.main(["status", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["done"], told["state"], told["stale"]) == (5, "running", None)


def test_a_driver_that_is_gone_is_told(tmp_path: Path, ended: int, capsys: pytest.CaptureFixture[str]) -> None:
    write_standing(tmp_path, a_standing(pid=ended))
    for follow in ([], ["--follow"]):
        assert archfront.main(["status", str(tmp_path), *follow]) == 0
        assert f"stale    its process {ended} is gone; what was recorded is kept" in capsys.readouterr().out
    assert archfront.main(["status", str(tmp_path), "--json"]) == 0
    assert "is gone" in json.loads(capsys.readouterr().out)["stale"]


@pytest.mark.parametrize(
    ("state", "reason", "said"),
    [
        (State.FINISHED, None, "finished after 0.0 s"),
        (State.FAILED, "no trial was run", "failed after 0.0 s: no trial was run"),
        (State.INTERRUPTED, None, "interrupted after 0.0 s"),
    ],
)
def test_a_run_that_is_over_says_how_it_ended(
    tmp_path: Path, ended: int, state: State, reason: str | None, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_standing(tmp_path, a_standing(pid=ended, state=state, reason=reason))
    assert archfront.main(["status", str(tmp_path), "--follow"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == said


@pytest.mark.parametrize("as_json", [False, True])
def test_following_ends_with_the_run(as_json: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    running = a_standing(of=2, done=1)
    write_standing(tmp_path, running)
    end = threading.Timer(1.5, write_standing, [tmp_path, replace(running, done=2, state=State.FINISHED)])
    end.start()
    assert archfront.main(["status", str(tmp_path), "--follow", *(["--json"] if as_json else [])]) == 0
    said = capsys.readouterr().out
    if as_json:
        assert (json.loads(said)["done"], json.loads(said)["state"]) == (2, "finished")
    else:
        assert "2 of 2 trials" in said
    end.join()


def test_what_is_no_progress_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert archfront.main(["status", str(tmp_path)]) == 2
    assert "must have the progress.json that a run writes, found none" in capsys.readouterr().err
    (tmp_path / PROGRESS_FILE).write_text("{", encoding="utf-8")
    assert archfront.main(["status", str(tmp_path)]) == 2
    said = capsys.readouterr()
    assert (said.out, len(said.err.splitlines())) == ("", 1)
