"""What a given tokenizer does unasked is taken off wherever it is read, said once, and texts that do not come back are named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.given_tokenizers import UNASKED_KINDS, given_file, trained_definition
from trials.corpus.plain_tokenizer import TEXTS_BY_KIND, changed_texts, unasked, without_unasked
from trials.corpus.tokenizer import load_encoder
from trials.plans.notices import study_notices
from trials.study.load_study import load_study

TEXT = "def front(points): return [p for p in points]\n" * 8


@pytest.fixture(scope="module")
def definition(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A tokenizer.json that does nothing unasked."""
    return trained_definition(tmp_path_factory.mktemp("tokenizer"))


@pytest.mark.parametrize("kind", UNASKED_KINDS)
def test_what_is_unasked_changes_no_id_of_a_training_and_is_named(kind: str, definition: dict[str, Any], tmp_path: Path) -> None:
    changes, named = UNASKED_KINDS[kind]
    file, without = given_file(definition, tmp_path / "a", **changes), given_file(definition, tmp_path / "b")
    assert unasked(file) == named
    assert load_encoder(file).encode([TEXT]).tolist() == load_encoder(without).encode([TEXT]).tolist()
    cleaned, _ = without_unasked(json.loads(file.read_text()))
    assert unasked(given_file(cleaned, tmp_path / "c")) == []
    assert cleaned["model"] == definition["model"]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({}, []),
        ({"normalizer": {"type": "NFC"}}, ["accents that stand alone", "characters of compatibility"]),
        ({"decoder": None}, list(TEXTS_BY_KIND)),
    ],
)
def test_texts_that_do_not_come_back_are_named(
    changes: dict[str, Any], named: list[str], definition: dict[str, Any], tmp_path: Path
) -> None:
    assert list(changed_texts(given_file(definition, tmp_path, **changes))) == named


def test_notices_name_the_file_once(definition: dict[str, Any], tmp_path: Path) -> None:
    given_file(definition, tmp_path, **UNASKED_KINDS["truncation and padding"][0], normalizer={"type": "NFC"})
    (tmp_path / "text.txt").write_text(TEXT)
    study = tmp_path / "study.yaml"
    study.write_text(
        "name: given\ncorpus: {files: text.txt, tokenizer: ./tokenizer.json}\nbudget: {parameters: 50_000}\n"
        "space: {vocab_size: 300, head_dim: 16}\nproxy: {tokens: 1000}\nsearch: {trials: 2}\n"
    )
    taken, changed = (said for said in study_notices(load_study(study)) if said.startswith("tokenizer"))
    assert taken == (
        f"tokenizer {tmp_path.name}/tokenizer.json: truncation and padding are taken off, in training and in exports: "
        "text is encoded whole, with nothing around it"
    )
    assert "texts with accents that stand alone and characters of compatibility do not come back from their ids" in changed
