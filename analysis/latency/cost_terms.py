"""What a shape's time on a device is made of: positive terms, each the amount of one kind of work, counted from the shape alone.

A device is modelled as a price for each kind: launching a block's operators, reading a byte of weights from memory or from a cache,
multiplying, attending. The roofline model (Williams et al. 2009) takes the larger of two such times; here they add up, for a token of a
small model goes through operators that are bound by different things, one after another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np

from analysis.statistics.arrays import Array
from search_space.architecture import Architecture
from search_space.cost import BITS_PER_WEIGHT
from search_space.fields import OPTIONAL

CACHES = tuple(2.0**power for power in range(18, 28))
"""Sizes, 256 KiB to 128 MiB, at which a device may have a cache that ends; the fit finds which do."""
BEYOND_CACHE = "weights beyond "
"""How the names of their terms begin."""
WEIGHT_TERMS = ("attention weights", "mlp weights", "repeated weights", "output")
"""Terms of decoding that are bytes of weights, all of them together."""
HALF_RATE_WIDTH = 768.0
"""Width of a layer at which a device multiplies at half of its rate, as long prompts are read: the half-performance length of Hockney and
Jesshope (1981). Chosen by what the law says of larger shapes than it saw, on three devices (docs/findings.md, 2026-11-28: latencies of
larger shapes than were measured, from a table's smaller ones)."""
CACHE_VALUE_BYTES = 4
"""Bytes of a cached key or value."""

OPERATORS_OF = tuple(field for field in OPTIONAL if field.attention_vectors is not None)
"""Fields that give an attention further operators, beside its matrices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One executed block."""

    heads: float
    key_value_heads: float
    head_dim: float
    intermediate_size: float
    gated: bool
    window: int | None = None
    """Keys that it sees at most."""
    attention: int
    """Which stored attention it runs."""
    mlp: int
    """Which stored MLP it runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """A decoder as a device sees it: blocks one after another, each with sizes of its own."""

    hidden_size: float
    vocab_size: float
    layers: tuple[Layer, ...]

    @classmethod
    def of(cls, a: Architecture) -> Self:
        """The blocks that an architecture executes."""
        return cls(
            hidden_size=a.hidden_size,
            vocab_size=a.vocab_size,
            layers=tuple(
                Layer(
                    heads=a.num_attention_heads,
                    key_value_heads=a.num_key_value_heads,
                    head_dim=a.head_dim,
                    intermediate_size=a.intermediate_size,
                    gated=a.mlp == "swiglu",
                    window=a.sliding_window if kind == "sliding_attention" else None,
                    attention=attention,
                    mlp=mlp,
                )
                for kind, attention, mlp in zip(a.layer_types, a.attention_schedule, a.mlp_schedule, strict=True)
            ),
        )


@dataclass(frozen=True, slots=True)
class Workload:
    """What is timed: a prompt in one pass, then new tokens one by one, batch 1."""

    prompt_tokens: int
    new_tokens: int
    precision: str
    """Precision of the weights."""


def prefill_terms(stack: Stack, workload: Workload) -> dict[str, float]:
    """Work of reading the prompt; logits of its last position only."""
    counted, tokens = _Counts(stack, workload), workload.prompt_tokens
    keys = [float(tokens if layer.window is None else min(tokens, layer.window)) for layer in stack.layers]
    return {
        "pass": 1.0,
        "blocks": float(len(stack.layers)),
        "gates": float(sum(layer.gated for layer in stack.layers)),
        "weights": counted.read,
        "attention products": 2 * tokens * sum(counted.attentions),
        "mlp products": 2 * tokens * sum(counted.mlps),
        "output": counted.output,
        "attended": tokens * sum(layer.heads * layer.head_dim * reach for layer, reach in zip(stack.layers, keys, strict=True)),
        "scores": tokens * sum(layer.heads * reach for layer, reach in zip(stack.layers, keys, strict=True)),
        "residual stream": tokens * len(stack.layers) * stack.hidden_size,
        "heads' width": tokens * counted.head_widths,
        "inner width": tokens * counted.inner_widths,
    }


def decode_terms(stack: Stack, workload: Workload) -> dict[str, float]:
    """Work of one new token, the middle one of the new tokens."""
    counted, cached = _Counts(stack, workload), workload.prompt_tokens + (workload.new_tokens + 1) // 2
    keys = [float(cached if layer.window is None else min(cached, layer.window)) for layer in stack.layers]
    values = sum(2 * layer.key_value_heads * layer.head_dim * reach for layer, reach in zip(stack.layers, keys, strict=True))
    read, held = counted.read, counted.stored + CACHE_VALUE_BYTES * values
    return {
        "token": 1.0,
        "blocks": float(len(stack.layers)),
        "gates": float(sum(layer.gated for layer in stack.layers)),
        "attention weights": counted.fresh_attention,
        "mlp weights": counted.fresh_mlp,
        "repeated weights": counted.repeated,
        **{f"{BEYOND_CACHE}{size / 2**20:g} MiB": read * max(0.0, 1 - size / held) for size in CACHES},
        "output": counted.output,
        "cache": values,
        "attended": sum(layer.heads * layer.head_dim * reach for layer, reach in zip(stack.layers, keys, strict=True)),
        "scores": sum(layer.heads * reach for layer, reach in zip(stack.layers, keys, strict=True)),
        "residual stream": len(stack.layers) * stack.hidden_size,
        "heads' width": counted.head_widths,
        "inner width": counted.inner_widths,
        "vocabulary": stack.vocab_size,
    }


def pass_terms(stack: Stack, workload: Workload) -> dict[str, float]:
    """Work of one pass over tokens, of which it is not known how many: the terms that can be told apart, and that larger shapes follow too.

    A product's rate rises with the width, so that its time grows like the width at first and like its square later. Shapes of two or
    three widths do not show where; `HALF_RATE_WIDTH` says it for them.
    """
    counted = _Counts(stack, workload)
    products = {"attention products": counted.fresh_attention, "mlp products": counted.fresh_mlp, "repeated products": counted.repeated}
    slow = 1 + HALF_RATE_WIDTH / stack.hidden_size
    return {
        "pass": 1.0,
        "blocks": float(len(stack.layers)),
        "gates": float(sum(layer.gated for layer in stack.layers)),
        **{name: amount * slow for name, amount in (products | {"output": counted.output}).items()},
        "attended": sum(layer.heads * layer.head_dim for layer in stack.layers),
        "scores": sum(layer.heads for layer in stack.layers),
    }


def field_terms(a: Architecture) -> dict[str, float]:
    """Executed blocks with the further operators of a field, by the field's name; 0 where it has its default."""
    return {field.name: float(a.num_hidden_layers) if field.departs(a) else 0.0 for field in OPERATORS_OF}


class _Counts:
    """Bytes and widths that both phases share."""

    def __init__(self, stack: Stack, workload: Workload) -> None:
        size, layers = BITS_PER_WEIGHT[workload.precision] / 8, stack.layers
        self.attentions = [2 * stack.hidden_size * layer.head_dim * (layer.heads + layer.key_value_heads) for layer in layers]
        self.mlps = [(3 if layer.gated else 2) * stack.hidden_size * layer.intermediate_size for layer in layers]
        again = [(one.attention == other.attention, one.mlp == other.mlp) for one, other in pairwise(layers)]
        attentions = sum(number for number, (repeats, _) in zip(self.attentions[1:], again, strict=True) if repeats)
        mlps = sum(number for number, (_, repeats) in zip(self.mlps[1:], again, strict=True) if repeats)
        self.output = size * stack.vocab_size * stack.hidden_size
        self.repeated = size * (attentions + mlps)
        """Bytes of the parts that ran in the block before, and may still be in a cache."""
        self.fresh_attention = size * (sum(self.attentions) - attentions)
        self.fresh_mlp = size * (sum(self.mlps) - mlps)
        self.read = self.fresh_attention + self.fresh_mlp + self.repeated + self.output
        parts = {("attention", layer.attention): number for layer, number in zip(layers, self.attentions, strict=True)}
        parts |= {("mlp", layer.mlp): number for layer, number in zip(layers, self.mlps, strict=True)}
        self.stored = size * sum(parts.values()) + self.output
        self.head_widths = sum(layer.head_dim * (layer.heads + 2 * layer.key_value_heads) for layer in layers)
        self.inner_widths = sum(layer.intermediate_size * (2 if layer.gated else 1) for layer in layers)


def outline(stack: Stack, workload: Workload) -> dict[str, float]:
    """Numbers in which shapes with equal work may still differ in time; all above 0, to be compared by their logarithms."""
    counted, layers = _Counts(stack, workload), stack.layers
    depth = len(layers)
    heads = sum(layer.heads * layer.head_dim for layer in layers) / depth
    return {
        "blocks": float(depth),
        "hidden_size": stack.hidden_size,
        "vocab_size": stack.vocab_size,
        "heads' width": heads / stack.hidden_size,
        "grouping": sum(layer.heads for layer in layers) / sum(layer.key_value_heads for layer in layers),
        "head_dim": sum(layer.head_dim for layer in layers) / depth,
        "intermediate_size": sum(layer.intermediate_size for layer in layers) / depth,
        "gates": 1 + sum(layer.gated for layer in layers) / depth,
        "repeats": counted.read / counted.stored,
        "repeats at once": 1 + counted.repeated / counted.read,
        "stored": counted.stored,
    }


def columns(rows: Sequence[Mapping[str, float]]) -> tuple[tuple[str, ...], Array]:
    """Names, and a matrix of shape [shapes, names]."""
    names = tuple(rows[0])
    return names, np.array([[row[name] for name in names] for row in rows], dtype=float)
