"""The tutorial, as it is written: its commands are few and understood, and lead from a person's text to a sentence."""

from __future__ import annotations

import os
import re
import subprocess
import sysconfig
from pathlib import Path

import pytest

from tests.conftest import Call
from tests.test_documents import shown
from trials.study.load_study import load_study

ROOT = Path(__file__).resolve().parent.parent
TUTORIAL = ROOT / "docs" / "tutorial.md"
COMMANDS = re.findall(r"^```sh\n(.*?)```$", TUTORIAL.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def write_texts(folder: Path) -> None:
    """A person's text: the beginnings of the standard library's files, two megabytes."""
    folder.mkdir()
    written = 0
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        text = path.read_bytes().decode("utf-8", errors="ignore")[:40_000]
        (folder / f"{path.stem}.txt").write_text(text, encoding="utf-8")
        written += len(text)
        if written > 2_000_000:
            return


def test_the_tutorial_has_six_commands_and_each_is_understood() -> None:
    assert len(COMMANDS) <= 6
    assert all(command.count("\n") == 1 for command in COMMANDS)
    assert [words[0] for words in shown(TUTORIAL)] == ["init", "plan", "run", "export"]
    made = subprocess.run(["make", "--dry-run", "install"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert "installed" in made.stdout or "Nothing to be done" in made.stdout


def test_its_study_is_written_and_planned_as_it_says(tmp_path: Path, archfront: Call) -> None:
    write_texts(tmp_path / "texts")
    first, second = shown(TUTORIAL)[:2]
    assert (begun := archfront(*first)).returncode == 0, begun.stderr
    assert load_study(tmp_path / "mine.yaml").budget == {"parameters": 50_000}
    assert (planned := archfront(*second)).returncode == 0, planned.stderr
    assert all(f"\n{name} " in planned.stdout for name in ("space", "text", "time"))


@pytest.mark.slow
@pytest.mark.more
def test_its_commands_lead_from_a_text_to_a_sentence_as_they_are_written(tmp_path: Path) -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    write_texts(tmp_path / "texts")
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    own = {**clean, "XDG_CACHE_HOME": str(tmp_path / "cache")}  # else it finds the trainings of the last time
    done = subprocess.run(["bash", "-e", "-c", "".join(COMMANDS)], cwd=tmp_path, env=own, capture_output=True, text=True, timeout=3_600)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs" / "mine" / "report.html").is_file()
    assert (tmp_path / "my-model" / "model.safetensors").is_file()
    sentence = done.stdout.splitlines()[-1]
    assert "The " in done.stdout
    assert sentence
