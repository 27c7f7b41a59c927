"""The commands that documents show are commands, and those of the first pages do what they say as they are written."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from tests.conftest import Call
from trials.commands.verbs import VERBS, parser
from trials.study.load_study import load_study

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FIRST = (ROOT / "README.md", ROOT / "docs" / "commands.md")
RUN = {"init", "plan", "run", "describe", "sample", "report", "export", "latency"}
"""Verbs whose lines in these are run; the others take a quarter of an hour, or a cluster, or a table of somebody's."""


def shown(document: Path) -> list[list[str]]:
    """The words of every command that stands on a line of its own."""
    lines = re.findall(r"^ *archfront (.*)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return [shlex.split(line, comments=True) for line in lines if line.split()[0] in VERBS and "`" not in line]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_of_a_document_is_understood(document: Path) -> None:
    for words in shown(document):
        assert parser().parse_args(words).verb == words[0]


def test_the_sampler_of_the_page_for_extensions_is_one(tmp_path: Path, archfront: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "howto" / "extend.md").read_text(encoding="utf-8")
    code, line = (dedent(re.search(rf"( *)```{kind}\n(.*?)```", page, re.DOTALL)[2]) for kind in ("python", "yaml"))  # type: ignore[index]
    monkeypatch.chdir(tmp_path)
    Path("my_sampler.py").write_text(code, encoding="utf-8")
    quick = (ROOT / "studies" / "quickstart.yaml").read_text(encoding="utf-8")
    Path("study.yaml").write_text(re.sub(r"^search:\n(  .*\n)+", line, quick, flags=re.MULTILINE), encoding="utf-8")
    assert load_study(Path("study.yaml")).search.sampler == "my_sampler:AroundTheBest"
    assert (planned := archfront("plan", "study.yaml")).returncode == 0, planned.stderr


@pytest.mark.slow
@pytest.mark.more
def test_the_commands_of_the_first_pages_run_in_their_order_as_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "studies").symlink_to(ROOT / "studies")
    own = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}  # else it finds the trainings of the last time
    every = dict.fromkeys(tuple(words) for page in FIRST for words in shown(page) if words[0] in RUN and "--device" not in words)
    commands = list(every)
    assert {words[0] for words in commands} == RUN
    for words in commands:
        command = [str(Path(sys.executable).with_name("archfront")), *words]
        done = subprocess.run(command, cwd=tmp_path, env=own, capture_output=True, text=True, timeout=1_200)
        assert done.returncode == 0, (words, done.stderr)
        assert done.stdout or words[0] == "export", words
    front = (tmp_path / "runs" / "quickstart" / "report.html").read_text(encoding="utf-8")
    assert "deep-thin" in front
    assert "wide-shallow" in front
    [exported] = tmp_path.glob("runs/quickstart/exports/**/model.safetensors")
    assert (exported.parent / "config.json").is_file()
    assert (exported.parent / "tokenizer.json").is_file()
