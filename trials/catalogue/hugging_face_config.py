"""Which class of transformers runs a shape, and the config.json that it reads. Standard library only.

The classes and their limits are those of transformers 5: all name their weights alike. Llama and Arcee refuse a width that
the query heads do not divide, the others do not; only Ministral slides in some blocks and not in others; only Arcee has
an MLP without a gate (Llama with `hidden_act` relu keeps its gate). Llama's and Arcee's `attention_bias` puts a bias on the output
projection too. Biases on queries, keys and values alone are Qwen2's and SeedOss's; beside a Qwen2 config AutoTokenizer takes every
tokenizer for Qwen2's own, whatever its files say, and gives other ids than those that the network was trained on. Qwen3, beside which it
does not, slides where it is told to and normalises queries and keys; its biases would be on the output projection too.
"""

from __future__ import annotations

import re
from typing import Any

from search_space.architecture import INITIALIZER_RANGE, Architecture
from search_space.errors import SpecError

CONFIG_VERSION = "5.0.0"
"""Version of transformers, whose config format this is. Without it AutoTokenizer takes a tokenizer of more than 100,000 tokens beside a
Mistral config for one that Mistral published with a faulty pattern, and warns."""

LEAST_POSITIONS = 2048
"""Positions that a config.json states at least, whatever the network was trained at: RoPE has no table, so that it computes any, and
lm-evaluation-harness ends in an assertion where the continuation of a prompt is longer than what is stated. What the network was trained at
stands in its tokenizer's `model_max_length` and on the card."""
OWN_TYPE, OWN_CLASS, OWN_MODULE = "archfront", "ArchfrontForCausalLM", "modeling_archfront"
"""Type, class and module of the form in which what is shared stays so; the module is `trials/formats/shared_decoder.py`."""
BLOCK_WEIGHT = re.compile(r"model\.layers\.(?P<place>\d+)\.(?P<part>.+)")
"""Name of a weight of a block."""
ODD_MODEL_TYPES = {"SeedOssForCausalLM": "seed_oss"}
"""Model types of classes whose name does not say it."""


def hugging_face_class(architecture: Architecture) -> str:
    """The class of transformers that computes the same function; raises SpecError with what would fit where none does."""
    a = architecture
    divides = a.hidden_size % a.num_attention_heads == 0
    if a.qk_norm:
        if a.mlp == "swiglu" and a.attention_bias == "none":
            return "Qwen3ForCausalLM"
        raise SpecError(
            "qk_norm must be false in a Hugging Face export with an ungated MLP or biases, found true: the class of transformers that "
            "normalises queries and keys (Qwen3ForCausalLM) has neither an ungated MLP nor biases on queries, keys and values alone; "
            "choose false, or mlp swiglu and attention_bias none"
        )
    if a.attention_bias != "none":
        if a.mlp == "swiglu" and a.sliding_window is None:
            return "SeedOssForCausalLM"
        raise SpecError(
            f"attention_bias must be none in a Hugging Face export with an ungated MLP or a block that slides, found {a.attention_bias}: "
            "the class of transformers with biases on queries, keys and values alone (SeedOssForCausalLM) has neither; choose none, or "
            "mlp swiglu and full_attention in every block"
        )
    if a.mlp == "swiglu":
        if a.sliding_window is not None:
            return "MinistralForCausalLM"
        return "LlamaForCausalLM" if divides else "MistralForCausalLM"
    if a.sliding_window is not None:
        raise SpecError(
            f"mlp must be swiglu in a Hugging Face export where a block slides, found {a.mlp}: no class of transformers has both an "
            "ungated MLP and sliding windows; choose swiglu, or full_attention in every block"
        )
    if not divides:
        lower = a.hidden_size // a.num_attention_heads * a.num_attention_heads
        widths = " or ".join(str(width) for width in (lower, lower + a.num_attention_heads) if width)
        raise SpecError(
            f"hidden_size must be a multiple of num_attention_heads in a Hugging Face export with an ungated MLP (ArceeForCausalLM), "
            f"found {a.hidden_size} and {a.num_attention_heads}; choose hidden_size {widths}, or mlp swiglu"
        )
    return "ArceeForCausalLM"


def hugging_face_config(architecture: Architecture, context_tokens: int, end_of_text: int | None = None) -> dict[str, Any]:
    """What config.json holds, the precision of the weights aside; raises SpecError where no class fits.

    `end_of_text` is the token that ends a document, and stands before the first one. The sharing stays as two keys that
    transformers keeps and does not read: its network is the unrolled one.
    """
    a = architecture
    name = hugging_face_class(a)
    config: dict[str, Any] = {
        "architectures": [name],
        "model_type": ODD_MODEL_TYPES.get(name, name.removesuffix("ForCausalLM").lower()),
        "transformers_version": CONFIG_VERSION,
        "vocab_size": a.vocab_size,
        "hidden_size": a.hidden_size,
        "num_hidden_layers": a.num_hidden_layers,
        "num_unique_layers": a.num_unique_layers,
        "sharing": a.sharing.as_dict(),
        "num_attention_heads": a.num_attention_heads,
        "num_key_value_heads": a.num_key_value_heads,
        "head_dim": a.head_dim,
        "intermediate_size": a.intermediate_size,
        "hidden_act": "silu" if a.mlp == "swiglu" else a.mlp,
        "tie_word_embeddings": a.tie_word_embeddings,
        "max_position_embeddings": max(context_tokens, LEAST_POSITIONS),
        "rope_parameters": {"rope_type": "default", "rope_theta": a.rope_theta},
        "rms_norm_eps": a.rms_norm_eps,
        "initializer_range": INITIALIZER_RANGE,
        "attention_dropout": 0.0,
        "bos_token_id": end_of_text,
        "eos_token_id": end_of_text,
        "use_cache": True,
    }
    if name in ("LlamaForCausalLM", "ArceeForCausalLM"):
        return config | {"attention_bias": False, "mlp_bias": False}
    if name == "SeedOssForCausalLM":
        biases = {"attention_bias": True, "attention_out_bias": False, "mlp_bias": False}
        return config | biases | {"residual_dropout": 0.0, "pad_token_id": None}  # the class pads with its token 1 where nothing is said
    if name == "Qwen3ForCausalLM":
        config |= {"attention_bias": False, "use_sliding_window": a.sliding_window is not None, "max_window_layers": 0}
    if name in ("MinistralForCausalLM", "Qwen3ForCausalLM"):
        config["layer_types"] = list(a.layer_types)
    return config | {"sliding_window": a.sliding_window}


def shared_config(architecture: Architecture, context_tokens: int, end_of_text: int | None = None) -> dict[str, Any]:
    """What config.json holds where what is shared stays so, the precision of the weights aside: the shape in archfront's words."""
    a = architecture
    return {
        "architectures": [OWN_CLASS],
        "model_type": OWN_TYPE,
        "auto_map": {"AutoConfig": f"{OWN_MODULE}.ArchfrontConfig", "AutoModelForCausalLM": f"{OWN_MODULE}.{OWN_CLASS}"},
        "transformers_version": CONFIG_VERSION,
        **a.as_dict(),
        "attention_schedule": list(a.attention_schedule),
        "mlp_schedule": list(a.mlp_schedule),
        "max_position_embeddings": max(context_tokens, LEAST_POSITIONS),
        "initializer_range": INITIALIZER_RANGE,
        "bos_token_id": end_of_text,
        "eos_token_id": end_of_text,
        "use_cache": True,
    }


def is_of_mlp(part: str) -> bool:
    """Whether a weight of a block is its MLP's, by what stands behind the block's number."""
    return part.startswith(("mlp.", "post_attention_layernorm."))


def stored_place(architecture: Architecture, place: str, part: str) -> int:
    """Which stored part runs at a place: where files that hold each once have it."""
    schedule = architecture.mlp_schedule if is_of_mlp(part) else architecture.attention_schedule
    return schedule[int(place)]
