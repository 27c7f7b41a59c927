"""What llama.cpp needs of a shape before a GGUF file can hold it, and how it names things. Standard library only.

Two of its architectures compute our function. `llama` has a gated MLP and full attention in every block. `mimo2`, where no block has
experts and nothing else that is optional is there, is the same with a sliding window in the blocks that a list names; its output
matrix is always a tensor of its own. All that have an MLP without a gate differ in something: the MLP squares the ReLU (`arcee`,
`nemotron`), or the norm subtracts the mean and the GELU is the tanh approximation (`starcoder2`, `gptneox`).
"""

from __future__ import annotations

import importlib.util

from search_space.architecture import Architecture
from search_space.errors import SpecError

PRECISIONS = {"float32": "F32", "float16": "F16", "int8": "Q8_0", "int4": "Q4_0"}
"""Of the matrices, and how GGUF names each; norms are float32 always."""
USUAL_PRECISION = "float16"
BLOCK = 32
"""Weights of a row that share a scale in q8_0 and q4_0."""
DOWNLOAD = "pip install llama-cpp-python"


def architecture_name(a: Architecture) -> str:
    """How llama.cpp calls what runs the shape."""
    return "llama" if a.sliding_window is None else "mimo2"


def permutes_heads(a: Architecture) -> bool:
    """Whether RoPE turns neighbours there: `llama` turns the pairs (0, 1), (2, 3), ..., we and `mimo2` a half against the other."""
    return architecture_name(a) == "llama"


def gguf_refusal(a: Architecture, precision: str) -> str | None:
    """Why a GGUF file for llama.cpp cannot hold the shape at this precision, in a sentence with the cure; None where it can."""
    if a.mlp != "swiglu":
        return (
            f"mlp must be swiglu in a GGUF file, found {a.mlp}: no architecture of llama.cpp has RMSNorm, RoPE and an ungated MLP with "
            f"{'the exact GELU' if a.mlp == 'gelu' else 'a ReLU that is not squared'}; choose swiglu, or another format"
        )
    if precision in ("int8", "int4"):
        return _refused_rows(a, precision)
    return None


def _refused_rows(a: Architecture, precision: str) -> str | None:
    """Why the rows of its matrices cannot be rounded in blocks, or None where they can."""
    rows = {
        "hidden_size": (a.hidden_size, f"hidden_size {_nearest(a.hidden_size)} (`step: {BLOCK}` in a space)"),
        "intermediate_size": (
            a.intermediate_size,
            f"intermediate_size {_nearest(a.intermediate_size)} (`multiple_of: {BLOCK}` in a space)",
        ),
        "num_attention_heads times head_dim": (a.num_attention_heads * a.head_dim, "a head_dim, or a number of heads, that makes it one"),
    }
    odd = {name: row for name, row in rows.items() if row[0] % BLOCK}
    if not odd:
        return None
    return (
        f"{' and '.join(odd)} must be {'multiples' if len(odd) > 1 else 'a multiple'} of {BLOCK} in a GGUF file in {precision}, where each "
        f"scale stands for {BLOCK} weights of a row, found {' and '.join(str(row) for row, _ in odd.values())}; "
        f"choose {', '.join(cure for _, cure in odd.values())}, or the precision float16, which takes any width"
    )


def _nearest(row: int) -> str:
    """The multiples on both sides."""
    lower = row // BLOCK * BLOCK
    return " or ".join(str(width) for width in (lower, lower + BLOCK) if width)


def require_gguf() -> None:
    """Raise SpecError where the library that writes GGUF files is not installed."""
    if importlib.util.find_spec("gguf") is None:
        raise SpecError("a GGUF file needs the library gguf, which is not installed; pip install gguf")
