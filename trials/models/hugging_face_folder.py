"""A Hugging Face folder of anybody's as our network: safetensors, or a checkpoint of tensors alone; no code of it is run."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from analysis.records.json_text import read_limited
from search_space.architecture import Architecture
from search_space.errors import SpecError, quoted, refused, said_by, shortened
from trials.catalogue.hugging_face_config import BLOCK_WEIGHT, is_of_mlp, stored_place
from trials.catalogue.published_config import Published, read_published
from trials.corpus.tokenizer import load_exported
from trials.models.first_glance import FETCH_AGAIN, read_object
from trials.models.loaded_model import LoadedModel
from trials.network.decoder import Network
from trials.network.weights import load_weights, unlike_weight

CONFIG_FILE, TOKENIZER_FILE, CHAT_TEMPLATE_FILE = "config.json", "tokenizer.json", "chat_template.jinja"
TOKENIZER_WORDS = "tokenizer_config.json"
LARGEST_TEMPLATE_BYTES = 1 << 20
WEIGHT_FILES = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
"""Where weights lie, the first that is there."""
SAME_LOGITS = {
    "rope_scaling": "", "attention_multiplier": "", "embedding_multiplier": 1.0, "residual_multiplier": 1.0, "logits_scaling": 1.0,
}  # fmt: skip
"""Keys that change no count and do change logits, with the value at which they do not."""
OTHER_ARITHMETIC = ("granite", "helium", "ernie4_5", "vaultgemma", "gemma", "cwm")
"""Classes whose counts are known and whose blocks compute something else; `tests/trials/models` holds all others against transformers."""
UNSAID_CONTEXT = 2048
"""Where a config.json states none, as the class of Llama has it."""
BEGINNINGS = ("bos_token_id", "eos_token_id")


def load_hugging_face(folder: Path) -> LoadedModel:
    """The model of a folder; nothing is fetched, and no code of it is run.

    Raises SpecError where a file is missing or damaged, or its blocks compute what ours do not.
    """
    config = read_object(folder / CONFIG_FILE)
    architecture = shape_of_weights(read_published(config), config, folder)
    network = network_of(architecture, _weights(folder), folder)
    tokenizer_file = folder / TOKENIZER_FILE
    if not tokenizer_file.is_file():
        raise SpecError(f"{folder} must hold a {TOKENIZER_FILE}, found none; save the fast tokenizer there with save_pretrained")
    tokenizer = load_exported(tokenizer_file)
    tokenizer.encode_special_tokens = False
    generation = folder / "generation_config.json"
    said = (read_object(generation) if generation.is_file() else {}) | {key: value for key, value in config.items() if value is not None}
    prefix = next((_first(said.get(key)) for key in BEGINNINGS if _first(said.get(key)) is not None), None)
    if prefix is None:
        raise SpecError(f"{folder / CONFIG_FILE} must name the token that begins or ends a text (bos_token_id), found neither; add it")
    context = config.get("max_position_embeddings", UNSAID_CONTEXT)
    if type(context) is not int or context < 1:
        raise SpecError(
            f"{folder / CONFIG_FILE}: max_position_embeddings must be a whole number of at least 1, found {quoted(context)}; correct it"
        )
    precision = str(config.get("dtype") or config.get("torch_dtype") or "float32")
    end = said.get("eos_token_id")
    ends = tuple(each for each in (end if isinstance(end, list) else [end]) if type(each) is int)
    words = folder / TOKENIZER_WORDS
    names = _token_names(read_object(words)) if words.is_file() else (None, None)
    return LoadedModel(str(folder), network, tokenizer, prefix, ends, context, precision, _chat_template(folder), *names)


def _token_names(words: Mapping[str, Any]) -> tuple[str, str | None]:
    """What transformers calls the beginning and the end of a text in a chat template; without a beginning it writes nothing there."""
    begin, end = (each.get("content") if isinstance(each, dict) else each for each in map(words.get, ("bos_token", "eos_token")))
    return begin if isinstance(begin, str) else "", end if isinstance(end, str) and end else None


def _chat_template(folder: Path) -> str | None:
    """The template of chats, from a file of its own or among the tokenizer's words; of several the one that is called default."""
    own, words = folder / CHAT_TEMPLATE_FILE, folder / TOKENIZER_WORDS
    if own.is_file():
        try:
            return read_limited(own, LARGEST_TEMPLATE_BYTES).decode(errors="replace")
        except OSError as error:
            raise refused(error, own, "be a chat template that can be read", "check its permissions, or leave it out") from None
        except ValueError as error:
            raise SpecError(f"{own} must be a chat template, found {error}; leave it out") from None
    said = read_object(words).get("chat_template") if words.is_file() else None
    if isinstance(said, list):
        said = next((each.get("template") for each in said if isinstance(each, dict) and each.get("name") == "default"), None)
    return said if isinstance(said, str) and said else None


def shape_of_weights(published: Published, config: Mapping[str, Any], folder: Path) -> Architecture:
    """The shape whose logits are the model's; raises SpecError, with all reasons, where there is none."""
    published.require_blocks()
    kind = config.get("model_type")
    others = [f"the arithmetic of the class {kind}"] if kind in OTHER_ARITHMETIC else []
    others += [
        f"{key} {quoted(config.get(key))}" for key, same in SAME_LOGITS.items() if key in published.passed_over and config.get(key) != same
    ]
    if others:
        raise SpecError(
            f"{folder}: the model must compute what archfront's blocks do, so that its weights mean the same there, found "
            f"{' and '.join(others)}; name another model"
        )
    return published.shape


def network_of(architecture: Architecture, weights: Mapping[str, Tensor], folder: Path) -> Network:
    """Our network with a folder's weights in float32, named as Hugging Face names them.

    Blocks that share weights are there once, in their order, or at every place that they run. Raises SpecError where a weight is missing,
    of another form, not one of ours, or where two places of one block hold different ones.
    """
    with torch.device("meta"):
        network = Network(architecture)
    places = {name: tuple(values.shape) for name, values in network.state_dict().items()}
    found = {name: values for name, values in weights.items() if not name.endswith("rotary_emb.inv_freq")}
    if architecture.tie_word_embeddings:
        found.pop("lm_head.weight", None)
    found = _at_every_place(architecture, places, _unfused(architecture, found))
    other = unlike_weight(places, {name: values.shape for name, values in found.items()})
    if other is not None:
        name, wanted, given = other
        raise SpecError(
            f"{folder}: the weight {name} must be {wanted} in {architecture.label}, found {given}; config.json and weights must be of one "
            "model whose blocks archfront has"
        )
    parameters = dict(network.named_parameters(remove_duplicate=False))
    first = {parameter: name for name, parameter in network.named_parameters()}
    for name, parameter in parameters.items():
        if name in found and not torch.equal(found[name], found[first[parameter]]):
            raise SpecError(
                f"{folder}: {name} must be the weights of {first[parameter]}, which it shares, found others; export the model anew"
            )
    network.load_state_dict({name: found[name].to(torch.float32) for name in places}, assign=True)
    network.requires_grad_(False)
    return network


def _at_every_place(architecture: Architecture, places: Iterable[str], weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights by the places at which they run, where parts that share weights were stored once, as MobileLLM's class does."""
    blocks = {name: block for name in weights if (block := BLOCK_WEIGHT.fullmatch(name)) is not None}
    counts = {is_mlp: architecture.stored_mlps if is_mlp else architecture.stored_attentions for is_mlp in (False, True)}
    once = {kind for kind, count in counts.items() if count < architecture.num_hidden_layers}
    once -= {is_of_mlp(block["part"]) for block in blocks.values() if int(block["place"]) >= counts[is_of_mlp(block["part"])]}
    if not once:
        return weights
    found = {name: values for name, values in weights.items() if name not in blocks or is_of_mlp(blocks[name]["part"]) not in once}
    for name in places:
        block = BLOCK_WEIGHT.fullmatch(name)
        if block is not None and is_of_mlp(block["part"]) in once:
            kept = f"model.layers.{stored_place(architecture, *block.groups())}.{block['part']}"
            if kept in weights:
                found[name] = weights[kept]
    return found


def _unfused(architecture: Architecture, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Matrices one by one, where a class keeps those that read the same states as one above the other (Phi-3)."""
    a, found = architecture, {}
    keys = a.num_key_value_heads * a.head_dim
    parts = {
        "self_attn.qkv_proj.": (("q_proj", "k_proj", "v_proj"), (a.num_attention_heads * a.head_dim, keys, keys)),
        "mlp.gate_up_proj.": (("gate_proj", "up_proj"), (a.intermediate_size, a.intermediate_size)),
    }
    for name, values in weights.items():
        fused = next((part for part in parts if part in name), None)
        if fused is None or len(values) != sum(parts[fused][1]):
            found[name] = values
            continue
        room = fused.split(".")[0]
        for own, rows in zip(parts[fused][0], torch.split(values, list(parts[fused][1])), strict=True):
            found[name.replace(fused, f"{room}.{own}.")] = rows
    return found


def _weights(folder: Path) -> dict[str, Tensor]:
    """All tensors of a folder by name."""
    file = next((folder / name for name in WEIGHT_FILES if (folder / name).is_file()), None)
    if file is None:
        raise SpecError(f"{folder} must hold weights ({', '.join(WEIGHT_FILES)}), found none of these; fetch the model whole")
    if file.suffix != ".json":
        return _tensors(file)
    index = read_object(file).get("weight_map")
    if not isinstance(index, dict) or not all(isinstance(name, str) and Path(name).name == name for name in index.values()):
        raise SpecError(f"{file} must have a weight_map from names to files beside it, found {quoted(index)}; {FETCH_AGAIN}")
    return {name: values for part in sorted(set(index.values())) for name, values in _tensors(folder / part).items()}


def _tensors(file: Path) -> dict[str, Tensor]:
    if file.suffix == ".safetensors":
        return load_weights(file)
    try:
        found = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except (OSError, RuntimeError, ValueError, EOFError, LookupError, AttributeError, pickle.UnpicklingError) as reason:
        raise SpecError(f"{file} must hold tensors alone, found: {shortened(said_by(reason))}; save the model as safetensors") from None
    if not isinstance(found, dict) or not all(isinstance(values, Tensor) for values in found.values()):
        raise SpecError(f"{file} must hold tensors by their names, found other things; save the model as safetensors")
    return found


def _first(value: object) -> int | None:
    """An id, or the first of several."""
    if isinstance(value, list) and value:
        value = value[0]
    return value if type(value) is int else None
