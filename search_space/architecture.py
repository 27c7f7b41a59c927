"""One decoder-only transformer, in Hugging Face's words; says why a shape is invalid."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from dataclasses import fields as attributes
from functools import cache, lru_cache
from math import isqrt
from typing import Any, Self

from search_space.errors import SpecError, quoted, shortened, unknown_key, value_kind
from search_space.field import FieldKind
from search_space.fields import BY_NAME, FIELDS
from search_space.sharing import MOST_BLOCKS, Sharing

LAYER_TYPES = BY_NAME["layer_types"].choices
INITIALIZER_RANGE = 0.02

LARGEST_ATTRIBUTE = 1 << 30
"""Largest size of a shape, a thousand times what any has."""
SIZES = tuple(field.name for field in FIELDS if field.counted)
READ_ALIKE = tuple(field for field in FIELDS if field.kind in (FieldKind.BOOL, FieldKind.CHOICE, FieldKind.REAL))
"""What is read alike here and in a space."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """A decoder-only transformer: pre-RMSNorm, RoPE, no biases but those of `attention_bias`.

    Equal objects build the same function: what makes no difference (the strategy of a part that runs once, a window that no
    layer uses) is brought to one form at construction. Raises SpecError where the shape cannot be built.
    """

    vocab_size: int
    """Rows of the embedding table."""
    hidden_size: int
    """Width of the residual stream."""
    num_unique_layers: int
    """Blocks stored; what `sharing` repeats."""
    num_attention_heads: int
    """Query heads per block."""
    num_key_value_heads: int
    """Key and value heads per block: all of them is MHA, 1 is MQA."""
    head_dim: int
    """Width of a head, free of `hidden_size`; even, since RoPE turns pairs."""
    intermediate_size: int
    """Inner width of the MLP."""
    mlp: str = "swiglu"
    """`swiglu` (gated, three matrices), or ungated `gelu` or `relu` (two)."""
    tie_word_embeddings: bool = True
    """Whether the output projection is the embedding table."""
    sharing: Sharing = Sharing()  # noqa: RUF009, since it is frozen
    """Which stored part runs at each depth."""
    layer_types: tuple[str, ...] = ("full_attention",)
    """Attention of each executed block; a shorter pattern is repeated over the depth."""
    sliding_window: int | None = None
    """Keys that a `sliding_attention` block sees, itself included; None where no block slides."""
    rope_theta: float = 10_000.0
    """The base of RoPE's angles: the slowest pair of a head turns once in about 2 pi times so many tokens."""
    rms_norm_eps: float = 1e-5
    """Added to the mean square that a norm divides by the root of."""
    attention_bias: str = "none"
    """`none`, or `qkv`: a bias on queries, keys and values and none on the output, as Qwen2 has them."""
    qk_norm: bool = False
    """Whether each head's queries and keys pass an RMSNorm over `head_dim` before RoPE, as Qwen3's do."""

    def __post_init__(self) -> None:
        for name in SIZES:
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise SpecError(f"{name} must be a whole number of at least 1, found {quoted(value)}; correct it")
            if value > LARGEST_ATTRIBUTE:
                raise SpecError(f"{name} must be at most {LARGEST_ATTRIBUTE:,}, found {quoted(value)}; lower it")
        if self.num_hidden_layers > MOST_BLOCKS:
            raise SpecError(
                f"num_unique_layers times sharing.repeats must be at most {MOST_BLOCKS:,}, found {self.num_hidden_layers:,}; lower one"
            )
        if self.num_attention_heads % self.num_key_value_heads:
            raise SpecError(
                f"num_attention_heads must be a multiple of num_key_value_heads, found {self.num_attention_heads} and "
                f"{self.num_key_value_heads}; choose one of {_listed(divisors(self.num_attention_heads))} key-value heads"
            )
        if self.head_dim % 2:
            raise SpecError(f"head_dim must be even because RoPE turns pairs, found {self.head_dim}; choose {self.head_dim + 1}")
        for field in READ_ALIKE:
            value = getattr(self, field.name)
            if value is not field.default:
                object.__setattr__(self, field.name, field.read(field.name, value))
        if self.num_unique_layers == 1 and self.sharing.strategy not in ("none", "immediate"):
            object.__setattr__(self, "sharing", replace(self.sharing, strategy="immediate"))
        self._settle_attention()

    def _settle_attention(self) -> None:
        """Repeat the pattern over the depth and drop a window that no block uses."""
        if not isinstance(self.layer_types, list | tuple):
            raise SpecError(f"layer_types must be a list such as [{', '.join(LAYER_TYPES)}], found {quoted(self.layer_types)}; write one")
        depth, pattern = self.num_hidden_layers, tuple(self.layer_types)
        if not 1 <= len(pattern) <= depth:
            raise SpecError(f"layer_types must name 1 to {depth} blocks (a shorter pattern repeats), found {len(pattern)}; shorten it")
        for name in pattern:
            if name not in LAYER_TYPES:
                raise SpecError(f"layer_types must hold {' or '.join(LAYER_TYPES)}, found {quoted(name)}; choose one of them")
        object.__setattr__(self, "layer_types", pattern := repeated(pattern, depth))
        if "sliding_attention" not in pattern:
            object.__setattr__(self, "sliding_window", None)
        elif type(self.sliding_window) is not int or self.sliding_window < 1:
            raise SpecError(
                f"sliding_window must be a whole number of at least 1 where a block slides, found {quoted(self.sliding_window)}; state one"
            )

    @property
    def num_hidden_layers(self) -> int:
        """Blocks executed: what an unrolled export has, and what FLOPs, cache and latency follow."""
        return self.num_unique_layers * self.sharing.repeats

    @property
    def stored_attentions(self) -> int:
        """Attention parts (with their norm) that are stored."""
        return self.sharing.stored("attention", self.num_unique_layers)

    @property
    def stored_mlps(self) -> int:
        """MLP parts (with their norm) that are stored."""
        return self.sharing.stored("mlp", self.num_unique_layers)

    @property
    def attention_schedule(self) -> tuple[int, ...]:
        """Which stored attention runs at each depth; length `num_hidden_layers`."""
        return self._schedule(self.sharing.part != "mlp")

    @property
    def mlp_schedule(self) -> tuple[int, ...]:
        """Which stored MLP runs at each depth; length `num_hidden_layers`."""
        return self._schedule(self.sharing.part != "attention")

    def _schedule(self, shared: bool) -> tuple[int, ...]:
        return self.sharing.schedule(self.num_unique_layers) if shared else tuple(range(self.num_hidden_layers))

    @property
    def label(self) -> str:
        """A short name for tables and hovers: `30x576 9/3x64 f1536`, with what departs from the usual after it."""
        return " ".join(field.label(self) for field in FIELDS if field.label is not None and field.departs(self))

    @property
    def key(self) -> str:
        """Twelve hexadecimal digits that name this function: equal shapes, equal keys, on every machine."""
        return hashlib.sha256(json.dumps(self.as_dict(), sort_keys=True).encode()).hexdigest()[:12]

    def as_dict(self) -> dict[str, Any]:
        """Every field by its name, `num_hidden_layers` included, ready for JSON and YAML; later fields only where they depart."""
        later = tuple(name for name in ALL_KEYS if name not in KEYS and BY_NAME[name].departs(self))
        values: dict[str, Any] = {name: getattr(self, name) for name in (*KEYS, *later)}
        return values | {"sharing": self.sharing.as_dict(), "layer_types": list(self.layer_types)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The reverse of `as_dict`, kind to people: what has a usual value may be left out."""
        if not isinstance(values, Mapping):
            raise SpecError(f"an architecture must be a mapping of {', '.join(ALL_KEYS)}, found {value_kind(values)}; write one")
        for key in values:
            if key not in ALL_KEYS:
                raise unknown_key(str(key), key, ALL_KEYS)
        for name in SIZES:
            if name not in values and name != "num_unique_layers":
                raise SpecError(f"{name} is missing from the architecture; add it")
        fields = dict(values)
        sharing = fields["sharing"] = Sharing.parse(fields.get("sharing", "none"))
        executed = fields.pop("num_hidden_layers", None)
        if "num_unique_layers" not in fields:
            if executed is None:
                raise SpecError("num_unique_layers is missing from the architecture, and num_hidden_layers too; add one")
            if type(executed) is not int or executed % sharing.repeats:
                raise SpecError(
                    f"num_unique_layers is missing and num_hidden_layers ({quoted(executed)}) is not a multiple of the "
                    f"{sharing.repeats} repeats; add it"
                )
            fields["num_unique_layers"] = executed // sharing.repeats
        fields["layer_types"] = fields.get("layer_types") or ("full_attention",)
        if fields["num_key_value_heads"] is None:  # the field's word for all of them
            fields["num_key_value_heads"] = fields["num_attention_heads"]
        built = cls(**fields)
        if executed not in (None, built.num_hidden_layers):
            raise SpecError(
                f"num_hidden_layers must be num_unique_layers times sharing.repeats = {built.num_hidden_layers}, found {quoted(executed)}; "
                "leave it out or correct it"
            )
        return built


def _keys() -> Iterator[str]:
    """The attributes in their order, and the executed depth before the stored one."""
    for attribute in attributes(Architecture):
        yield from ("num_hidden_layers", attribute.name) if attribute.name == "num_unique_layers" else (attribute.name,)


ALL_KEYS = tuple(_keys())
"""All that an architecture's mapping may have."""
KEYS = tuple(name for name in ALL_KEYS if name not in BY_NAME or BY_NAME[name].always_written)
"""What it always has."""


@cache
def repeated(pattern: tuple[str, ...], depth: int) -> tuple[str, ...]:
    """A pattern over the depth; one object for all shapes that have it, since a space has hundreds of thousands of them."""
    return pattern if len(pattern) == depth else (pattern * (depth // len(pattern) + 1))[:depth]


def _listed(numbers: tuple[int, ...]) -> str:
    return shortened(", ".join(map(str, numbers)))


@cache
def divisors(number: int) -> tuple[int, ...]:
    """All whole numbers that divide one, ascending."""
    small = [n for n in range(1, isqrt(number) + 1) if number % n == 0]
    return tuple(dict.fromkeys([*small, *(number // n for n in reversed(small))]))


@lru_cache(1 << 16)
def nearest_divisor(number: int, wanted: float) -> int:
    """The divisor that is nearest to what is wanted; of two alike the smaller one."""
    return min(divisors(number), key=lambda found: (abs(found - wanted), found))
