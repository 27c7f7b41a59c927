"""Variables that travel sealed: what the job reads, and where else their values could be found."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import stat
import subprocess
import sys
import urllib.request
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest

from search_space.errors import WorkError
from tests.support.ray_head import ROOT, Head, write_study
from trials.jobs.sealing import seal, sealed
from trials.jobs.sender import KEY_SECONDS, answers, key_file
from trials.jobs.unseal import unsealed

VALUES = {"HUB_TOKEN": "hunter2 $HOME 'quoted'", "BYTES": os.fsdecode(b"\xff\xfe"), "EMPTY": ""}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An account of a head."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def key_of(job: str) -> bytes:
    (told,) = [each for each in answers({"key": job}) if "clock" not in each]
    return base64.b64decode(told["public"])


def test_the_job_alone_reads_what_was_sealed_and_its_key_is_gone_then() -> None:
    content = sealed(VALUES, "tiny-1", key_of("tiny-1"))
    assert not any(value.encode(errors="surrogateescape") in content for value in VALUES.values() if value)
    assert stat.S_IMODE(key_file("tiny-1").stat().st_mode) == 0o600
    assert stat.S_IMODE(key_file("tiny-1").parent.stat().st_mode) == 0o700
    assert unsealed(content, "tiny-1") == VALUES
    assert not key_file("tiny-1").exists()
    with pytest.raises(OSError, match="tiny-1"):
        unsealed(content, "tiny-1")


@pytest.mark.parametrize("place", [0, 35, 60, -1])
def test_what_was_changed_or_is_another_jobs_does_not_open(place: int) -> None:
    content = bytearray(sealed(VALUES, "tiny-1", key_of("tiny-1")))
    content[place] ^= 1
    with pytest.raises(ValueError, match="sealed for another job"):
        unsealed(bytes(content), "tiny-1")
    others = sealed(VALUES, "tiny-3", key_of("tiny-2"))
    with pytest.raises(ValueError, match="sealed for another job"):
        unsealed(others, "tiny-2")


@pytest.mark.parametrize("job", ["../../.bashrc", "", "a/b", ".hidden", "x\0y"])
def test_a_key_lies_among_keys(job: str) -> None:
    with pytest.raises(FileNotFoundError):
        key_file(job)
    assert [each for each in answers({"key": job}) if "public" in each] == []


def test_a_key_that_is_there_is_never_given_again_and_old_ones_go(home: Path) -> None:
    first = key_of("tiny-1")
    assert "refused" in list(answers({"key": "tiny-1"}))[1]
    os.utime(key_file("tiny-1"), (0, os.stat(home).st_mtime - 2 * KEY_SECONDS))
    assert key_of("tiny-2") != first
    assert [path.name for path in key_file("tiny-2").parent.iterdir()] == ["tiny-2"]


@pytest.mark.parametrize(
    ("told", "said"), [([], "made no key"), ([{"refused": "x", "why": "no module"}], "can make no key for --env .*no module")]
)
def test_a_head_that_makes_no_key_is_said(told: list[dict[str, Any]], said: str) -> None:
    class Silent:
        def ask(self, **asked: Any) -> list[dict[str, Any]]:
            return told

    with pytest.raises(WorkError, match=said):
        seal(VALUES, "tiny-1", Silent())  # type: ignore[arg-type]


def test_a_command_has_the_variables_and_is_told_which_are_secrets(tmp_path: Path) -> None:
    (tmp_path / "sealed").write_bytes(sealed(VALUES, "tiny-1", key_of("tiny-1")))
    script = "import os, json; print(json.dumps({name: os.environ[name] for name in ('HUB_TOKEN', 'ARCHFRONT_CARRIED')}))"
    command = [sys.executable, "-P", "-m", "trials.jobs.unseal", str(tmp_path / "sealed"), "tiny-1", sys.executable, "-c", script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert json.loads(done.stdout) == {"HUB_TOKEN": VALUES["HUB_TOKEN"], "ARCHFRONT_CARRIED": "HUB_TOKEN,BYTES,EMPTY"}
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert again.returncode == 1
    assert again.stderr.startswith("archfront: the variables of --env cannot be opened")
    assert "Traceback" not in again.stderr


SAMPLER = """
import hashlib, os
from optuna.samplers import RandomSampler

class Mine(RandomSampler):
    def __init__(self, seed=None):
        super().__init__(seed)
        if "ARCHFRONT_JOB" in os.environ:  # and not at the gate of who submits
            with open(os.path.expanduser("~/seen"), "w") as file:
                file.write(hashlib.sha256(os.environ["HUB_TOKEN"].encode()).hexdigest())
    def sample_relative(self, study, trial, space):
        if "ARCHFRONT_JOB" in os.environ and len(study.trials) > 3:
            raise RuntimeError("a library said " + os.environ["HUB_TOKEN"])
        return super().sample_relative(study, trial, space)
"""


@pytest.mark.more
@pytest.mark.slow
def test_a_value_is_in_nothing_that_a_cluster_keeps_or_shows(head: Head, tmp_path: Path) -> None:
    """Not where the job's own work fails of it, either: a sampler that raises with the value in its words."""
    value = token_hex(24)
    study = write_study(tmp_path / "studies", search={"trials": 6, "sampler": "mine:Mine"})
    (tmp_path / "mine.py").write_text(SAMPLER)
    command = [sys.executable, "-m", "archfront", "job", "submit", "run", str(study), "--env", "HUB_TOKEN", "--address", head.address]
    environment = {**head.environment, "PYTHONPATH": str(ROOT)}
    unset = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert unset.returncode == 2
    [refusal] = [line for line in unset.stderr.splitlines() if "--env" in line]
    assert "found a text of 9 characters that names none" in refusal
    assert "Traceback" not in unset.stderr
    submitted = subprocess.run(command, cwd=tmp_path, env={**environment, "HUB_TOKEN": value}, capture_output=True, text=True)
    assert submitted.returncode == 0, submitted.stderr
    job = submitted.stdout.strip()
    followed = head.call("logs", job, "--follow")
    assert "a library said ***" in followed.stdout, followed.stdout
    account = Path(head.environment["HOME"])
    assert (account / "seen").read_text() == hashlib.sha256(value.encode()).hexdigest(), "the job did not have it"
    pages = ("/api/jobs/", f"/api/jobs/{job}", "/api/v0/actors?detail=true", "/api/v0/workers?detail=true", "/nodes?view=summary")
    token = (account / "token").read_text()
    asked = [urllib.request.Request(f"{head.address}{page}", headers={"Authorization": f"Bearer {token}"}) for page in pages]
    shown = [urllib.request.urlopen(request).read() for request in asked]
    assert all(len(page) > 100 for page in shown)
    said = [submitted.stdout, submitted.stderr, followed.stdout, followed.stderr, head.call("status", job).stdout]
    forms = [value.encode(), base64.b64encode(value.encode())[:-4], value.encode().hex().encode()]
    assert [text for text in (*shown, *(text.encode() for text in said)) if any(form in text for form in forms)] == []
    files = [path for path in account.rglob("*") if path.is_file() and not path.is_symlink()]
    assert {"records.jsonl", "progress.json", "libraries.log", "sealed"} <= {path.name for path in files}
    assert [str(path) for path in files if any(form in path.read_bytes() for form in forms)] == []
    assert not (account / ".archfront" / "keys" / job).exists()
