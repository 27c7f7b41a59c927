"""From a point to the one shape that spends its budget, or the reason why there is none.

Every limit is affine in `intermediate_size` and grows with `hidden_size`, so the MLP is solved exactly and the width by bisection.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from search_space.architecture import Architecture
from search_space.budget import Budget, Limit
from search_space.dimensions import Dimension, Solved

MIDDLE_RATIO = 8 / 3
"""MLP ratio aimed at where both sizes are solved and no ratio limits are stated: a gated MLP as large as 4x ungated (arXiv 2002.05202)."""


class Infeasible(Exception):
    """A point that builds no shape within the budget."""

    def __init__(self, reason: str, near: str | None = None, distance: float = math.inf) -> None:
        super().__init__(reason)
        self.reason = reason
        """The limit that removed the point; equal for points that the same limit removed."""
        self.near = near
        """The shape that came closest, in words."""
        self.distance = distance
        """Relative distance of that shape from the limit; infinite where there is none."""


def solve(
    point: Mapping[str, Any], dimensions: tuple[Dimension, ...], solved: Mapping[str, Solved], ratio: tuple[float, float], budget: Budget
) -> Architecture:
    """The shape of a point: fixed sizes as they are, solved ones so that the budget is spent; raises Infeasible.

    Where both sizes are free, the width is the one whose MLP ratio comes closest to the middle of the ratio limits.
    """
    draft = _Draft(point, {d.name for d in dimensions if d.relative}, solved.get("intermediate_size"), ratio, budget)
    if "hidden_size" in point:
        return draft.at(point["hidden_size"])
    best: Infeasible | None = None
    for width in draft.widths(solved["hidden_size"]):
        try:
            return draft.at(width)
        except Infeasible as miss:
            if best is None or miss.distance < best.distance:
                best = miss
    raise best or Infeasible("no hidden_size is a multiple of what was asked")


class _Draft:
    """A point whose width is still open."""

    def __init__(self, point: Mapping[str, Any], relative: set[str], inner: Solved | None, ratio: tuple[float, float], budget: Budget):
        self.point, self.relative, self.inner, self.ratio, self.budget = point, relative, inner, ratio, budget
        pattern = point["layer_types"]
        depth = point["num_unique_layers"] * point["sharing"].repeats
        self.layer_types = pattern[:depth]
        self._lines: dict[int, list[tuple[float, float]]] = {}

    def at(self, width: int) -> Architecture:
        """The shape of this width; raises Infeasible."""
        heads, groups = self._heads(width)
        if self.inner is None:
            inner = self.point["intermediate_size"]
            if "intermediate_size" in self.relative:
                inner = max(8, round(inner * width / 8) * 8)
            return self._checked(self._build(width, heads, groups, inner))
        return self._checked(self._build(width, heads, groups, self._solve_inner(width, heads, groups)))

    def widths(self, sizes: Solved) -> Iterator[int]:
        """Widths worth trying, best first."""
        step = sizes.multiple_of
        low, high = -(-sizes.low // step), sizes.high // step
        first, last = low, high
        while first < last:  # the first width at which too much is spent
            middle = (first + last) // 2
            first, last = (first, middle) if self._too_wide(middle * step) else (middle + 1, last)
        if self.inner is None:
            yield from (n * step for n in (first, first - 1) if low <= n <= high)
            return
        best = min((n for n in (first, first - 1) if low <= n <= high), key=lambda n: self._off_middle(n * step))
        for distance in range(high - low + 1):
            around = [n for n in {best + distance, best - distance} if low <= n <= high and self._ratio_holds(n * step)]
            if not around:
                if distance:
                    return
                around = [best]  # nothing holds the ratio: let `at` say which side it breaks
            yield from (n * step for n in sorted(around, key=lambda n: self._off_middle(n * step)))

    def _heads(self, width: int) -> tuple[int, int]:
        """Query and key-value heads; ratios go to the nearest number that divides."""
        heads, groups = self.point["num_attention_heads"], self.point["num_key_value_heads"]
        grouped = "num_key_value_heads" not in self.relative
        if "num_attention_heads" in self.relative:
            unit = groups if grouped else 1
            heads = unit * max(1, round(heads * width / (self.point["head_dim"] * unit)))
        if not grouped:
            wanted = groups * heads
            groups = min(_divisors(heads), key=lambda n: (abs(n - wanted), n))
        if heads % groups:
            raise Infeasible("num_attention_heads is not a multiple of num_key_value_heads")
        return heads, groups

    def _build(self, width: int, heads: int, groups: int, inner: int) -> Architecture:
        return Architecture(
            vocab_size=self.point["vocab_size"],
            hidden_size=width,
            num_unique_layers=self.point["num_unique_layers"],
            num_attention_heads=heads,
            num_key_value_heads=groups,
            head_dim=self.point["head_dim"],
            intermediate_size=inner,
            mlp=self.point["mlp"],
            tie_word_embeddings=self.point["tie_word_embeddings"],
            sharing=self.point["sharing"],
            layer_types=self.layer_types,
            sliding_window=self.point["sliding_window"],
        )

    def _limit_lines(self, width: int, heads: int, groups: int) -> list[tuple[float, float]]:
        """For each limit: cost without an MLP and cost of one unit of intermediate_size; exact over 16 units (whole bytes of int4)."""
        if width not in self._lines:
            small, large = (self._build(width, heads, groups, n) for n in (16, 32))
            costs = [(limit.measure(small), limit.measure(large)) for limit in self.budget.limits]
            self._lines[width] = [(2 * one - two, (two - one) / 16) for one, two in costs]
        return self._lines[width]

    def _wanted(self, width: int, heads: int, groups: int) -> float:
        """The real-valued intermediate_size that would spend the target to the last unit."""
        target = self.budget.target
        assert target is not None  # SearchSpace.parse refuses to solve without a target
        base, slope = self._limit_lines(width, heads, groups)[self.budget.limits.index(target)]
        return (target.value - base) / slope

    def _solve_inner(self, width: int, heads: int, groups: int) -> int:
        assert self.inner is not None
        step, (least, most) = self.inner.multiple_of, self.ratio
        wanted = self._wanted(width, heads, groups)
        low, high = max(self.inner.low, 1.0), float(self.inner.high)
        for limit, (base, slope) in zip(self.budget.limits, self._limit_lines(width, heads, groups), strict=True):
            low, high = max(low, (limit.lowest - base) / slope), min(high, (limit.highest - base) / slope)
        low, high = max(low, least * width), min(high, most * width)
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        nearest = round(wanted / step)
        if first <= last:
            return step * min(max(nearest, first), last)
        if wanted < least * width:
            raise Infeasible(
                f"intermediate_size / hidden_size below {least:g}",
                self._near(width, heads, groups, wanted),
                (least * width - wanted) / (least * width),
            )
        if wanted > most * width:
            raise Infeasible(
                f"intermediate_size / hidden_size above {most:g}",
                self._near(width, heads, groups, wanted),
                (wanted - most * width) / (most * width),
            )
        return step * max(1, nearest)  # breaks a limit: `_checked` says which

    def _near(self, width: int, heads: int, groups: int, inner: float) -> str:
        base = f"hidden_size {width} with {self.point['num_unique_layers']} unique layers"
        return (
            f"{base} would need intermediate_size {inner:.0f}, {inner / width:.2f} times the width"
            if inner >= 1
            else f"{base} leaves nothing for the MLP"
        )

    def _checked(self, a: Architecture) -> Architecture:
        broken = self.budget.violated(a)
        ratio = a.intermediate_size / a.hidden_size
        if broken is not None:
            spent = broken.measure(a)
            edge = broken.highest if spent > broken.highest else broken.lowest
            kind = f"{broken.quantity} outside" if broken.tolerance is not None else f"{broken.quantity} above the limit:"
            raise Infeasible(f"{kind} {broken}", f"{a.label} spends {spent:,} {broken.quantity}", abs(spent - edge) / broken.value)
        if not self.ratio[0] - 1e-9 <= ratio <= self.ratio[1] + 1e-9:
            side = f"below {self.ratio[0]:g}" if ratio < self.ratio[0] else f"above {self.ratio[1]:g}"
            raise Infeasible(f"intermediate_size / hidden_size {side}")
        return a

    def _too_wide(self, width: int) -> bool:
        try:
            heads, groups = self._heads(width)
        except Infeasible:
            return False
        if self.inner is not None:
            return self._wanted(width, heads, groups) < self._middle() * width
        target = self.budget.target
        assert target is not None
        inner = self.point["intermediate_size"]
        inner = max(8, round(inner * width / 8) * 8) if "intermediate_size" in self.relative else inner
        return target.measure(self._build(width, heads, groups, inner)) > target.value

    def _middle(self) -> float:
        low, high = self.ratio
        return math.sqrt(low * high) if low > 0 and math.isfinite(high) else min(max(MIDDLE_RATIO, low), high)

    def _off_middle(self, width: int) -> float:
        try:
            wanted = self._wanted(width, *self._heads(width))
        except Infeasible:
            return math.inf
        return abs(math.log(wanted / width / self._middle())) if wanted > 0 else math.inf

    def _ratio_holds(self, width: int) -> bool:
        try:
            wanted = self._wanted(width, *self._heads(width))
        except Infeasible:
            return True
        slack = self.inner.multiple_of if self.inner else 0  # rounding may bring it inside
        return self.ratio[0] * width - slack <= wanted <= self.ratio[1] * width + slack


@cache
def _divisors(number: int) -> tuple[int, ...]:
    return tuple(n for n in range(1, number + 1) if number % n == 0)
