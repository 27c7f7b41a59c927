"""A device that is a formula: launches, two caches and a memory, narrow matrices that multiply slowly; and noise from a seed."""

from __future__ import annotations

import random

from analysis.records.latency import Latency, Spread
from search_space import cost
from search_space.architecture import Architecture
from search_space.budget import Budget
from search_space.space import SearchSpace

PROMPT_TOKENS, NEW_TOKENS = 64, 64
LAUNCH_MS, GATE_MS, HEAD_MS, NORM_MS = 0.06, 0.012, 0.002, 0.03
"""Milliseconds of a block, of a gated MLP, of a head, of norms of queries and keys."""
CACHES = ((2e6, 80e9), (24e6, 20e9), (float("inf"), 9e9))
"""Bytes that a level holds, and bytes per second at which it is read."""
FLOPS = 60e9
"""A second, where matrices are wide."""
WIDE = 48
"""A matrix this wide multiplies at half of that."""


def planted_space(parameters: int) -> SearchSpace:
    """Shapes of a size, deep and wide, shared and not."""
    return SearchSpace.parse(
        {
            "vocab_size": 2048,
            "num_unique_layers": {"from": 1, "to": 16},
            "hidden_size": {"from": 96, "to": 512, "step": 32},
            "head_dim": [16, 32],
            "num_attention_heads": {"ratio_of_hidden": [0.5, 1.0]},
            "num_key_value_heads": [1, 2, 4],
            "intermediate_size": {"solve": True, "multiple_of": 16, "ratio": [1, 6]},
            "mlp": ["swiglu", "relu"],
            "sharing": ["none", {"strategy": "immediate", "repeats": 2}, {"strategy": "repeat_all_over", "repeats": 2}],
            "tie_word_embeddings": True,
        },
        Budget.parse({"parameters": parameters}),
    )


def planted_ms(a: Architecture, slower: float = 1.0) -> tuple[float, float]:
    """The prompt's time and that of one new token, without noise; `slower` divides the bandwidth and the speed of products alone."""
    held = 4.0 * (cost.parameters(a))
    left, seconds, share = held, 0.0, 4.0 * cost.executed_matrix_parameters(a) / held
    for size, speed in CACHES:
        part = min(left, size)
        seconds += share * part / speed
        left -= part
    launches = a.num_hidden_layers * (LAUNCH_MS + HEAD_MS * a.num_attention_heads + (GATE_MS if a.mlp == "swiglu" else 0.0))
    launches += a.num_hidden_layers * NORM_MS if a.qk_norm else 0.0
    attention = 2 * PROMPT_TOKENS * cost.attention_matrix_parameters(a) * (1 + WIDE / (a.head_dim * a.num_attention_heads))
    products = attention + 2 * PROMPT_TOKENS * cost.mlp_matrix_parameters(a) * (1 + WIDE / a.hidden_size)
    prefill = a.num_hidden_layers * products / FLOPS * 1e3 * slower + 2 * launches
    return prefill, 0.05 + launches + seconds * 1e3 * slower


def planted_latency(a: Architecture, seed: int = 0, noise: float = 0.02, slower: float = 1.0, **changes: object) -> Latency:
    """A measurement of it, in a record's form; equal arguments, equal numbers."""
    draw = random.Random(f"{a.key} {seed}")
    prefill, decode = (ms * (1 + draw.gauss(0, noise)) for ms in planted_ms(a, slower))
    values: dict[str, object] = {
        "total_ms": _spread(prefill + NEW_TOKENS * decode),
        "prefill_ms": _spread(prefill),
        "decode_ms_per_token": _spread(decode),
        "repeats": 5,
        "prompt_tokens": PROMPT_TOKENS,
        "new_tokens": NEW_TOKENS,
        "runtime": "onnxruntime",
        "runtime_version": "1.0",
        "precision": "float32",
        "threads": 1,
        "pinned_cpus": (0,),
        "device": "planted",
        "load_average": 0.1,
        "disturbed": False,
        "protocol": "archfront-3",
    }
    return Latency(**{**values, **changes})  # type: ignore[arg-type]


def _spread(median: float) -> Spread:
    return Spread(median=median, p10=0.99 * median, p90=1.01 * median)
