"""What a config.json of the world, as Hugging Face has them, says of a shape. Standard library only.

Weights of a model are counted where its class is in `MODEL_TYPES`. What its blocks have and ours do not is named, all of it: parts that
change a count make the file unreadable; the others stand in `Published.parts`, for who wants to build the shape.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from search_space.architecture import ALL_KEYS, LAYER_TYPES, Architecture
from search_space.errors import SpecError, quoted
from trials.catalogue.hugging_face_config import OWN_TYPE
from trials.catalogue.model_types import FULL_LAYER, MODEL_TYPES, OTHER_TYPES, QK_NORM, SLIDING_LAYER, UNKNOWN_PARTS, UNSAID, ModelType

HALLMARKS = ("model_type", "architectures", "transformers_version", "hidden_act", "max_position_embeddings", "torch_dtype")
"""Keys that no architecture of ours has; one of them makes a mapping a config.json."""
READ = (
    "vocab_size", "hidden_size", "num_hidden_layers", "num_unique_layers", "sharing", "layer_sharing", "num_attention_heads",
    "num_key_value_heads", "head_dim", "intermediate_size", "hidden_act", "hidden_activation", "tie_word_embeddings", "share_embedding",
    "layer_types", "sliding_window", "use_sliding_window", "max_window_layers", "rope_theta", "rope_parameters", "rope_scaling",
    "rms_norm_eps", "attention_bias", "partial_rotary_factor",
)  # fmt: skip
SILENT = ("architectures", "model_type", "transformers_version", "_name_or_path", "auto_map", "use_cache", "dtype", "torch_dtype")
"""Keys that say nothing of a model's function, so that nothing is said of them."""
NULL = ("num_key_value_heads", "head_dim", "sliding_window")
"""Keys of which null is a value: all heads, a head's share of the width, no window."""
HEADS = ("ForCausalLM", "LMHeadModel")
"""Ends of the names of classes that give the next token's logits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A published model as a shape."""

    shape: Architecture
    """The shape has the model's exact counts; its blocks are the model's where `parts` is empty."""
    parts: tuple[str, ...]
    """What its blocks have and ours do not, none of which changes parameters or FLOPs."""
    passed_over: tuple[str, ...]
    """Keys with a value that changes neither count nor cost, and that a training anew does not follow."""

    def require_blocks(self) -> None:
        """Raise SpecError with all parts that no block here has."""
        if self.parts:
            raise _foreign(self.parts, "they change no count: `archfront describe` has it")


def is_published(values: object) -> bool:
    """Whether a mapping is a config.json rather than an architecture of ours."""
    return isinstance(values, Mapping) and any(key in values for key in HALLMARKS)


def read_published(values: Mapping[str, Any]) -> Published:
    """The shape of a config.json; raises SpecError where its weights cannot be counted, or the shape cannot be."""
    name = _model_type(values)
    if name == OWN_TYPE:
        return Published(shape=Architecture.from_dict({key: values[key] for key in ALL_KEYS if key in values}), parts=(), passed_over=())
    row = MODEL_TYPES.get(name, ModelType())
    stated = {key: value for key, value in values.items() if value is not None or key in NULL}
    said = {**UNSAID, **row.unsaid, **stated, **_rotary(values)}
    if "no_rope_layers" in values:
        said.pop("no_rope_layer_interval", None)
    counted, uncounted = _parts(name, row, said)
    if counted:
        raise _foreign((*counted, *uncounted), "so that its weights are not counted")
    passed = [key for key, value in values.items() if key not in (*READ, *SILENT) and value not in (None, False, 0, "", [], {})]
    if _scaled(values):
        passed.append("rope_scaling")
    return Published(shape=_shape(row, said), parts=tuple(uncounted), passed_over=tuple(sorted(passed)))


def _model_type(values: Mapping[str, Any]) -> str:
    """The class by the name that transformers has for it, from the class's own where that is all that there is."""
    name, classes = values.get("model_type"), values.get("architectures")
    if isinstance(name, str) and name:
        return name
    if isinstance(classes, list) and classes and isinstance(classes[0], str):
        plain = classes[0].removesuffix("ForCausalLM").lower()
        return next((known for known in MODEL_TYPES if known.replace("_", "") == plain), plain)
    raise SpecError(f"model_type must name a class of transformers in a config.json, such as llama, found {quoted(name)}; add it")


def _rotary(values: Mapping[str, Any]) -> dict[str, Any]:
    """Angles and share of RoPE where newer files keep them in a mapping of their own."""
    rotary = values.get("rope_parameters")
    found = rotary if isinstance(rotary, Mapping) else {}
    return {key: found[key] for key in ("rope_theta", "partial_rotary_factor") if found.get(key) is not None}


def _scaled(values: Mapping[str, Any]) -> bool:
    """Whether RoPE's angles are stretched for contexts longer than those of the training."""
    rotary = values.get("rope_scaling") or values.get("rope_parameters")
    return isinstance(rotary, Mapping) and rotary.get("rope_type", rotary.get("type", "default")) != "default"


def _parts(name: str, row: ModelType, said: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """What no block here has: what changes a count, and what does not; each once."""
    inner = said.get("text_config")
    seen = {**inner, **said} if isinstance(inner, Mapping) else said
    counted = [*OTHER_TYPES.get(name, ()), *_biased_output(row, said), *_other_head(said)]
    uncounted = [*row.parts, *(_activation(row, said) if name in MODEL_TYPES else ())]  # of others it is not known whether it is gated
    for part in UNKNOWN_PARTS:
        if row.has_qk_norm and part.name == QK_NORM:
            continue
        if any(seen.get(key) is not None and part.is_there(seen[key]) for key in part.keys):
            (counted if part.is_counted else uncounted).append(part.name)
    uncounted += [f"{kind} blocks" for kind in _kinds(said) if kind not in LAYER_TYPES]
    if name not in MODEL_TYPES and not counted:
        counted.append(f"whatever the class {name} has, which archfront does not know")
    return list(dict.fromkeys(counted)), list(dict.fromkeys(uncounted))


def _biased_output(row: ModelType, said: Mapping[str, Any]) -> Iterator[str]:
    if said["attention_bias"] and row.biases == "all":
        yield "a bias on the attention's output"


def _other_head(said: Mapping[str, Any]) -> Iterator[str]:
    """A classifier's head, or none: the output projection is not there then, which a tied one is not either way."""
    classes = said.get("architectures")
    for name in classes if isinstance(classes, list) else ():
        if not str(name).endswith(HEADS) and not (str(name).endswith("Model") and said["tie_word_embeddings"]):
            yield f"the head of {name}"


def _activation(row: ModelType, said: Mapping[str, Any]) -> Iterator[str]:
    act = _act(said)
    if act not in (("silu", "swish") if row.is_gated else ("gelu", "relu")):
        yield f"{'a gated' if row.is_gated else 'an ungated'} MLP with {act}"


def _act(said: Mapping[str, Any]) -> str:
    return str(said.get("hidden_activation") or said["hidden_act"])


def _kinds(said: Mapping[str, Any]) -> list[str]:
    kinds = said.get("layer_types")
    return list(dict.fromkeys(map(str, kinds))) if isinstance(kinds, list) else []


def _shape(row: ModelType, said: Mapping[str, Any]) -> Architecture:
    heads, width = said.get("num_attention_heads"), said.get("hidden_size")
    implied = width // heads if isinstance(width, int) and isinstance(heads, int) and heads > 0 else None
    layer_types, window = _attention(row, said)
    fields: dict[str, Any] = {key: said[key] for key in ("vocab_size", "num_hidden_layers", "num_unique_layers", "sharing") if key in said}
    fields |= {key: said[key] for key in ("hidden_size", "num_attention_heads", "intermediate_size") if key in said}
    if said.get("layer_sharing"):  # MobileLLM's word: each block stored runs twice, one after the other
        fields |= {"num_unique_layers": fields.pop("num_hidden_layers", None), "sharing": {"strategy": "immediate", "repeats": 2}}
    has_biases = row.biases == "always" or (row.biases == "qkv" and said["attention_bias"])
    return Architecture.from_dict(
        fields
        | {
            "num_key_value_heads": said["num_key_value_heads"],
            "head_dim": implied if said["head_dim"] is None else said["head_dim"],
            "mlp": "swiglu" if row.is_gated else "gelu" if _act(said) == "gelu" else "relu",
            "tie_word_embeddings": said.get("share_embedding") or said["tie_word_embeddings"],
            "layer_types": layer_types,
            "sliding_window": window,
            "rope_theta": said["rope_theta"],
            "rms_norm_eps": said["rms_norm_eps"],
            "attention_bias": "qkv" if has_biases else "none",
            "qk_norm": row.has_qk_norm,
        }
    )


def _attention(row: ModelType, said: Mapping[str, Any]) -> tuple[list[str], int | None]:
    """Attention of the blocks, other kinds than ours counted as full, and the window of those that slide."""
    window, depth = said.get("sliding_window"), said.get("num_hidden_layers")
    if window is None or not said.get("use_sliding_window", True) or not isinstance(depth, int):
        return [FULL_LAYER], None
    if isinstance(said.get("layer_types"), list):
        return [kind if kind in LAYER_TYPES else FULL_LAYER for kind in said["layer_types"]] or [FULL_LAYER], window
    if isinstance(first := said.get("max_window_layers"), int):
        return [FULL_LAYER if place < first else SLIDING_LAYER for place in range(depth)], window
    return list(row.pattern[:depth]), window


def _foreign(parts: tuple[str, ...], why: str) -> SpecError:
    *before, last = parts
    named = f"{', '.join(before)} and {last}" if before else last
    return SpecError(
        f"the model's blocks must be those that archfront has (RMSNorm before attention and MLP, RoPE), found {named}, {why}; name another "
        "model, or write its sizes alone into a file (docs/study.md) to have them in the blocks that there are"
    )
