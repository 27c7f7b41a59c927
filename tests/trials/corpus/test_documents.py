"""Every format of a corpus file: one reader a suffix."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from search_space.errors import SpecError
from trials.corpus.documents import READERS, find_documents
from trials.study.corpus_spec import CorpusSpec

TEXTS = ["one line\n", "zwölf\nBoxkämpfer\n", "いろは\n"]
WRITERS: dict[str, Callable[[Path], object]] = {
    ".txt": lambda file: file.write_text("".join(TEXTS), encoding="utf-8"),
    ".jsonl": lambda file: file.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS), encoding="utf-8"),
    ".parquet": lambda file: parquet.write_table(pyarrow.table({"text": TEXTS}), file),
}
"""How a person's program writes these documents into a file with this suffix."""


@pytest.mark.parametrize("suffix", READERS)
def test_a_format_gives_the_documents_that_were_written(suffix: str, tmp_path: Path) -> None:
    assert suffix in WRITERS, f"write here how documents come into a {suffix} file, so that its reader is tested"
    file = tmp_path / f"texts{suffix}"
    WRITERS[suffix](file)
    found = list(find_documents(CorpusSpec(files=(str(file),))).pieces())
    assert found == (["".join(TEXTS)] if suffix == ".txt" else TEXTS)


@pytest.mark.parametrize("suffix", READERS)
def test_a_file_that_is_not_what_its_suffix_says_is_one_sentence(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"texts{suffix}"
    file.write_bytes(b"\xff\xfe not text")
    with pytest.raises(SpecError, match=rf"^corpus file .*texts\{suffix}.* must be .*found.*; "):
        list(find_documents(CorpusSpec(files=(str(file),))).pieces())


def test_another_suffix_is_refused_with_those_that_are_read(tmp_path: Path) -> None:
    (tmp_path / "texts.doc").write_text("text")
    with pytest.raises(SpecError, match="must end in") as refused:
        find_documents(CorpusSpec(files=(str(tmp_path / "texts.doc"),)))
    assert all(suffix in str(refused.value) for suffix in READERS)
