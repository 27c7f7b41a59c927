"""A directory that transformers loads: config.json, model.safetensors and the tokenizer's files, written without transformers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from torch import Tensor

from search_space.architecture import Architecture
from search_space.errors import SpecError
from trials.export.hugging_face_config import hugging_face_config
from trials.text.tokenizer import END_OF_TEXT
from trials.weights import unroll, write_safetensors


def export_hugging_face(
    directory: Path,
    architecture: Architecture,
    weights: Mapping[str, Tensor],
    tokenizer_file: Path,
    context_tokens: int,
) -> None:
    """Write what `AutoModelForCausalLM` and `AutoTokenizer` load with the same logits and ids.

    `weights` are the stored ones (`trials.weights.load_weights`); a block that runs several times is written once for each.
    `context_tokens` is the length that the network was trained at. Raises SpecError, before anything is written, where no class of
    transformers fits the shape, or weights or tokenizer are not its own.
    """
    end_of_text = _end_of_text(tokenizer_file, architecture.vocab_size)
    config = hugging_face_config(architecture, context_tokens, end_of_text)
    tensors = _without_shared_memory(unroll(architecture, weights))
    dtype = str(tensors["model.embed_tokens.weight"].dtype).removeprefix("torch.")
    directory.mkdir(parents=True, exist_ok=True)
    write_safetensors(directory / "model.safetensors", tensors)
    _write_json(directory / "config.json", config | {"dtype": dtype})
    _write_json(directory / "generation_config.json", {f"{role}_token_id": end_of_text for role in ("bos", "eos", "pad")})
    shutil.copyfile(tokenizer_file, directory / "tokenizer.json")
    special = {f"{role}_token": END_OF_TEXT for role in ("bos", "eos", "pad")}
    tokenizer = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": context_tokens, "clean_up_tokenization_spaces": False}
    _write_json(directory / "tokenizer_config.json", tokenizer | special)
    _write_json(directory / "special_tokens_map.json", special)


def _end_of_text(tokenizer_file: Path, vocab_size: int) -> int:
    """The id of the end of text in a tokenizer.json, which must have exactly so many tokens."""
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    tokens, end_of_text = tokenizer.get_vocab_size(), tokenizer.token_to_id(END_OF_TEXT)
    if tokens != vocab_size or end_of_text is None:
        raise SpecError(
            f"{tokenizer_file} must have {vocab_size} tokens, one of them {END_OF_TEXT}, found {tokens}; "
            "take the tokenizer that the network was trained with"
        )
    return end_of_text


def _without_shared_memory(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A copy of each tensor that occurs again: safetensors stores no tensor twice under two names."""
    seen: set[int] = set()
    alone = {}
    for name, tensor in tensors.items():
        alone[name] = tensor.clone() if tensor.data_ptr() in seen else tensor.contiguous()
        seen.add(tensor.data_ptr())
    return alone


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
