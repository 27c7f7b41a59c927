"""docs/winners.md, from a winner to a model that answers: the commands of two sections as written, at a tiny scale."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from analysis.records.record import RECORDS, append, read_records
from search_space.cost import parameters
from tests.conftest import Call
from tests.support.fakes import latency
from trials.trial.shape_file import read_shape

ROOT = Path(__file__).resolve().parents[3]
SECTIONS = ("## A winner at the size that ships", "## Trained for real")
SMALLER = {
    "125M": "30k",
    "10M": "24k",
    "32000": "270",
    "4096": "270",
    "64": "8",
    "20": "10000",
    "4M": "3840",
    "2M": "640",
    "ship": "runs/quickstart/exports/{number}-30k",
    "texts/*.jsonl": "text.txt",
    "python-stdlib": "text.txt",
    "runs/quickstart-0007-train/model": "runs/tiny-{number}-train/model",
    "piqa": "piqa",
}
"""What stands on the page, and what takes its place here."""


def commands() -> list[list[str]]:
    """The command lines of the sections, in their order."""
    page, found = (ROOT / "docs" / "winners.md").read_text(encoding="utf-8"), []
    for section in SECTIONS:
        part = page.split(f"{section}\n")[1].split("\n## ")[0]
        for block in re.findall(r"```bash\n(.*?)```", part, re.DOTALL):
            found += [shlex.split(line, comments=True) for line in block.splitlines()]
    return found


@pytest.mark.more
@pytest.mark.slow
def test_the_commands_of_the_page_are_walked(archfront: Call, trained: tuple[Path, Path], tmp_path: Path) -> None:
    _, directory = trained
    (tmp_path / "runs").mkdir()
    quickstart = tmp_path / "runs" / "quickstart"
    shutil.move(directory, quickstart)
    records = read_records(quickstart)
    (quickstart / RECORDS).unlink()
    for record in records:  # nobody timed them, and a front has times
        append(quickstart, replace(record, latency=latency(record.architecture)))
    (tmp_path / "tasks").mkdir()
    asked = {"goal": "archfront", "sol1": "finds shapes", "sol2": "xyz", "label": 0}
    (tmp_path / "tasks" / "piqa.jsonl").write_text(json.dumps(asked) + "\n")
    number, seen = "", []
    for words in commands():
        assert words[0] == "archfront"
        here = [SMALLER.get(word, word).replace("{number}", number) for word in words[1:]]
        if here[0] == "train" and "--recipe" in here:
            assert "--plan" in here
        done = archfront(*here)
        assert done.returncode == 0, (here, done.stderr)
        seen.append(here[0])
        if here[0] == "export" and not number:
            (written,) = (quickstart / "exports").iterdir()
            number = written.name.partition("-")[0]
            assert abs(parameters(read_shape(written / "architecture.yaml")[0]) - 30_000) <= 300
    assert seen == ["export", "export", "train", "train", "train", "evaluate"]
    assert "piqa" in done.stdout
