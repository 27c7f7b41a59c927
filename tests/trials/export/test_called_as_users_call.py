"""An export is verified by the calls that users make, with their defaults, whatever the given tokenizer does unasked."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig, AutoTokenizer

from search_space.architecture import Architecture
from search_space.errors import WorkError
from tests.support.given_tokenizers import UNASKED_KINDS, VOCABULARY, given_file, trained_definition
from tests.support.sample_network import spread_out
from trials.corpus.tokenizer import load_exported
from trials.export.verification import verify
from trials.export.write import write_formats
from trials.models.gguf_reading import read_gguf
from trials.network.weights import save_weights

SHAPE = Architecture(
    vocab_size=VOCABULARY, hidden_size=48, num_unique_layers=1, num_attention_heads=4, num_key_value_heads=2, head_dim=12,
    intermediate_size=80,
)  # fmt: skip
CONTEXT = 64
LONG = "def front(points): return [p for p in points]\n" * 8


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Weights of a trial, and a tokenizer.json that does nothing unasked."""
    folder = tmp_path_factory.mktemp("trial")
    save_weights(folder / "weights.safetensors", spread_out(SHAPE))
    return folder / "weights.safetensors", trained_definition(folder)


@pytest.mark.parametrize("kind", UNASKED_KINDS)
def test_a_users_call_gives_the_ids_of_the_training(kind: str, trial: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    weights, definition = trial
    tokenizer = given_file(definition, tmp_path / "given", **UNASKED_KINDS[kind][0])
    write_formats(("hf", "gguf"), tmp_path, SHAPE, weights, tokenizer, CONTEXT)
    checks = verify(("hf", "gguf"), tmp_path, SHAPE, weights, tokenizer)
    assert [check.passed for check in checks] == [True, True]
    ours = load_exported(tokenizer).encode(LONG, add_special_tokens=False).ids
    assert AutoTokenizer.from_pretrained(tmp_path)(LONG)["input_ids"] == ours


@pytest.mark.parametrize(
    "kind", [kind for kind, (changes, _) in UNASKED_KINDS.items() if "post_processor" in changes and kind != "offsets"]
)
def test_an_export_that_puts_tokens_around_a_prompt_fails(kind: str, trial: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    weights, definition = trial
    tokenizer = given_file(definition, tmp_path / "given")
    write_formats(("hf",), tmp_path, SHAPE, weights, tokenizer, CONTEXT)
    given_file(definition, tmp_path, **UNASKED_KINDS[kind][0])
    with pytest.raises(WorkError, match="token ids are equal for 0 of 300 strings"):
        verify(("hf",), tmp_path, SHAPE, weights, tokenizer)


def test_an_export_whose_generation_does_not_follow_its_logits_fails(trial: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    weights, definition = trial
    tokenizer = given_file(definition, tmp_path / "given")
    write_formats(("hf",), tmp_path, SHAPE, weights, tokenizer, CONTEXT)
    settings = json.loads((tmp_path / "generation_config.json").read_text())
    (tmp_path / "generation_config.json").write_text(json.dumps(settings | {"suppress_tokens": [*range(1, VOCABULARY - 1)]}))
    with pytest.raises(WorkError, match="`generate` gives other tokens than the logits say"):
        verify(("hf",), tmp_path, SHAPE, weights, tokenizer)


@pytest.mark.parametrize("end", ["bos", "eos"])
def test_a_gguf_file_that_has_tokens_put_around_a_prompt_fails(
    end: str, trial: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights, definition = trial
    tokenizer = given_file(definition, tmp_path / "given")
    write_formats(("gguf",), tmp_path, SHAPE, weights, tokenizer, CONTEXT)
    found = read_gguf(tmp_path / "model.gguf")
    assert found.fields["tokenizer.ggml.add_bos_token"] is found.fields["tokenizer.ggml.add_eos_token"] is False
    told = {**found.fields, f"tokenizer.ggml.add_{end}_token": True}
    monkeypatch.setattr("trials.export.gguf_check.read_gguf", lambda path: replace(found, fields=told))
    with pytest.raises(WorkError, match=r"it has llama.cpp put tokens around a text"):
        verify(("gguf",), tmp_path, SHAPE, weights, tokenizer)


def test_a_stated_context_holds_what_evaluations_ask_for_and_what_was_trained_is_told(
    trial: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    weights, definition = trial
    tokenizer = given_file(definition, tmp_path / "given")
    for context in (CONTEXT, 4096):
        write_formats(("hf",), tmp_path, SHAPE, weights, tokenizer, context)
        assert AutoConfig.from_pretrained(tmp_path).max_position_embeddings == max(context, 2048)
        assert AutoTokenizer.from_pretrained(tmp_path).model_max_length == context
