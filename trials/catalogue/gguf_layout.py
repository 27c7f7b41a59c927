"""What llama.cpp needs of a shape before a GGUF file can hold it, and how it names things. Standard library only.

Three of its architectures compute our function. `llama` has a gated MLP, full attention in every block, and biases where the file has
them; `qwen3` is the same with normalised queries and keys. `mimo2`, where no block has experts and nothing else that is optional is there,
is a `llama` without biases and with a sliding window in the blocks that a list names; its output matrix is always a tensor of its own. All
that have an MLP without a gate differ in something: the MLP squares the ReLU (`arcee`, `nemotron`), or the norm subtracts the mean and the
GELU is the tanh approximation (`starcoder2`, `gptneox`).
"""

from __future__ import annotations

from search_space.architecture import Architecture
from search_space.fields import refusal
from trials.catalogue.refusals import broken_rows

GGUF_PRECISIONS = {"float32": "F32", "float16": "F16", "int8": "Q8_0", "int4": "Q4_0"}
"""Precisions of the matrices, and how GGUF names each; norms are float32 always."""
USUAL_PRECISION = "float16"
OUTSIDE = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
INSIDE = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
"""Weights outside and inside of a block by our names and by llama.cpp's."""


def architecture_name(a: Architecture) -> str:
    """How llama.cpp calls what runs the shape."""
    if a.qk_norm:
        return "qwen3"
    return "llama" if a.sliding_window is None else "mimo2"


def turns_neighbours(a: Architecture, name: str) -> bool:
    """Whether a weight, ours by name, has its rows in another order there.

    RoPE of `llama` turns the pairs (0, 1), (2, 3), ... of queries and keys, ours and that of all others a half against the other.
    """
    return architecture_name(a) == "llama" and is_turned(name)


def is_turned(name: str) -> bool:
    """Whether RoPE turns what a weight, ours by name, makes."""
    return name.split(".")[-2] in ("q_proj", "k_proj")


def needs_output(a: Architecture) -> bool:
    """Whether the output matrix is a tensor of its own there, also where it is the embedding's."""
    return architecture_name(a) == "mimo2"


def gguf_name(name: str) -> str:
    """GGUF's name of a weight that our network has under this name."""
    if name in OUTSIDE:
        return OUTSIDE[name]
    depth, _, place = name.removeprefix("model.layers.").partition(".")
    part, _, kind = place.rpartition(".")
    return f"blk.{depth}.{INSIDE[part]}.{kind}"


def gguf_refusal(a: Architecture, precision: str) -> str | None:
    """Why a GGUF file for llama.cpp cannot hold the shape at this precision, in a sentence with the cure; None where it can."""
    whatever = refusal(a, "gguf")
    if whatever is not None:
        return whatever
    if a.attention_bias != "none" and a.sliding_window is not None:
        return (
            f"attention_bias must be none in a GGUF file where a block slides, found {a.attention_bias}: the architecture of llama.cpp "
            "that slides block by block (mimo2) reads no biases; choose none, full_attention in every block, or another format"
        )
    if a.qk_norm and a.sliding_window is not None:
        return (
            "qk_norm must be false in a GGUF file where a block slides, found true: the architecture of llama.cpp that normalises queries "
            "and keys (qwen3) has full attention in every block; choose false, full_attention in every block, or another format"
        )
    if precision in ("int8", "int4"):
        return broken_rows(a, f"in a GGUF file in {precision}", "the precision float16")
    return None
