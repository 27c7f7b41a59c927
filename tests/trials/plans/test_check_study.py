"""The gate: what `run` would refuse is refused by `plan` and `job submit` in the same words, before anything heavy is imported."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import archfront
from search_space.errors import LONGEST_QUOTE
from tests.support.bad_studies import BAD, TEXT, changed
from trials.plans.check_study import check
from trials.study.load_study import load_study

ROOT = Path(__file__).resolve().parents[3]
HEAVY = ("torch", "ray", "lightning", "mlflow", "plotly", "transformers", "datasets", "scipy")


@pytest.mark.parametrize("kind", BAD)
def test_what_cannot_be_run_is_refused_by_every_verb_in_the_same_words(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, path = BAD[kind], tmp_path / "study.yaml"
    bad.write(tmp_path)
    ways = {
        "plan": [],
        "run": ["--directory", str(tmp_path / "run")],
        "job submit run": ["--address", "http://127.0.0.1:1"],
        "lr-check": ["--directory", str(tmp_path / "run")],
        "validate": ["--directory", str(tmp_path / "run")],
    }
    said = {}
    for verb, options in ways.items():
        assert archfront.main([*verb.split(), str(path), *options]) == 2, verb
        printed = capsys.readouterr()
        assert printed.out == ""
        said[verb] = printed.err
    assert bad.said in said["run"]
    assert set(said.values()) == {said["run"]}
    assert len(said["run"].splitlines()[0]) < 500 + 4 * LONGEST_QUOTE + len(str(tmp_path))
    assert not (tmp_path / "run").exists()


def test_a_study_of_a_small_text_passes(tmp_path: Path) -> None:
    good = changed("", {"text.txt": TEXT}, corpus={"files": ["text.txt"]}, space__vocab_size=280)
    first = check(load_study(good.write(tmp_path)))
    assert [name for name, _ in first.references] == ["deep-thin", "wide-shallow"]


@cache
def processor_seconds(code: str) -> tuple[str, float]:
    """What a Python of its own says, and the least processor time of three: others may be at work on this machine."""
    spent = []
    for _ in range(3):
        before = os.times()
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        after = os.times()
        spent.append(after.children_user + after.children_system - before.children_user - before.children_system)
    return done.stdout.strip(), min(spent)


@pytest.mark.parametrize(
    ("verb", "kind"),
    [
        ("plan", "a row of a number"),
        pytest.param("plan", "limits that no shape keeps", marks=pytest.mark.more),
        ("run", "a budget that no shape spends"),
        pytest.param("job submit run", "an unknown key", marks=pytest.mark.more),
    ],
)
def test_a_refusal_imports_nothing_heavy(verb: str, kind: str, tmp_path: Path) -> None:
    path = BAD[kind].write(tmp_path)
    options = ["--address", "http://127.0.0.1:1"] if verb == "job submit run" else []
    code = f"""import sys, archfront
assert archfront.main({[*verb.split(), str(path), *options]!r}) == 2
print([name for name in {HEAVY} if name in sys.modules])"""
    said, spent = processor_seconds(code)
    assert said == "[]"
    assert spent < 0.8 * processor_seconds("import torch")[1]
