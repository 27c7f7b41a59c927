"""From a point to the one shape that spends its budget, or the reason why there is none.

Every limit is affine in `intermediate_size` and grows with `hidden_size`, so the MLP is solved exactly and the width by bisection.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import cached_property
from types import SimpleNamespace
from typing import Any

from search_space.architecture import Architecture, nearest_divisor
from search_space.budget import Budget, Limit
from search_space.cost_polynomial import CostTerms, cost_terms, counted_at, open_sizes
from search_space.dimensions import Dimension, Solved

MIDDLE_RATIO = 8 / 3
"""MLP ratio aimed at where both sizes are solved and no ratio limits are stated: a gated MLP as large as 4x ungated (arXiv 2002.05202)."""
WIDTH_PATIENCE = 8
"""Widths in a row on either side that may be out of reach before the search ends: rounded heads make the cost of a width uneven."""
RATIO = "intermediate_size / hidden_size"


class InfeasibleError(Exception):
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
    """The shape of a point: fixed sizes as they are, solved ones so that the budget is spent; raises InfeasibleError.

    Where both sizes are free, the width is the one whose MLP ratio comes closest to the middle of the ratio limits.
    """
    draft = _Draft(point, {d.name: d for d in dimensions if d.relative}, solved.get("intermediate_size"), ratio, budget)
    if "hidden_size" in point:
        return draft.at(point["hidden_size"])
    best: InfeasibleError | None = None
    for width in draft.widths(solved["hidden_size"]):
        try:
            return draft.at(width)
        except InfeasibleError as miss:
            if best is None or miss.distance < best.distance:
                best = miss
    raise best or InfeasibleError("no hidden_size is a multiple of what was asked")


def width_spending(square: float, linear: float, value: float) -> float:
    """The width at which these two powers of it come to so much; 0 where none above it does."""
    return max(0.0, (math.sqrt(max(0.0, linear**2 + 4 * square * value)) - linear) / (2 * square))


class _Draft:
    """A point whose width is still open."""

    def __init__(
        self,
        point: Mapping[str, Any],
        relative: Mapping[str, Dimension],
        inner: Solved | None,
        ratio: tuple[float, float],
        budget: Budget,
    ) -> None:
        self.point, self.relative, self.inner, self.ratio, self.budget = point, relative, inner, ratio, budget
        pattern = point["layer_types"]
        depth = point["num_unique_layers"] * point["sharing"].repeats
        self.layer_types = pattern[:depth]
        self._depth = depth
        self._lines: dict[int, list[tuple[float, float]]] = {}

    def at(self, width: int) -> Architecture:
        """The shape of this width; raises InfeasibleError."""
        heads, groups = self._heads(width)
        if self.inner is None:
            return self._checked(self._build(width, heads, groups, self._stated_inner(width)))
        for inner in self._inners(width, heads, groups):
            shape = self._build(width, heads, groups, inner)
            if self.budget.violated(shape) is None:
                break
        return self._checked(shape)

    def widths(self, sizes: Solved) -> Iterator[int]:
        """Widths worth trying, best first: outward from the one where the target is met, until they have long been out of reach."""
        step = sizes.multiple_of
        low, high = -(-sizes.low // step), sizes.high // step
        first, last, (surely_not, surely) = low, high, self._doubt
        while first < last:  # the first width at which too much is spent
            middle = (first + last) // 2
            width = middle * step
            is_too_wide = self._splits if width > surely else width >= surely_not and self._too_wide(width)
            first, last = (first, middle) if is_too_wide else (middle + 1, last)
        best = min((n for n in (first, first - 1) if low <= n <= high), key=lambda n: self._off(n * step))
        yield best * step
        barren, distance = 0, 1
        while barren < WIDTH_PATIENCE and distance <= high - low:
            around = [n for n in (best - distance, best + distance) if low <= n <= high and self._within_reach(n * step)]
            barren = 0 if around else barren + 1
            yield from (n * step for n in sorted(around, key=lambda n: self._off(n * step)))
            distance += 1 + distance // 16  # far away a finer step would only say the same more often

    def _heads(self, width: int) -> tuple[int, int]:
        """Query and key-value heads; ratios go to the nearest number that divides."""
        heads, groups = self.point["num_attention_heads"], self.point["num_key_value_heads"]
        grouped = "num_key_value_heads" not in self.relative
        if "num_attention_heads" in self.relative:
            unit = groups if grouped else 1
            heads = unit * max(1, round(heads * width / (self.point["head_dim"] * unit)))
        if not grouped:
            groups = nearest_divisor(heads, groups * heads)
        if heads % groups:
            raise InfeasibleError("num_attention_heads is not a multiple of num_key_value_heads")
        if "num_attention_heads" in self.relative and heads < self.relative["num_attention_heads"].least:
            raise InfeasibleError(f"num_attention_heads below {self.relative['num_attention_heads'].least}")
        return heads, groups

    def _stated_inner(self, width: int) -> int:
        inner, relative = self.point["intermediate_size"], self.relative.get("intermediate_size")
        if relative is None:
            return int(inner)
        units: int = max(1, round(inner * width / relative.multiple_of))
        return relative.multiple_of * units

    def _build(self, width: int, heads: int, groups: int, inner: int) -> Architecture:
        sizes = {"hidden_size": width, "num_attention_heads": heads, "num_key_value_heads": groups, "intermediate_size": inner}
        return Architecture(**{**self.point, **sizes, "layer_types": self.layer_types})

    @cached_property
    def _sizes(self) -> SimpleNamespace:
        return open_sizes(self.point)

    @cached_property
    def _terms(self) -> dict[Limit, CostTerms]:
        """What each limit counts, where many widths are asked about."""
        return {} if "hidden_size" in self.point else {limit: cost_terms(self.point, limit) for limit in self.budget.limits}

    def _measure(self, limit: Limit, width: int, heads: int, groups: int, inner: int) -> float:
        """What a shape of these sizes costs."""
        terms = self._terms.get(limit)
        return counted_at(limit, self._sizes, width, heads, groups, inner) if terms is None else terms.at(width, heads, groups, inner)

    def _limit_lines(self, width: int, heads: int, groups: int) -> list[tuple[float, float]]:
        """Cost without an MLP and cost of one unit of intermediate_size, for each limit; exact over 16 units (whole bytes of int4)."""
        if width not in self._lines:
            costs = [self._measure(limit, width, heads, groups, 16) for limit in self.budget.limits]
            self._lines[width] = [(one - width * unit, width * unit / 16) for one, unit in zip(costs, self._units, strict=True)]
        return self._lines[width]

    @cached_property
    def _units(self) -> list[float]:
        """Cost of 16 units of intermediate_size for each unit of the width, for each limit; an MLP's matrices alone have both."""
        return [self._measure(limit, 1, 1, 1, 32) - self._measure(limit, 1, 1, 1, 16) for limit in self.budget.limits]

    def _wanted(self, width: int, heads: int, groups: int) -> float:
        """The real-valued intermediate_size that would spend the target to the last unit."""
        target = self._target
        base, slope = self._limit_lines(width, heads, groups)[self.budget.limits.index(target)]
        return (target.value - base) / slope

    @cached_property
    def _target(self) -> Limit:
        target = self.budget.target
        assert target is not None  # SearchSpace.parse refuses to solve without a target
        return target

    def _inners(self, width: int, heads: int, groups: int) -> Iterator[int]:
        """Values of intermediate_size worth trying, nearest to the target first; raises InfeasibleError where the ratio allows none."""
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
            best = min(max(nearest, first), last)
            # a limit may be off by the part of a byte that was rounded up, so its neighbours stand in for the best
            yield from (step * n for n in (best, best - 1, best + 1) if first <= n <= last)
        elif wanted < least * width:
            raise self._ratio_miss(f"below {least:g}", width, wanted, least)
        elif wanted > most * width:
            raise self._ratio_miss(f"above {most:g}", width, wanted, most)
        else:
            yield step * max(1, nearest)  # breaks a limit: `_checked` says which

    def _ratio_miss(self, side: str, width: int, wanted: float, edge: float) -> InfeasibleError:
        base = f"hidden_size {width} with {self.point['num_unique_layers']} unique layers"
        if wanted < 1:
            return InfeasibleError("nothing left for the MLP", f"{base} leaves nothing for the MLP", edge - wanted / width)
        near = f"{base} would need intermediate_size {wanted:.0f}, {wanted / width:.2f} times the width"
        return InfeasibleError(f"{RATIO} {side}", near, abs(wanted / width - edge))

    def _checked(self, a: Architecture) -> Architecture:
        broken = self.budget.violated(a)
        if broken is not None:
            spent = broken.measure(a)
            raise InfeasibleError(broken.breach, f"{a.label} spends {spent:,} {broken.quantity}", broken.miss(spent))
        size, ratio = self.inner, a.intermediate_size / a.hidden_size
        if size is not None and not size.low <= a.intermediate_size <= size.high:
            raise InfeasibleError(f"intermediate_size outside {size.low:,} to {size.high:,}")
        for side, edge, beyond in (("below", self.ratio[0], self.ratio[0] - ratio), ("above", self.ratio[1], ratio - self.ratio[1])):
            if beyond > 1e-9:
                raise InfeasibleError(f"{RATIO} {side} {edge:g}", f"{a.label} has {ratio:.2f}", beyond)
        return a

    def _too_wide(self, width: int) -> bool:
        try:
            heads, groups = self._heads(width)
        except InfeasibleError:
            return False
        if self.inner is not None:
            return self._wanted(width, heads, groups) < self._middle * width
        return self._spent(width, heads, groups) > self._target.value

    def _spent(self, width: int, heads: int, groups: int) -> float:
        return self._measure(self._target, width, heads, groups, self._stated_inner(width))

    @cached_property
    def _splits(self) -> bool:
        """Whether key-value heads divide query heads: of ratios they do at every width, of numbers at every one or at none."""
        heads, groups = self.point["num_attention_heads"], self.point["num_key_value_heads"]
        return bool(self.relative.keys() & {"num_attention_heads", "num_key_value_heads"}) or heads % groups == 0

    @cached_property
    def _doubt(self) -> tuple[float, float]:
        """Widths between which what is rounded decides whether one is too wide, so that the search for a width ends soon.

        Beyond the second even the fewest heads spend too much, below the first not even the most do.
        """
        target, middle = self._target, self._middle
        heads = self.relative.get("num_attention_heads")
        if self.inner is None or heads is None or heads.least > 1:
            one, two = (self._measure(target, width, 1, 1, 0) for width in (64, 128))
            return 0.0, math.inf if two == one else 64 + 64 * (target.value + 1 - one) / (two - one)
        unit = self.point["num_key_value_heads"] if "num_key_value_heads" not in self.relative else 1
        share, terms = self.point["num_attention_heads"] / self.point["head_dim"], self._terms[target]
        ends = []
        for off, groups in ((1.5 * unit, 1.0), (-0.5 * unit, 0.0)):
            square, linear, constant = terms.along(share, off, groups, middle)
            ends.append(width_spending(square, linear, target.value - constant))
        return 0.99 * ends[0], 1.01 * ends[1]  # bytes are whole

    @cached_property
    def _middle(self) -> float:
        """The MLP ratio that is aimed at."""
        low, high = self.ratio
        return math.sqrt(low * high) if low > 0 and math.isfinite(high) else min(max(MIDDLE_RATIO, low), high)

    def _off(self, width: int) -> float:
        """How far a width is from where it should be: from the middle ratio, or from the target where the MLP is stated."""
        try:
            heads, groups = self._heads(width)
        except InfeasibleError:
            return math.inf
        if self.inner is None:
            return abs(math.log(self._spent(width, heads, groups) / self._target.value))
        wanted = self._wanted(width, heads, groups)
        return abs(math.log(wanted / width / self._middle)) if wanted > 0 else math.inf

    def _within_reach(self, width: int) -> bool:
        """Whether the width may hold the ratio limits, or the target where the MLP is stated."""
        try:
            heads, groups = self._heads(width)
        except InfeasibleError:
            return False
        if self.inner is None:
            return self._target.holds(self._spent(width, heads, groups))
        slack = self.inner.multiple_of  # rounding may bring it inside
        return self.ratio[0] * width - slack <= self._wanted(width, heads, groups) <= self.ratio[1] * width + slack
