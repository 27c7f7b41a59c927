"""The tokenizer in a GGUF file: the same ids, the splitting that llama.cpp has, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Regex, Tokenizer
from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence, Split

from search_space.errors import SpecError, WorkError
from tests.support.sample_gguf import CONTEXT, SHAPE, exported, padded_tokenizer, weights_of
from trials.catalogue.formats import GGUF
from trials.corpus.tokenizer import train_tokenizer
from trials.export.check import STRINGS, strings_of_many_scripts
from trials.export.verification import verify
from trials.formats.model import Model
from trials.network.weights import load_weights

pytest.importorskip("gguf", reason="gguf is not installed; pip install 'archfront[gguf]'")

from trials.formats.gguf_file import write_gguf
from trials.formats.gguf_tokenizer import LLAMA_3, QWEN_2, splitter_name
from trials.models.gguf_reading import read_gguf, tokenizer_of


@pytest.fixture(scope="module")
def tokenizer_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return padded_tokenizer(tmp_path_factory.mktemp("tokenizer"))


def test_another_tokenizer_fails(tmp_path: Path, tokenizer_file: Path) -> None:
    exported(SHAPE, tmp_path, tokenizer_file, "float16")
    train_tokenizer(["something else: quick brown foxes jump over lazy dogs " * 20] * 20, 300, tmp_path / "other.json")
    with pytest.raises(WorkError, match=r"token ids are equal for \d+ of 300 strings"):
        verify(["gguf"], tmp_path, SHAPE, tmp_path / "weights.safetensors", tmp_path / "other.json")


def _with_steps(file: Path, steps: Any, **model: Any) -> Path:
    """The tokenizer with other steps before the merges."""
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.pre_tokenizer = steps
    definition = json.loads(tokenizer.to_str())
    definition["model"] |= model
    made = file.with_name("steps.json")
    made.write_text(json.dumps(definition))
    return made


GIVEN = {
    "smollm": (Sequence([Digits(individual_digits=True), ByteLevel(add_prefix_space=False)]), {}),
    "llama-bpe": (
        Sequence([Split(Regex(LLAMA_3), "isolated"), ByteLevel(add_prefix_space=False, use_regex=False)]),
        {"ignore_merges": True},
    ),
    "qwen2": (Sequence([Split(Regex(QWEN_2), "isolated"), ByteLevel(add_prefix_space=False, use_regex=False)]), {}),
}


@pytest.mark.parametrize("name", GIVEN)
def test_a_given_tokenizer_keeps_its_splitting(name: str, tmp_path: Path, tokenizer_file: Path) -> None:
    steps, model = GIVEN[name]
    given = _with_steps(tokenizer_file, steps, **model)
    (check,) = exported(SHAPE, tmp_path, given, "float16")
    assert check.strings_equal == STRINGS
    file = read_gguf(tmp_path / GGUF)
    assert file.fields["tokenizer.ggml.pre"] == name
    own, again = Tokenizer.from_file(str(given)), tokenizer_of(file)
    assert all(own.encode(text).ids == again.encode(text).ids for text in strings_of_many_scripts())


def test_a_splitting_that_llama_cpp_does_not_have_is_refused(tmp_path: Path, tokenizer_file: Path) -> None:
    steps = Sequence([Split(Regex(r"\w+|\s+"), "isolated"), ByteLevel(add_prefix_space=False, use_regex=False)])
    odd = _with_steps(tokenizer_file, steps)
    with pytest.raises(SpecError, match=r"must split text as GPT-2, SmolLM, Llama 3 or Qwen 2 do in a GGUF file.*found another expression"):
        write_gguf(tmp_path / GGUF, Model(SHAPE, load_weights(weights_of(SHAPE, tmp_path)), "float16", CONTEXT, odd))
    assert not (tmp_path / GGUF).exists()
    with pytest.raises(SpecError, match="found ignore_merges True beside the expression of gpt-2"):
        splitter_name(odd, {"model": {"ignore_merges": True}, "pre_tokenizer": {"type": "ByteLevel"}})
    with pytest.raises(SpecError, match=r"found a normalizer \(NFC\)"):
        splitter_name(odd, {"model": {}, "pre_tokenizer": {"type": "ByteLevel"}, "normalizer": {"type": "NFC"}})
