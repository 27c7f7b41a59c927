"""What a limit counts as a polynomial of the sizes that a budget decides: a width is searched for among thousands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, cast

from search_space import cost
from search_space.architecture import Architecture, repeated
from search_space.budget import Limit
from search_space.fields import OPTIONAL

LEFT_OUT = {field.name: field.default for field in OPTIONAL}
"""What a point may leave out."""
PROBED_SIZES = ((0, 0, 0, 0), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (1, 1, 0, 0), (1, 0, 1, 0), (1, 0, 0, 1))
"""Widths, heads, key-value heads and MLP widths that tell the terms apart; no cost has another product of them."""


@dataclass(frozen=True, slots=True)
class CostTerms:
    """A cost as c + w W + h H + g G + wh WH + wg WG + wi WI, at width W, heads H, key-value heads G and MLP width I."""

    c: int
    w: int
    h: int
    g: int
    wh: int
    wg: int
    wi: int
    bits: int | None
    """Bits of each weight where bytes are counted, which are whole."""

    def at(self, width: float, heads: float, groups: float, inner: float) -> float:
        """The cost of these sizes; as the closed forms count it where they are whole."""
        found = self.c + self.h * heads + self.g * groups + width * (self.w + self.wh * heads + self.wg * groups + self.wi * inner)
        return found if self.bits is None else (found * self.bits + 7) // 8

    def line(self, width: int, heads: int, groups: int) -> tuple[float, float]:
        """The cost without an MLP and that of one unit of its width; exact over 16 units (whole bytes of int4)."""
        sixteen = width * self.wi * (16 if self.bits is None else 2 * self.bits)
        return self.at(width, heads, groups, 16) - sixteen, sixteen / 16

    def along(self, share: float, off: float, groups: float, ratio: float) -> tuple[float, float, float]:
        """Coefficients of the second, first and zeroth power of the width, where `share` times it and `off` are the heads, `groups` of
        these the key-value heads, and `ratio` times it the MLP's width.
        """
        each, wide = self.h + groups * self.g, self.wh + groups * self.wg
        found = share * wide + ratio * self.wi, self.w + share * each + off * wide, self.c + off * each
        unit = 1.0 if self.bits is None else self.bits / 8
        return unit * found[0], unit * found[1], unit * found[2]


def cost_terms(point: Mapping[str, Any], limit: Limit) -> CostTerms:
    """What a limit counts of a point's shapes, whatever their sizes."""
    bits = cost.BITS_PER_WEIGHT[limit.precision] if limit.quantity == "weight_bytes" else None
    return _terms(tuple(point.items()), "parameters" if bits else limit.quantity, limit.context_tokens, bits)


@lru_cache(maxsize=8_192)
def _terms(point: tuple[tuple[str, Any], ...], quantity: str, context_tokens: int, bits: int | None) -> CostTerms:
    sizes, limit = open_sizes(dict(point)), Limit(quantity, 1.0, context_tokens=context_tokens)
    c, w, h, g, wh, wg, wi = (counted_at(limit, sizes, *probe) for probe in PROBED_SIZES)
    return CostTerms(c, w - c, h - c, g - c, wh - w - h + c, wg - w - g + c, wi - w, bits)


def open_sizes(point: Mapping[str, Any]) -> SimpleNamespace:
    """What closed forms read of a shape, its sizes still open: a shape itself is checked, which takes several times as long."""
    sharing, blocks = point["sharing"], point["num_unique_layers"]
    depth = blocks * sharing.repeats
    return SimpleNamespace(
        **{**LEFT_OUT, **point, "layer_types": repeated(point["layer_types"][:depth], depth)},
        num_hidden_layers=depth,
        stored_attentions=sharing.stored("attention", blocks),
        stored_mlps=sharing.stored("mlp", blocks),
    )


def counted_at(limit: Limit, sizes: SimpleNamespace, width: int, heads: int, groups: int, inner: int) -> int:
    """What a limit counts of open sizes once they are these."""
    sizes.hidden_size, sizes.num_attention_heads, sizes.num_key_value_heads, sizes.intermediate_size = width, heads, groups, inner
    return limit.measure(cast(Architecture, sizes))
