"""A GGUF file of anybody's as our network: its shape by its keys, its weights in float32 whatever they were rounded to.

Read are llama.cpp's architectures whose arithmetic our blocks have. Whatever a file has beside them, a key or a tensor, is refused by
its name: it would be left out of the logits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy
import torch
from tokenizers import Tokenizer

from search_space.architecture import Architecture
from search_space.errors import SpecError, quoted, said_by, shortened
from trials.catalogue.gguf_layout import gguf_name
from trials.models.gguf_reading import SPLITTERS, GgufFile, network_from_gguf, read_gguf, tokenizer_of
from trials.models.loaded_model import LoadedModel
from trials.network.decoder import Network
from trials.network.weights import unlike_weight

ARCHITECTURES = ("llama", "qwen2", "qwen3", "mimo2")
"""What llama.cpp calls the functions that our blocks compute."""
READ_KEYS = (
    "context_length", "embedding_length", "block_count", "feed_forward_length", "vocab_size", "attention.head_count",
    "attention.head_count_kv", "attention.key_length", "attention.value_length", "attention.layer_norm_rms_epsilon",
    "attention.sliding_window", "attention.sliding_window_pattern", "rope.dimension_count", "rope.freq_base",
    "rope.scaling.original_context_length", "rope.scaling.finetuned", "tensor_data_layout",
)  # fmt: skip
"""Keys of an architecture that are read here, or say nothing of its function."""
NEUTRAL_KEYS: Mapping[str, tuple[object, ...]] = {
    "expert_count": (0,),
    "expert_used_count": (0,),
    "logit_scale": (0.0, 1.0),
    "embedding_scale": (0.0, 1.0),
    "residual_scale": (0.0, 1.0),
    "attention.scale": (0.0,),
    "attn_logit_softcapping": (0.0,),
    "final_logit_softcapping": (0.0,),
    "rope.scaling.type": ("none",),
    "rope.scaling.factor": (0.0, 1.0),
    "rope.scale_linear": (1.0,),
    "attention.clamp_kqv": (0.0,),
    "attention.causal": (True,),
    "use_parallel_residual": (False,),
}
"""Keys that change a function, with the values at which they do not."""
SAME_AS = {"rope.freq_base_swa": "rope.freq_base", "expert_feed_forward_length": "feed_forward_length"}
"""Keys that must repeat what another says where they are there."""
SPECIAL = 3
"""llama.cpp's kind of a token that no text spells."""


def load_gguf_model(path: Path) -> LoadedModel:
    """The model of a file.

    Raises SpecError where it is damaged, has no tokenizer that is byte-level BPE, or computes what our blocks do not.
    """
    try:
        file = read_gguf(path)
    except (OSError, ValueError, KeyError, IndexError, NotImplementedError) as error:
        raise SpecError(f"{path} must be a GGUF file that can be read whole, found: {error}; fetch it again") from None
    architecture = gguf_shape(file, path)
    tokenizer = _tokenizer(file, path)
    prefix = file.fields.get("tokenizer.ggml.bos_token_id", file.fields.get("tokenizer.ggml.eos_token_id"))
    if not isinstance(prefix, int):
        raise SpecError(
            f"{path} must name the token that begins or ends a text (tokenizer.ggml.bos_token_id), found neither; write it anew"
        )
    template = file.fields.get("tokenizer.chat_template")
    return LoadedModel(
        name=str(path),
        network=_network(file, architecture, path),
        tokenizer=tokenizer,
        prefix_token_id=prefix,
        end_token_ids=(end,) if isinstance(end := file.fields.get("tokenizer.ggml.eos_token_id"), int) else (),
        context_tokens=_whole(file, path, "context_length"),
        precision=Counter(kind for name, kind in file.kinds.items() if name.startswith("blk.") and file.tensors[name].ndim > 1).most_common(
            1
        )[0][0],
        chat_template=template if isinstance(template, str) and template else None,
    )


def gguf_shape(file: GgufFile, path: Path) -> Architecture:
    """The shape that a file describes; raises SpecError where our blocks do not have all of it."""
    name = str(file.fields.get("general.architecture"))
    if name not in ARCHITECTURES:
        raise SpecError(
            f"{path} must hold a model whose blocks archfront has ({', '.join(ARCHITECTURES)} in llama.cpp's words), found {quoted(name)}; "
            "name another model"
        )
    _require_neutral(file, name, path)
    embedding = file.tensors.get("token_embd.weight")
    if embedding is None:
        raise SpecError(f"{path} must hold an embedding (token_embd.weight), found none; fetch it again")
    heads, width = _whole(file, path, "attention.head_count"), _whole(file, path, "embedding_length")
    head_dim = _whole(file, path, "attention.key_length", width // max(heads, 1))
    for key in ("attention.value_length", "rope.dimension_count"):
        if _whole(file, path, key, head_dim) != head_dim:
            raise SpecError(
                f"{path}: {name}.{key} must be the width of a head, {head_dim}, found {_whole(file, path, key)}; name another model"
            )
    pattern, output = file.fields.get(f"{name}.attention.sliding_window_pattern"), file.tensors.get("output.weight")
    if pattern is not None and not isinstance(pattern, list):
        raise SpecError(
            f"{path}: {name}.attention.sliding_window_pattern must name each block, found {quoted(pattern)}; name another model"
        )
    window = _whole(file, path, "attention.sliding_window") if isinstance(pattern, list) and any(pattern) else None
    shape: dict[str, Any] = {
        "vocab_size": int(embedding.shape[0]),
        "hidden_size": width,
        "num_unique_layers": _whole(file, path, "block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": _whole(file, path, "attention.head_count_kv", heads),
        "head_dim": head_dim,
        "intermediate_size": _whole(file, path, "feed_forward_length"),
        "tie_word_embeddings": output is None or (output.shape == embedding.shape and bool(numpy.array_equal(output, embedding))),
        "rope_theta": _number(file, f"{name}.rope.freq_base", 10_000.0),
        "rms_norm_eps": _number(file, f"{name}.attention.layer_norm_rms_epsilon", 1e-6),
        "attention_bias": "qkv" if "blk.0.attn_q.bias" in file.tensors else "none",
        "qk_norm": "blk.0.attn_q_norm.weight" in file.tensors,
    }
    if window is not None and isinstance(pattern, list):
        shape |= {"sliding_window": window, "layer_types": ["sliding_attention" if slides else "full_attention" for slides in pattern]}
    try:
        return Architecture.from_dict(shape)
    except SpecError as reason:
        raise SpecError(f"{path}: {reason}") from None


def _require_neutral(file: GgufFile, name: str, path: Path) -> None:
    """Raise SpecError for a key of the architecture that changes what its blocks compute, or may: one that is not known here."""
    for whole, value in file.fields.items():
        key = whole.removeprefix(f"{name}.")
        if key == whole or key in READ_KEYS:
            continue
        other = SAME_AS.get(key)
        same = NEUTRAL_KEYS.get(key, ()) if other is None else (file.fields.get(f"{name}.{other}"),)
        if value not in same:
            raise SpecError(f"{path}: {whole} must not change what the blocks compute, found {quoted(value)}; name another model")


def _tokenizer(file: GgufFile, path: Path) -> Tokenizer:
    """The file's tokenizer with its special tokens; raises SpecError where it splits text in a way that is not known here."""
    kind, splitter = (file.fields.get(f"tokenizer.ggml.{key}") for key in ("model", "pre"))
    if kind != "gpt2" or splitter not in SPLITTERS:
        found = quoted(kind if kind != "gpt2" else splitter)
        raise SpecError(
            f"{path} must have a byte-level BPE tokenizer (gpt2) that splits text as {', '.join(SPLITTERS)} do, found {found}; take the "
            "model's Hugging Face folder"
        )
    names, kinds = (file.fields.get(f"tokenizer.ggml.{key}") for key in ("tokens", "token_type"))
    try:
        tokenizer = tokenizer_of(file)
        if isinstance(kinds, list) and isinstance(names, list):
            tokenizer.add_special_tokens([name for name, kind in zip(names, kinds, strict=True) if kind == SPECIAL])
    except Exception as reason:  # the library raises a bare Exception
        said = shortened(said_by(reason))
        raise SpecError(f"{path} must hold a tokenizer with its tokens and merges, found: {said}; fetch the model again") from None
    return tokenizer


def _network(file: GgufFile, architecture: Architecture, path: Path) -> Network:
    """The file's network; raises SpecError where a tensor is missing, of another form, or one that our blocks do not have."""
    with torch.device("meta"):
        expected = {gguf_name(name): values.shape for name, values in Network(architecture).state_dict().items()}
    found = {name: values.shape for name, values in file.tensors.items()}
    if architecture.tie_word_embeddings:
        found.pop("output.weight", None)
    other = unlike_weight(expected, found)
    if other is not None:
        name, wanted, given = other
        raise SpecError(
            f"{path}: {name} must be {wanted} in {architecture.label}, found {given}; the model computes what archfront's blocks do not: "
            "name another"
        )
    network = network_from_gguf(file, architecture)
    network.requires_grad_(False)
    return network


def _whole(file: GgufFile, path: Path, key: str, unsaid: int | None = None) -> int:
    """A count by its key; of a list with one for each block, the one that all have."""
    name = f"{file.fields.get('general.architecture')}.{key}"
    value = file.fields.get(name, unsaid)
    if isinstance(value, list) and len(set(value)) == 1:
        value = value[0]
    if not isinstance(value, int):
        raise SpecError(f"{path}: {name} must be one whole number for all blocks, found {quoted(value)}; name another model")
    return value


def _number(file: GgufFile, key: str, unsaid: float) -> float:
    """A float32 as the shortest number that is it: 1e-05, not 9.99999974738e-06."""
    value = file.fields.get(key, unsaid)
    return float(str(numpy.float32(value))) if isinstance(value, int | float) else unsaid
