"""Rows of a table as decoders: columns with Hugging Face's names, or others' for the same; a list in a cell has a value for each block."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from analysis.latency.cost_terms import Layer, Stack, Workload, decode_terms, prefill_terms
from search_space.architecture import LARGEST_ATTRIBUTE
from search_space.sharing import MOST_BLOCKS, Sharing

OTHER_NAMES: dict[str, tuple[str, ...]] = {
    "hidden_size": ("n_embd", "embed_dim", "d_model"),
    "num_hidden_layers": ("n_layer", "num_layers", "n_layers"),
    "num_attention_heads": ("n_head", "num_heads", "n_heads"),
    "num_key_value_heads": ("n_kv_heads", "num_kv_heads", "n_kv_head", "n_head_kv"),
    "head_dim": ("d_head", "head_size"),
    "intermediate_size": ("n_inner", "d_inner", "d_ff", "ffn_dim", "d_mlp", "mlp_hidden_size", "ffn_hidden_size"),
    "mlp_ratio": ("intermediate_ratio",),
    "vocab_size": ("n_vocab", "vocabulary_size"),
    "mlp": ("hidden_act",),
    "sharing": (),
    "num_unique_layers": (),
    "sliding_window": (),
    "layer_types": (),
    "prompt_tokens": (),
    "new_tokens": (),
}
"""What a decoder is made of, with other names for the same, in lower case with underscores."""
EXTRA_FEATURES = ("bias", "attention_bias", "mlp_bias", "qkv_bias", "batch_size", "sequence_length")
"""Columns beside a decoder's that are features wherever they are there."""
NEEDED = ("hidden_size", "num_hidden_layers")
"""Columns without which a table is taken column by column."""
ASSUMED = {
    "num_attention_heads": "hidden_size / 64",
    "num_key_value_heads": "num_attention_heads",
    "head_dim": "hidden_size / num_attention_heads",
    "intermediate_size": "4 x hidden_size",
    "vocab_size": "32,000",
    "mlp": "ungated",
}
"""What stands for a column that is missing."""
VOCABULARY = 32_000
UNKNOWN_WORKLOAD = Workload(64, 1, "float16")
"""Where the table does not say what was timed: of tokens and bytes only the proportions matter, and the prices make up for those."""
UNSTATED_TOKENS = {"prompt_tokens": 1, "new_tokens": 0}
"""What the one number of a workload is where the other number alone is stated."""
GATED, NOT = {"swiglu", "silu", "geglu", "gated"}, {"not", "non", "un"}


def work(stack: Stack, stated: Mapping[str, float]) -> dict[str, float]:
    """Terms of a stated workload: the prompt's, and the new tokens' together; what is not stated is as `UNSTATED_TOKENS` says."""
    tokens = {**UNSTATED_TOKENS, **stated}
    workload = Workload(int(tokens["prompt_tokens"]), int(tokens["new_tokens"]), UNKNOWN_WORKLOAD.precision)
    prompt = {f"prompt {name}": amount for name, amount in prefill_terms(stack, workload).items()}
    return prompt | {name: workload.new_tokens * amount for name, amount in decode_terms(stack, workload).items()}


def stack_of(row: Mapping[str, Any]) -> Stack:
    """A row's decoder; a list holds one value for each block. Raises ValueError, IndexError or ArithmeticError where it is none."""
    hidden, depth = whole(row["hidden_size"]), whole(row["num_hidden_layers"])
    if depth > MOST_BLOCKS:
        raise ValueError(depth)
    heads = _each(row.get("num_attention_heads"), depth, whole) or [max(1.0, hidden // 64)] * depth
    groups = _each(row.get("num_key_value_heads"), depth, whole) or heads
    dims = _each(row.get("head_dim"), depth, whole) or [hidden / number for number in heads]
    ratios = _each(row.get("mlp_ratio"), depth, positive_number)
    inner = _each(row.get("intermediate_size"), depth, whole) or [hidden * ratio for ratio in ratios or [4.0] * depth]
    unique = whole(row.get("num_unique_layers") or depth)
    strategy = row.get("sharing") or ("none" if unique == depth else "immediate")
    schedule = Sharing(strategy if unique < depth else "none", depth // unique).schedule(unique)
    kinds = [word for word in re.split(r"[^a-z_]+", str(row.get("layer_types") or "").lower()) if word]
    reach = float(row.get("sliding_window") or 0)
    window = whole(reach) if reach else None
    return Stack(
        hidden_size=hidden,
        vocab_size=whole(row.get("vocab_size") or VOCABULARY),
        layers=tuple(
            Layer(
                heads=heads[place],
                key_value_heads=groups[place],
                head_dim=dims[place],
                intermediate_size=inner[place],
                gated=is_gated(str(row.get("mlp", ""))),
                window=window if not kinds or kinds[place % len(kinds)].startswith("sliding") else None,
                attention=schedule[place],
                mlp=schedule[place],
            )
            for place in range(depth)
        ),
    )


def is_gated(mlp: str) -> bool:
    """Whether the words of a cell say so: `gated-gelu` does, `ungated` and `non-gated` do not."""
    words = set(re.findall(r"[a-z]+", mlp.lower()))
    return bool(words & GATED) and not words & NOT


def unread(cells: Mapping[str, Sequence[str]]) -> set[str]:
    """Names of a decoder whose cells say nothing beside those of the others."""
    told = {name for name, column in cells.items() if all(cell.strip() for cell in column)}
    beside = {"mlp_ratio": "intermediate_size" in told, "layer_types": "sliding_window" not in cells}
    return {name for name, idle in {**beside, "sharing": "num_unique_layers" not in cells}.items() if idle}


def size(stack: Stack) -> float:
    """Weights that a token is multiplied with."""
    blocks = sum(
        2 * layer.head_dim * (layer.heads + layer.key_value_heads) + (3 if layer.gated else 2) * layer.intermediate_size
        for layer in stack.layers
    )
    return stack.hidden_size * (blocks + stack.vocab_size)


def _each(cell: str | None, depth: int, read: Callable[[float], float]) -> list[float] | None:
    """A block's value each, from one number or a list of at least as many; None from an empty cell. Raises ValueError as `read` does."""
    if cell is None or not cell.strip():
        return None
    found = [read(number) for number in numbers(cell)]
    if len(found) == 1:
        return found * depth
    if len(found) < depth:
        raise ValueError(cell)
    return found[:depth]


def positive_number(cell: str | float) -> float:
    """A cell's number; raises ValueError where it is not finite and above 0."""
    number = float(cell)
    if not (math.isfinite(number) and number > 0):
        raise ValueError(cell)
    return number


def whole(cell: str | float) -> int:
    """A cell's number; raises ValueError where it is not a whole one from 1 to `LARGEST_ATTRIBUTE`."""
    number = positive_number(cell)
    if number != int(number) or number > LARGEST_ATTRIBUTE:
        raise ValueError(cell)
    return int(number)


def numbers(cell: str) -> list[float]:
    """A number, or a list such as `4-8-12`, `[4, 8, 12]` or `4 8 12`."""
    try:
        return [float(cell)]
    except ValueError:
        return [float(word) for word in re.split(r"[-,;:|\s\[\]()]+", cell.strip()) if word]
