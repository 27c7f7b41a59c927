"""What a plan says of a study's text, and what a run says once it has read it."""

from __future__ import annotations

from pathlib import Path

import pytest

import archfront
from tests.support.bad_studies import TEXT, changed
from trials.plans.check_study import check
from trials.plans.text_use import text_use, use_of_blocks
from trials.study.corpus_spec import CorpusSpec
from trials.study.load_study import load_study


@pytest.mark.parametrize(("tokens", "is_much"), [(10_000, False), (2_000_000, True)])
def test_passes_are_told_before_anything_is_trained(tokens: int, is_much: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = '\n{"text": null}\n{"text": " "}\n'
    lines = "".join(f'{{"text": "{line} {number}"}}\n' for number, line in enumerate(TEXT.splitlines()))
    study = changed("", {"a.jsonl": lines + rows}, corpus={"files": ["a.jsonl"]}, space__vocab_size=280, proxy__tokens=tokens)
    path = study.write(tmp_path)
    assert archfront.main(["plan", str(path)]) == 0
    said = capsys.readouterr().out
    assert "training tokens (counted); a training makes " in said
    assert ("warning     trainings make up to " in said) is is_much
    assert "notice      2 of 802 documents of the corpus have no text (null, empty or white space) and are left out" in said


def test_a_run_counts_as_a_plan_does(tmp_path: Path) -> None:
    path = changed("", {"text.txt": TEXT}, corpus={"files": ["text.txt"]}, space__vocab_size=280).write(tmp_path)
    study = load_study(path)
    planned = text_use(CorpusSpec(files=(str(tmp_path / "text.txt"),)), [280], [study.proxy.tokens or 0])
    assert planned is not None
    assert use_of_blocks(study, check(study), [planned.train_tokens]) == planned
    assert use_of_blocks(study, check(study), []) is None
