"""Weights that are rounded in blocks share a scale within a row; what that asks of a shape. Standard library only."""

from __future__ import annotations

from search_space.architecture import Architecture

BLOCK = 32
"""Weights of a row that share a scale; as llama.cpp's q8_0 and q4_0 have it."""


def broken_rows(a: Architecture, place: str, other: str) -> str | None:
    """Why the rows of a shape's matrices are not whole blocks, in a sentence with the cure; None where they are.

    `place` says where they must be, as in "in a GGUF file in int8", and `other` what takes any width.
    """
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
        f"{' and '.join(odd)} must be {'multiples' if len(odd) > 1 else 'a multiple'} of {BLOCK} {place}, where each "
        f"scale stands for {BLOCK} weights of a row, found {' and '.join(str(row) for row, _ in odd.values())}; "
        f"choose {', '.join(cure for _, cure in odd.values())}, or {other}, which takes any width"
    )


def _nearest(row: int) -> str:
    """The multiples on both sides."""
    lower = row // BLOCK * BLOCK
    return " or ".join(str(width) for width in (lower, lower + BLOCK) if width)
