"""A directory that transformers loads: config.json, model.safetensors and the tokenizer's files, written without transformers."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from analysis.records.json_writer import json_of
from search_space.architecture import Architecture
from search_space.errors import SpecError
from trials.catalogue.hugging_face_config import BLOCK_WEIGHT, OWN_MODULE, hugging_face_config, shared_config, stored_place
from trials.corpus.given_tokenizer import Given, read_definition, read_tokenizer
from trials.corpus.plain_tokenizer import without_unasked
from trials.formats.model import Model
from trials.network.weights import unroll, write_safetensors


def write_hugging_face(directory: Path, model: Model) -> None:
    """Write what `AutoModelForCausalLM` and `AutoTokenizer` load with the same logits and ids; the weights keep the type that they have.

    A block that runs several times is written once for each, or once alone where sharing is kept, with the module that runs it so. The
    model must have a tokenizer and the length that it was trained at.
    Raises SpecError, before anything is written, where no class of transformers fits the shape, or weights or tokenizer are not its own.
    """
    architecture, tokenizer_file, context_tokens = model.architecture, model.tokenizer_file, model.context_tokens
    assert tokenizer_file is not None
    assert context_tokens is not None
    given = _tokenizer_of(tokenizer_file, architecture.vocab_size)
    as_config = shared_config if model.keeps_sharing else hugging_face_config
    begin, ends = (given.end_of_text, (given.end_of_text,)) if model.chat is None else (model.chat.begin, model.chat.ends)
    config = as_config(architecture, context_tokens, given.end_of_text) | {"bos_token_id": begin, "eos_token_id": ends[0]}
    unrolled = unroll(architecture, model.weights)
    tensors = stored_once(architecture, model.weights) if model.keeps_sharing else _without_shared_memory(unrolled)
    dtype = str(tensors["model.embed_tokens.weight"].dtype).removeprefix("torch.")
    directory.mkdir(parents=True, exist_ok=True)
    if model.keeps_sharing:
        shutil.copyfile(Path(__file__).with_name("shared_decoder.py"), directory / f"{OWN_MODULE}.py")
    write_safetensors(directory / "model.safetensors", tensors)
    _write_json(directory / "config.json", config | {"dtype": dtype})
    several = ends[0] if len(ends) == 1 else [*ends]
    _write_json(directory / "generation_config.json", {"bos_token_id": begin, "eos_token_id": several, "pad_token_id": ends[0]})
    definition, taken = without_unasked(read_definition(tokenizer_file)[1])
    if taken:
        _write_json(directory / "tokenizer.json", definition)
    else:
        shutil.copyfile(tokenizer_file, directory / "tokenizer.json")
    names = given.end_name, given.end_name
    if model.chat is not None:
        added = {token["id"]: token["content"] for token in definition["added_tokens"]}
        names = added.get(begin, given.end_name), added.get(ends[0], given.end_name)
    special = {"bos_token": names[0], "eos_token": names[1], "pad_token": names[1]}
    tokenizer = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": context_tokens, "clean_up_tokenization_spaces": False}
    chat = {} if model.chat is None else {"chat_template": model.chat.template}
    _write_json(directory / "tokenizer_config.json", tokenizer | special | chat)
    _write_json(directory / "special_tokens_map.json", special)


def stored_once(architecture: Architecture, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The stored weights by the places at which they are stored, as `shared_decoder` has them, in place of those where they first run."""
    found = {}
    for name, tensor in weights.items():
        block = BLOCK_WEIGHT.fullmatch(name)
        found[name if block is None else f"model.layers.{stored_place(architecture, *block.groups())}.{block['part']}"] = (
            tensor.contiguous()
        )
    return found


def _tokenizer_of(file: Path, vocab_size: int) -> Given:
    """The tokenizer of a vocabulary, which may be padded beyond its tokens."""
    given = read_tokenizer(file)
    if not given.fits(vocab_size):
        raise SpecError(f"{file} must have {vocab_size} tokens or a few less, found {given.size}; take the network's own tokenizer")
    return given


def _without_shared_memory(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A copy of each tensor that occurs again: safetensors stores no tensor twice under two names."""
    seen: set[int] = set()
    alone = {}
    for name, tensor in tensors.items():
        alone[name] = tensor.clone() if tensor.data_ptr() in seen else tensor.contiguous()
        seen.add(tensor.data_ptr())
    return alone


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    path.write_text(json_of(values, indent=2) + "\n", encoding="utf-8")
