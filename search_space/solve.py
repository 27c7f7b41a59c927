"""From a point to the one shape that spends its budget, or the reason why there is none.

Every limit is affine in `intermediate_size` and grows with `hidden_size`, so the MLP is solved exactly and the width by bisection.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from search_space.architecture import Architecture
from search_space.budget import Budget, Limit
from search_space.cost_polynomial import cost_terms
from search_space.draft import Draft, InfeasibleError, SizeRules, Sizes

MIDDLE_RATIO = 8 / 3
"""MLP ratio aimed at where both sizes are solved and no ratio limits are stated: a gated MLP as large as 4x ungated (arXiv 2002.05202)."""
WIDTH_PATIENCE = 8
"""Widths in a row on either side that may be out of reach before the search ends: rounded heads make the cost of a width uneven."""


Heads = tuple[int, int]
"""Query heads and key-value heads."""


def solve(point: Mapping[str, Any], rules: SizeRules, budget: Budget) -> Architecture:
    """The shape of a point: fixed sizes as they are, solved ones so that the budget is spent; raises InfeasibleError.

    Where both sizes are free, the width is the one whose MLP ratio comes closest to the middle of the ratio limits.
    """
    if "hidden_size" in point:
        draft = Draft(point, rules)
        return draft.built(draft.at(point["hidden_size"], budget))
    draft = Draft(point, rules, [cost_terms(point, limit) for limit in budget.limits])
    return draft.built(WidthSearch(draft, {}).sizes(budget))


def width_spending(square: float, linear: float, value: float) -> float:
    """The width at which these two powers of it come to so much; 0 where none above it does."""
    return max(0.0, (math.sqrt(max(0.0, linear**2 + 4 * square * value)) - linear) / (2 * square))


class WidthSearch:
    """The width at which a point spends a budget, for one budget of the same quantities after the other."""

    def __init__(self, draft: Draft, heads: dict[int, Heads | None]) -> None:
        """`draft` has terms; the `heads` of a width are kept there, for all points of a space that differ in what heads do not follow."""
        self.draft, self._heads = draft, heads
        low, high = draft.rules.ratio
        self._middle = math.sqrt(low * high) if low > 0 and math.isfinite(high) else min(max(MIDDLE_RATIO, low), high)
        """The MLP ratio that is aimed at."""
        self._slopes: dict[int, tuple[tuple[float, float, float], ...]] = {}

    def sizes(self, budget: Budget) -> Sizes:
        """The sizes of the shape; raises InfeasibleError."""
        best: InfeasibleError | None = None
        for width in self.widths(budget):
            try:
                return self.draft.at(width, budget)
            except InfeasibleError as miss:
                if best is None or miss.distance < best.distance:
                    best = miss
        raise best or InfeasibleError("no hidden_size is a multiple of what was asked")

    def widths(self, budget: Budget) -> Iterator[int]:
        """Widths worth trying, best first: outward from the one where the target is met, until they have long been out of reach."""
        target, sizes = budget.target, self.draft.rules.solved["hidden_size"]
        assert target is not None  # SearchSpace.parse refuses to solve without a target
        place, step = budget.limits.index(target), sizes.multiple_of
        low, high = -(-sizes.low // step), sizes.high // step
        surely_not, surely = self._doubt(target, place)
        first_doubt, last_doubt = -(-surely_not // step), surely // step if surely < sizes.high else high
        first, last, splits = low, high, self._splits
        seen: dict[int, float | None] = {}
        while first < last:  # the first width at which too much is spent
            middle = (first + last) // 2
            if middle > last_doubt:
                is_too_wide = splits
            elif middle < first_doubt:
                is_too_wide = False
            else:
                is_too_wide = self._is_too_wide(middle * step, self._seen(middle * step, target, place, seen), target)
            if is_too_wide:
                last = middle
            else:
                first = middle + 1
        best = first
        if first > low:
            here, before = (self._off(n * step, self._seen(n * step, target, place, seen), target) for n in (first, first - 1))
            best = first if here <= before else first - 1
        yield best * step
        barren, distance = 0, 1
        while barren < WIDTH_PATIENCE and distance <= high - low:
            both = [n for n in (best - distance, best + distance) if low <= n <= high]
            found = {n: self._seen(n * step, target, place, seen) for n in both}
            around = [n for n in both if self._is_within_reach(n * step, found[n], target)]
            barren = 0 if around else barren + 1
            yield from (n * step for n in sorted(around, key=lambda n: self._off(n * step, found[n], target)))
            distance += 1 + distance // 16  # far away a finer step would only say the same more often

    def _seen(self, width: int, target: Limit, place: int, seen: dict[int, float | None]) -> float | None:
        """The real-valued intermediate_size that would spend the target to the last unit, or what the stated one spends; None where the
        width has no heads.
        """
        if width in seen:
            return seen[width]
        heads, terms = self._heads_at(width), self.draft.terms[place]
        found = None
        if heads is not None and self.draft.inner is None:
            found = terms.at(width, *heads, self.draft.stated_inner(width))
        elif heads is not None:
            base, slope = terms.line(width, *heads)
            found = (target.value - base) / slope
        seen[width] = found
        return found

    def _heads_at(self, width: int) -> Heads | None:
        if width not in self._heads:
            try:
                self._heads[width] = self.draft.heads(width)
            except InfeasibleError:
                self._heads[width] = None
        return self._heads[width]

    def _is_too_wide(self, width: int, seen: float | None, target: Limit) -> bool:
        if seen is None:
            return False
        return seen > target.value if self.draft.inner is None else seen < self._middle * width

    def _off(self, width: int, seen: float | None, target: Limit) -> float:
        """How far a width is from where it should be: from the middle ratio, or from the target where the MLP is stated."""
        if seen is None:
            return math.inf
        if self.draft.inner is None:
            return abs(math.log(seen / target.value))
        return abs(math.log(seen / width / self._middle)) if seen > 0 else math.inf

    def _is_within_reach(self, width: int, seen: float | None, target: Limit) -> bool:
        """Whether the width may hold the ratio limits, or the target where the MLP is stated."""
        if seen is None:
            return False
        if self.draft.inner is None:
            return target.holds(seen)
        slack, (least, most) = self.draft.inner.multiple_of, self.draft.rules.ratio  # rounding may bring it inside
        return least * width - slack <= seen <= most * width + slack

    @property
    def _splits(self) -> bool:
        """Whether key-value heads divide query heads: of ratios they do at every width, of numbers at every one or at none."""
        point, relative = self.draft.point, self.draft.rules.relative
        if "num_attention_heads" in relative or "num_key_value_heads" in relative:
            return True
        return bool(point["num_attention_heads"] % point["num_key_value_heads"] == 0)

    def _doubt(self, target: Limit, place: int) -> tuple[float, float]:
        """Widths between which what is rounded decides whether one is too wide, so that the search for a width ends soon.

        Beyond the second even the fewest heads spend too much, below the first not even the most do.
        """
        heads = self.draft.rules.relative.get("num_attention_heads")
        if self.draft.inner is None or heads is None or heads.least > 1:
            one, two = (self.draft.terms[place].at(width, 1, 1, 0) for width in (64, 128))
            return 0.0, math.inf if two == one else 64 + 64 * (target.value + 1 - one) / (two - one)
        if place not in self._slopes:
            self._slopes[place] = tuple(self._along(place))
        most, fewest = (width_spending(square, linear, target.value - constant) for square, linear, constant in self._slopes[place])
        return 0.99 * most, 1.01 * fewest  # bytes are whole

    def _along(self, place: int) -> Iterator[tuple[float, float, float]]:
        """What the target counts along the width, with the most heads that rounding may give and with the fewest."""
        point = self.draft.point
        unit = point["num_key_value_heads"] if "num_key_value_heads" not in self.draft.rules.relative else 1
        share = point["num_attention_heads"] / point["head_dim"]
        for off, groups in ((1.5 * unit, 1.0), (-0.5 * unit, 0.0)):
            yield self.draft.terms[place].along(share, off, groups, self._middle)
