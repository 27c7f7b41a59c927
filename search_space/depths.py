"""A space whose points are the stored depths: what is known of each is kept, since a grid of budgets asks for the same ones again."""

from __future__ import annotations

from search_space.architecture import Architecture
from search_space.budget import Budget, Limit
from search_space.cost_polynomial import CostTerms, cost_terms
from search_space.draft import Draft, InfeasibleError, Sizes
from search_space.solve import Heads, WidthSearch
from search_space.space import SearchSpace

Counted = tuple[str, str, int]
"""What a limit counts, whatever its value: quantity, precision and context."""


class Depths:
    """The depths of a space, by their places; its own budget is nobody's."""

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.blocks: tuple[int, ...] = space.choices("num_unique_layers")
        """Stored blocks."""
        (self.head_dim,) = space.choices("head_dim")
        self.width_step, self.inner_step = (space.solved[name].multiple_of for name in ("hidden_size", "intermediate_size"))
        self._searches: dict[tuple[int, tuple[Counted, ...]], WidthSearch] = {}
        self._terms: dict[tuple[int, Counted], CostTerms] = {}
        self._heads: dict[int, Heads | None] = {}

    def terms(self, place: int, limit: Limit) -> CostTerms:
        """What a limit counts at that depth."""
        key = place, _counted(limit)
        found = self._terms.get(key)
        if found is None:
            found = self._terms[key] = cost_terms(self.space.point(place), limit)
        return found

    def sizes(self, place: int, budget: Budget) -> Sizes | None:
        """The sizes at that depth which spend the budget; None where none do."""
        key = place, tuple(map(_counted, budget.limits))
        search = self._searches.get(key)
        if search is None:
            terms = [self.terms(place, limit) for limit in budget.limits]
            draft = Draft(self.space.point(place), self.space.size_rules, terms)
            search = self._searches[key] = WidthSearch(draft, self._heads)
        try:
            return search.sizes(budget)
        except InfeasibleError:
            return None

    def shape(self, place: int, sizes: Sizes) -> Architecture:
        """The shape of these sizes at that depth."""
        return Draft(self.space.point(place), self.space.size_rules).built(sizes)

    def least_costs_too_much(self, place: int, budget: Budget) -> bool:
        """Whether even a block of a single width, head and unit of the MLP passes a limit at that depth."""
        return any(self.terms(place, limit).at(self.width_step, 1, 1, 1) > limit.highest for limit in budget.limits)


def _counted(limit: Limit) -> Counted:
    return limit.quantity, limit.precision, limit.context_tokens
