"""What llama.cpp needs of a shape before a GGUF file can hold it, and how it names things. Standard library only.

Two of its architectures compute our function. `llama` has a gated MLP, full attention in every block, and biases where the file has
them. `mimo2`, where no block has
experts and nothing else that is optional is there, is the same with a sliding window in the blocks that a list names; its output
matrix is always a tensor of its own. All that have an MLP without a gate differ in something: the MLP squares the ReLU (`arcee`,
`nemotron`), or the norm subtracts the mean and the GELU is the tanh approximation (`starcoder2`, `gptneox`).
"""

from __future__ import annotations

from search_space.architecture import Architecture
from search_space.fields import refusal
from trials.catalogue.refusals import broken_rows

PRECISIONS = {"float32": "F32", "float16": "F16", "int8": "Q8_0", "int4": "Q4_0"}
"""Precisions of the matrices, and how GGUF names each; norms are float32 always."""
USUAL_PRECISION = "float16"


def architecture_name(a: Architecture) -> str:
    """How llama.cpp calls what runs the shape."""
    return "llama" if a.sliding_window is None else "mimo2"


def permutes_heads(a: Architecture) -> bool:
    """Whether RoPE turns neighbours there: `llama` turns the pairs (0, 1), (2, 3), ..., we and `mimo2` a half against the other."""
    return architecture_name(a) == "llama"


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
    if precision in ("int8", "int4"):
        return broken_rows(a, f"in a GGUF file in {precision}", "the precision float16")
    return None
