"""Who is named in `on_end` hears from the head how a real job ended: finished, or stopped on its way."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from analysis.records.record import RECORDS
from tests.support.ray_head import JOB_SECONDS, STUDY, Head, write_study

pytestmark = [pytest.mark.more, pytest.mark.slow]

HEAR = """
import os, sys
written = sys.argv[1] + ".part"
with open(written, "w") as file:
    file.write(sys.stdin.read())
os.replace(written, sys.argv[1])
"""
"""A program that lies beside the study, and so travels with it."""


def submitted(head: Head, folder: Path, **changes: Any) -> tuple[str, Path]:
    """A job whose listener writes what it hears into a file."""
    heard = folder / "heard.json"
    study = write_study(folder / "studies", on_end=["python", "hear.py", str(heard)], **changes)
    (study.parent / "hear.py").write_text(HEAR)
    sent = head.call("submit", "run", str(study), "--directory", str(folder / "results"), ARCHFRONT_OWNER="ada")
    assert sent.returncode == 0, sent.stderr
    return sent.stdout.strip(), heard


def until(path: Path) -> None:
    deadline = time.monotonic() + JOB_SECONDS
    while not path.exists():
        assert time.monotonic() < deadline, f"no {path.name}"
        time.sleep(0.1)


def test_the_end_of_a_job_that_finishes_is_heard(head: Head, tmp_path: Path) -> None:
    job, heard = submitted(head, tmp_path)
    followed = head.call("logs", job, "--follow")
    assert followed.returncode == 0, followed.stdout
    assert "on_end was not told" not in followed.stdout
    told = json.loads(heard.read_text())
    assert (told["study"], told["job"], told["owner"], told["state"], told["exit_code"]) == ("tiny", job, "ada", "finished", 0)
    assert (told["trials"], told["of"], told["directory"]) == ({"finished": 3}, 3, str(tmp_path / "results"))


def test_the_end_of_a_job_that_is_stopped_is_heard(head: Head, tmp_path: Path) -> None:
    long = {"proxy": {**STUDY["proxy"], "tokens": 1 << 19}, "search": {"trials": 3, "sampler": "random"}}  # type: ignore[dict-item]
    job, heard = submitted(head, tmp_path, **long)
    until(tmp_path / "results" / RECORDS)
    assert head.call("stop", job).stdout.startswith("STOPPED")
    until(heard)
    told = json.loads(heard.read_text())
    assert (told["job"], told["state"], told["exit_code"], told["of"]) == (job, "interrupted", 143, 5)
    assert 1 <= told["trials"]["finished"] < 5
    assert told["sentence"].startswith("interrupted by SIGTERM")
