"""Why a format or a runtime cannot hold a shape, in a sentence with the cure. Standard library only."""

from __future__ import annotations

from collections.abc import Callable

from search_space.architecture import Architecture
from search_space.errors import SpecError
from trials.catalogue.hugging_face_config import hugging_face_class

Refusal = Callable[[Architecture, str], str | None]
"""Why a shape with its weights in a precision cannot be held; None where it can be."""
BLOCK_WEIGHTS = 32
"""Weights of a row that share a scale where they are rounded; as llama.cpp's q8_0 and q4_0 have it."""


def no_refusal(architecture: Architecture, precision: str) -> None:
    """Every shape can be held."""


def hugging_face_refusal(architecture: Architecture, precision: str) -> str | None:
    """Why no class of transformers computes the same function; None where one does."""
    try:
        hugging_face_class(architecture)
    except SpecError as reason:
        return str(reason)
    return None


def openvino_refusal(architecture: Architecture, precision: str) -> str | None:
    """Why not: a row that is not of whole blocks has no compressed product, and would be multiplied in float32."""
    if precision == "float32":
        return None
    return broken_rows(architecture, f"for openvino in {precision}", "the runtime onnxruntime or the precision float32")


def broken_rows(a: Architecture, place: str, other: str) -> str | None:
    """Why the rows of a shape's matrices are not whole blocks, in a sentence with the cure; None where they are.

    `place` says where they must be, as in "in a GGUF file in int8", and `other` what takes any width.
    """
    rows = {
        "hidden_size": (a.hidden_size, f"hidden_size {_nearest(a.hidden_size)} (`step: {BLOCK_WEIGHTS}` in a space)"),
        "intermediate_size": (
            a.intermediate_size,
            f"intermediate_size {_nearest(a.intermediate_size)} (`multiple_of: {BLOCK_WEIGHTS}` in a space)",
        ),
        "num_attention_heads times head_dim": (a.num_attention_heads * a.head_dim, "a head_dim, or a number of heads, that makes it one"),
    }
    odd = {name: row for name, row in rows.items() if row[0] % BLOCK_WEIGHTS}
    if not odd:
        return None
    return (
        f"{' and '.join(odd)} must be {'multiples' if len(odd) > 1 else 'a multiple'} of {BLOCK_WEIGHTS} {place}, where each "
        f"scale stands for {BLOCK_WEIGHTS} weights of a row, found {' and '.join(str(row) for row, _ in odd.values())}; "
        f"choose {', '.join(cure for _, cure in odd.values())}, or {other}, which takes any width"
    )


def _nearest(row: int) -> str:
    """The multiples on both sides."""
    lower = row // BLOCK_WEIGHTS * BLOCK_WEIGHTS
    return " or ".join(str(width) for width in (lower, lower + BLOCK_WEIGHTS) if width)
