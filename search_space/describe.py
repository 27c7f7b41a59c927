"""All closed forms of one shape in one mapping, for `archfront describe`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from search_space import cost
from search_space.architecture import Architecture
from search_space.errors import SpecError
from search_space.families import FAMILIES, family


def describe(a: Architecture, context_tokens: int) -> dict[str, Any]:
    """Counts, FLOPs and bytes of a shape; those that depend on a length are at `context_tokens`."""
    return {
        "label": a.label,
        "parameters": cost.parameters(a),
        "non_embedding_parameters": cost.non_embedding_parameters(a),
        "embedding_parameters": cost.embedding_parameters(a),
        "unrolled_parameters": cost.unrolled_parameters(a),
        "num_hidden_layers": a.num_hidden_layers,
        "num_unique_layers": a.num_unique_layers,
        "weight_bytes": {precision: cost.weight_bytes(a, precision) for precision in cost.BITS_PER_WEIGHT},
        "context_tokens": context_tokens,
        "training_flops_per_token": cost.training_flops_per_token(a, context_tokens),
        "decode_flops_per_token": cost.decode_flops(a, context_tokens),
        "kv_cache_bytes": cost.kv_cache_bytes(a, context_tokens),
        "architecture": a.as_dict(),
    }


def is_file_name(name: str) -> bool:
    """Whether a person meant a file rather than a family's name."""
    return name.endswith((".yaml", ".yml", ".json")) or Path(name).is_file()


def named_shape(name: str) -> Architecture:
    """A published family by name; raises SpecError that also says how to name a file."""
    try:
        return family(name)
    except SpecError as error:
        known = "" if "known are" in str(error) else f" (known are {', '.join(FAMILIES)})"
        raise SpecError(f"{error}{known}; a file's name ends in .yaml or .json") from None
