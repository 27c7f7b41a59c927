"""The size of a text before it is trained on: counted where its blocks are there, near enough where they are not."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from tests.support.needs import rest_is_more
from trials.corpus import first_look
from trials.corpus.prepare import prepare_corpus
from trials.plans.text_size import text_size
from trials.study.corpus_spec import CorpusSpec

DRAW = np.random.default_rng(0)
WORDS = ["".join(chr(97 + letter) for letter in DRAW.integers(0, 20, DRAW.integers(2, 9))) for _ in range(2000)]
DOCUMENTS = [" ".join(WORDS[word] for word in DRAW.integers(0, 2000, DRAW.integers(20, 400))) for _ in range(1500)]
LINES = "".join(json.dumps({"id": number, "text": text}) + "\n" for number, text in enumerate(DOCUMENTS))
FILES: dict[str, Callable[[Path], object]] = {
    "a.txt": lambda file: file.write_text("\n".join(DOCUMENTS)),
    "a.jsonl": lambda file: file.write_text(LINES),
    "a.jsonl.gz": lambda file: file.write_bytes(gzip.compress(LINES.encode())),
    "a.parquet": lambda file: parquet.write_table(pyarrow.table({"text": DOCUMENTS}), file, row_group_size=200),
    "a.csv": lambda file: file.write_text("text\n" + "\n".join(DOCUMENTS)),
}


@pytest.mark.parametrize("name", rest_is_more(FILES, "a.txt", "a.parquet"))
def test_an_estimate_is_near_and_says_so_and_what_is_encoded_is_counted(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FILES[name](tmp_path / name)
    os.utime(tmp_path / name, (0, 0))
    monkeypatch.setattr("trials.corpus.splits.SETTLED_SECONDS", -60.0)  # the file is as good as old
    monkeypatch.setattr(first_look, "SMALL_BYTES", 0)
    spec = CorpusSpec(files=(str(tmp_path / name),))
    found = []
    for beginning in (first_look.BEGINNING_BYTES, 700_000):
        monkeypatch.setattr(first_look, "BEGINNING_BYTES", beginning)
        size = text_size(spec, 600, tmp_path / "cache")
        assert size is not None
        assert size.look is not None
        assert not size.is_exact
        assert size.look.is_whole is (beginning > 2_000_000)
        found.append(size.train_tokens)
    exact = len(prepare_corpus(spec, 600, tmp_path / "cache").train)
    assert found == [pytest.approx(exact, rel=0.1), pytest.approx(exact, rel=0.15)]
    size = text_size(spec, 600, tmp_path / "cache")
    assert size is not None
    assert (size.train_tokens, size.is_exact, size.look) == (exact, True, None)


def test_a_small_text_is_counted_at_once_and_a_dataset_only_once_it_was_fetched(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("\n".join(LINES.splitlines()[:200]))
    small = text_size(CorpusSpec(files=(str(tmp_path / "a.jsonl"),)), 300, tmp_path / "cache")
    assert small is not None
    assert small.is_exact
    assert text_size(CorpusSpec(dataset="nobody/has-it"), 300, tmp_path / "cache") is None
