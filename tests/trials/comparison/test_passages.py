"""Text as models of a comparison read it: nothing lost, nothing read twice, documents and bytes those of the study's windows."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from search_space.errors import SpecError
from tests.support.sample_gguf import SHAPE, padded_tokenizer, weights_of
from tests.support.weighed_study import weighed_study
from trials.comparison.passages import PASSAGE_LETTERS, passages_of_files, passages_of_study, score_passages, score_study, units_of
from trials.models.loaded_model import LoadedModel
from trials.models.trained_model import load_trained
from trials.study.directory import tokenizer_file, weights_file

TEXTS = ("word " * 1000, "x" * 2500, "日本語のテキスト" * 300, "a\n\nb\n", " \n" * 900 + "end")


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_read_whole_in_pieces_of_bounded_length(text: str, tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text(json.dumps({"text": text}))
    found = passages_of_files([tmp_path / "t.jsonl"], 1 << 20)
    assert "".join(each.text for each in found) == text
    assert max(len(each.text) for each in found) <= PASSAGE_LETTERS
    assert sum(each.size_bytes for each in found) == len(text.encode())
    assert all(each.text.endswith((" ", "\n")) for each in found[:-1]) or not any(mark in text for mark in " \n")


def test_so_many_bytes_are_read_and_no_text_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("word " * 10_000)
    assert 5_000 <= sum(each.size_bytes for each in passages_of_files([tmp_path / "t.txt"], 5_000)) < 6_000 + PASSAGE_LETTERS
    (tmp_path / "none.txt").write_text(" \n")
    with pytest.raises(SpecError, match=r"--text must hold text, found none in .*none.txt; name another file"):
        passages_of_files([tmp_path / "none.txt"], 5_000)


@pytest.mark.parametrize("context", [16, 32, 61])
def test_a_study_s_windows_as_text_have_their_documents_and_bytes(context: int, tmp_path: Path) -> None:
    shape = replace(SHAPE, vocab_size=300)
    blocks = weighed_study(tmp_path, [shape], context)
    own = load_trained("own", shape, weights_file(tmp_path, 0), tokenizer_file(tmp_path, 300), context)
    windows = (blocks, "validation", 2048, context)
    found = passages_of_study(own, *windows)
    ours, units = score_study(own, *windows), np.unique(units_of(*windows))
    theirs = score_passages(other(tmp_path / "other"), found, units)
    assert theirs.sizes.tolist() == ours.sizes.tolist()
    assert sum(each.size_bytes for each in found) == sum(len(each.text.encode()) for each in found), "this text is cut at letters"
    assert theirs.bits_per_byte.value > 0
    assert theirs.less(ours).value == pytest.approx(theirs.bits_per_byte.value - ours.bits_per_byte.value)
    again = score_passages(own, found, units)
    assert again.bits_per_byte.value == pytest.approx(ours.bits_per_byte.value, rel=0.2), (
        "it lacks a token of context, and ends of documents"
    )


def other(folder: Path) -> LoadedModel:
    folder.mkdir()
    tokenizer = padded_tokenizer(folder)
    return load_trained("other", SHAPE, weights_of(SHAPE, folder), tokenizer, 64)


def test_a_model_of_short_context_reads_a_passage_in_parts(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("def front(points):\n    return [p for p in points]\n" * 30)
    passages = passages_of_files([tmp_path / "t.txt"], 1 << 20)
    units = np.unique([each.unit for each in passages])
    long = other(tmp_path / "other")
    short = replace(long, context_tokens=20)
    found = score_passages(short, passages, units)
    assert found.sizes.tolist() == score_passages(long, passages, units).sizes.tolist()
    assert found.bits_per_byte.value != score_passages(long, passages, units).bits_per_byte.value
