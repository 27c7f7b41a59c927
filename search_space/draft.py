"""A point some of whose sizes are still open: what they are at a width, whether the budget allows it, and the shape of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace
from typing import Any

from search_space.architecture import Architecture, nearest_divisor
from search_space.budget import Budget, Limit
from search_space.cost_polynomial import CostTerms, counted_at, open_sizes
from search_space.dimensions import Dimension, Solved

RATIO = "intermediate_size / hidden_size"

Sizes = tuple[int, int, int, int]
"""Width, heads, key-value heads and the MLP's width."""


class InfeasibleError(Exception):
    """A point that builds no shape within the budget."""

    def __init__(self, reason: str, near: Callable[[], str] | None = None, distance: float = math.inf) -> None:
        super().__init__(reason)
        self.reason = reason
        """The limit that removed the point; equal for points that the same limit removed."""
        self.distance = distance
        """Relative distance of the shape that came closest from the limit; infinite where there is none."""
        self._near = near

    @property
    def near(self) -> str | None:
        """The shape that came closest, in words, which are made for the one that is told."""
        return None if self._near is None else self._near()

    def __reduce__(self) -> tuple[Callable[..., InfeasibleError], tuple[str, str | None, float]]:
        """A space that goes to another process has its nearest miss with it, whose words are made before."""
        return _told, (self.reason, self.near, self.distance)


def _told(reason: str, near: str | None, distance: float) -> InfeasibleError:
    return InfeasibleError(reason, None if near is None else lambda: near, distance)


@dataclass(frozen=True, slots=True)
class SizeRules:
    """What a space says of the sizes of all of its points."""

    relative: Mapping[str, Dimension]
    """Dimensions whose choices are ratios."""
    solved: Mapping[str, Solved]
    """Sizes that the budget decides."""
    ratio: tuple[float, float]
    """Least and most of intermediate_size / hidden_size."""


class Draft:
    """A point, and what its sizes may be under any budget."""

    def __init__(self, point: Mapping[str, Any], rules: SizeRules, terms: Sequence[CostTerms] = ()) -> None:
        """`terms` are what each limit of a budget counts, where many sizes are asked about."""
        self.point, self.rules, self.terms = point, rules, terms
        self.inner = rules.solved.get("intermediate_size")
        self._heads_follow, self._groups_follow = "num_attention_heads" in rules.relative, "num_key_value_heads" in rules.relative

    def at(self, width: int, budget: Budget) -> Sizes:
        """The sizes at this width; raises InfeasibleError."""
        heads, groups = self.heads(width)
        if self.inner is None:
            sizes = width, heads, groups, self.stated_inner(width)
            return self._checked(sizes, self._broken(sizes, budget))
        for inner in self._inners(width, heads, groups, budget):
            sizes = width, heads, groups, inner
            broken = self._broken(sizes, budget)
            if broken is None:
                break
        return self._checked(sizes, broken)

    def built(self, sizes: Sizes) -> Architecture:
        """The shape of these sizes."""
        width, heads, groups, inner = sizes
        stated = {"hidden_size": width, "num_attention_heads": heads, "num_key_value_heads": groups, "intermediate_size": inner}
        depth = self.point["num_unique_layers"] * self.point["sharing"].repeats
        return Architecture(**{**self.point, **stated, "layer_types": self.point["layer_types"][:depth]})

    def heads(self, width: int) -> tuple[int, int]:
        """Query and key-value heads; ratios go to the nearest number that divides. Raises InfeasibleError."""
        heads, groups = self.point["num_attention_heads"], self.point["num_key_value_heads"]
        if self._heads_follow:
            unit = 1 if self._groups_follow else groups
            heads = unit * max(1, round(heads * width / (self.point["head_dim"] * unit)))
        if self._groups_follow:
            groups = nearest_divisor(heads, groups * heads)
        if heads % groups:
            raise InfeasibleError("num_attention_heads is not a multiple of num_key_value_heads")
        if self._heads_follow and heads < (least := self.rules.relative["num_attention_heads"].least):
            raise InfeasibleError(f"num_attention_heads below {least}")
        return heads, groups

    def stated_inner(self, width: int) -> int:
        """The MLP's width where the point says it."""
        inner, relative = self.point["intermediate_size"], self.rules.relative.get("intermediate_size")
        if relative is None:
            return int(inner)
        units: int = max(1, round(inner * width / relative.multiple_of))
        return relative.multiple_of * units

    def _spent(self, sizes: Sizes, budget: Budget) -> list[float]:
        """What a shape of these sizes costs in each limit."""
        if self.terms:
            return [terms.at(*sizes) for terms in self.terms]
        return [counted_at(limit, self._open, *sizes) for limit in budget.limits]

    @cached_property
    def _open(self) -> SimpleNamespace:
        return open_sizes(self.point)

    def _lines(self, width: int, heads: int, groups: int, budget: Budget) -> list[tuple[float, float]]:
        """Cost without an MLP and cost of one unit of intermediate_size, for each limit; exact over 16 units (whole bytes of int4)."""
        if self.terms:
            return [terms.line(width, heads, groups) for terms in self.terms]
        ends = [self._spent((width, heads, groups, inner), budget) for inner in (16, 32)]
        return [(2 * one - two, (two - one) / 16) for one, two in zip(*ends, strict=True)]

    def _inners(self, width: int, heads: int, groups: int, budget: Budget) -> Iterator[int]:
        """Values of intermediate_size worth trying, nearest to the target first; raises InfeasibleError where the ratio allows none."""
        assert self.inner is not None
        step, (least, most), target = self.inner.multiple_of, self.rules.ratio, budget.target
        low, high = max(self.inner.low, 1.0, least * width), min(float(self.inner.high), most * width)
        for limit, (base, slope) in zip(budget.limits, self._lines(width, heads, groups, budget), strict=True):
            lowest, highest = (limit.lowest - base) / slope, (limit.highest - base) / slope
            low, high = lowest if lowest > low else low, highest if highest < high else high
            if limit is target:
                wanted = (limit.value - base) / slope
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        nearest = round(wanted / step)
        if first <= last:
            best = first if nearest < first else min(nearest, last)
            yield step * best
            for beside in (best - 1, best + 1):  # a limit may be off by the part of a byte that was rounded up
                if first <= beside <= last:
                    yield step * beside
        elif wanted < least * width:
            raise self._ratio_miss(f"below {least:g}", width, wanted, least)
        elif wanted > most * width:
            raise self._ratio_miss(f"above {most:g}", width, wanted, most)
        else:
            yield step * max(1, nearest)  # breaks a limit: `_checked` says which

    def _ratio_miss(self, side: str, width: int, wanted: float, edge: float) -> InfeasibleError:
        base = f"hidden_size {width} with {self.point['num_unique_layers']} unique layers"
        if wanted < 1:
            return InfeasibleError("nothing left for the MLP", lambda: f"{base} leaves nothing for the MLP", edge - wanted / width)
        near = f"{base} would need intermediate_size {wanted:.0f}, {wanted / width:.2f} times the width"
        return InfeasibleError(f"{RATIO} {side}", lambda: near, abs(wanted / width - edge))

    def _broken(self, sizes: Sizes, budget: Budget) -> tuple[Limit, float] | None:
        """The limit that a shape of these sizes breaks by most, and what it spends of it; None where it breaks none."""
        found = [(limit, spent) for limit, spent in zip(budget.limits, self._spent(sizes, budget), strict=True) if not limit.holds(spent)]
        return max(found, key=lambda pair: pair[0].miss(pair[1])) if found else None

    def _checked(self, sizes: Sizes, broken: tuple[Limit, float] | None) -> Sizes:
        width, _, _, inner = sizes
        if broken is not None:
            limit, spent = broken
            near = lambda: f"{self.built(sizes).label} spends {spent:,} {limit.quantity}"  # noqa: E731
            raise InfeasibleError(limit.breach, near, limit.miss(spent))
        if self.inner is not None and not self.inner.low <= inner <= self.inner.high:
            raise InfeasibleError(f"intermediate_size outside {self.inner.low:,} to {self.inner.high:,}")
        ratio, (least, most) = inner / width, self.rules.ratio
        for side, edge, beyond in (("below", least, least - ratio), ("above", most, ratio - most)):
            if beyond > 1e-9:
                raise InfeasibleError(f"{RATIO} {side} {edge:g}", lambda: f"{self.built(sizes).label} has {ratio:.2f}", beyond)
        return sizes
