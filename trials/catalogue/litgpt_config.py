"""The model_config.yaml that LitGPT reads: which of its settings compute a shape's function. Standard library only.

The settings are those of `litgpt.Config` 0.5. It shares no blocks, so that one that runs several times is written once for each,
and it ties its embeddings by `--train.tie_embeddings true` alone.
"""

from __future__ import annotations

from typing import Any

from search_space.architecture import Architecture

MLP_CLASSES = {"swiglu": "LLaMAMLP", "gelu": "GptNeoxMLP"}
"""LitGPT's class of MLP by our name of it; it has none with a ReLU."""


def litgpt_refusal(a: Architecture) -> str | None:
    """Why LitGPT cannot hold a shape, in a sentence with the cure; None where it can."""
    if a.mlp not in MLP_CLASSES:
        return (
            f"mlp must be {' or '.join(MLP_CLASSES)} in LitGPT, found {a.mlp}: it has no such MLP; choose one of them, or another trainer"
        )
    if a.rope_theta != int(a.rope_theta):
        return f"rope_theta must be a whole number in LitGPT, found {a.rope_theta:g}; choose one, or another trainer"
    return None


def litgpt_config(a: Architecture, name: str, context_tokens: int) -> dict[str, Any]:
    """The settings of `litgpt.Config`; the shape must not be refused. Its vocabulary is not padded, so that the count is the shape's."""
    settings: dict[str, Any] = {
        "name": name,
        "hf_config": {},
        "block_size": context_tokens,
        "vocab_size": a.vocab_size,
        "padded_vocab_size": a.vocab_size,
        "n_layer": a.num_hidden_layers,
        "n_embd": a.hidden_size,
        "n_head": a.num_attention_heads,
        "n_query_groups": a.num_key_value_heads,
        "head_size": a.head_dim,
        "intermediate_size": a.intermediate_size,
        "mlp_class_name": MLP_CLASSES[a.mlp],
        "norm_class_name": "RMSNorm",
        "norm_eps": a.rms_norm_eps,
        "norm_qk": a.qk_norm,
        "attn_bias": a.attention_bias == "qkv",
        "bias": False,
        "lm_head_bias": False,
        "parallel_residual": False,
        "rotary_percentage": 1.0,
        "rope_base": int(a.rope_theta),
    }
    if a.sliding_window is not None:
        slides = [int(kind == "sliding_attention") for kind in a.layer_types]
        settings |= {"sliding_window_size": a.sliding_window, "sliding_window_indices": slides}
    return settings
