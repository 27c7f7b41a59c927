"""What makes shapes of different sizes alike, and the shape of another size that has the same proportions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Self

from search_space.architecture import Architecture
from search_space.budget import DEFAULT_TOLERANCE, Budget
from search_space.depths import Depths
from search_space.draft import Sizes
from search_space.fields import OF_STUDY
from search_space.sharing import MOST_BLOCKS, Sharing
from search_space.solve import width_spending
from search_space.space import SearchSpace

DEEPEST = 256
WHOLE_BYTES = 1e-6
"""What counting whole bytes may hide of a distance."""
FAR_OFF = 0.5
"""A distance beyond which rounding, even to the next of the coarsest widths, does not make a shape too narrow that is too wide."""
DEPTH_PATIENCE = 12
"""Depths in a row that may be worse than the best one before the search for a better one ends."""

WIDTH_SLACK = 0.2
"""How much wider, on a logarithmic scale, a shape of more blocks may be than one of fewer, because widths and heads are rounded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proportions:
    """A shape without its size."""

    aspect_ratio: float
    """hidden_size over num_unique_layers."""
    num_unique_layers: int | None = None
    """Stored blocks at every size; None where the aspect ratio decides."""
    mlp_ratio: float
    """intermediate_size over hidden_size."""
    head_ratio: float
    """The width of all heads over hidden_size."""
    key_value_ratio: float
    """num_key_value_heads over num_attention_heads."""
    mlp: str
    sharing: Sharing

    @classmethod
    def of(cls, a: Architecture) -> Self:
        """The proportions of a shape."""
        return cls(
            aspect_ratio=a.hidden_size / a.num_unique_layers,
            mlp_ratio=a.intermediate_size / a.hidden_size,
            head_ratio=a.num_attention_heads * a.head_dim / a.hidden_size,
            key_value_ratio=a.num_key_value_heads / a.num_attention_heads,
            mlp=a.mlp,
            sharing=a.sharing,
        )

    def distance(self, a: Architecture) -> float:
        """How far a shape is from these, summed over the ratios on a logarithmic scale; its depth counts only where it is free."""
        sizes = a.hidden_size, a.num_attention_heads, a.num_key_value_heads, a.intermediate_size
        return self.distance_of(sizes, a.num_unique_layers, a.head_dim)

    def distance_of(self, sizes: Sizes, blocks: int, head_dim: int) -> float:
        """What `distance` says of a shape of these sizes, so many stored blocks and such heads."""
        width, heads, groups, inner = sizes
        apart = math.log(self.mlp_ratio / (inner / width)), math.log(self.head_ratio / (heads * head_dim / width))
        far = 0.0 if self.num_unique_layers else abs(math.log(self.aspect_ratio / (width / blocks)))
        return far + abs(apart[0]) + abs(apart[1]) + abs(math.log(self.key_value_ratio / (groups / heads)))

    def too_narrow(self, width: int, blocks: int) -> float:
        """How much too narrow a width is for a depth, on a logarithmic scale; negative where too wide, or the depth is stated."""
        return -math.inf if self.num_unique_layers else math.log(self.aspect_ratio * blocks / width)


def scaled(model: Proportions, space: SearchSpace, width_step: int = 8) -> Architecture | None:
    """The shape with the space's vocabulary and budget whose proportions are nearest to the model's; None where no shape spends it.

    The space's head widths and its grid of MLP widths are used where they can be; sharing and the MLP's kind are the model's own. Widths
    are multiples of a head's, or of `width_step`.
    """
    solved = space.solved.get("intermediate_size")
    for step in dict.fromkeys((solved.multiple_of if solved else 8, 1)):
        best = _nearest(model, space, step, width_step)
        if best is not None:
            return best
    return None


def _nearest(model: Proportions, space: SearchSpace, step: int, width_step: int) -> Architecture | None:
    """The best shape over all depths that may be, from one block on until it has been getting worse for a while.

    Depths of which it is known without a shape that they change nothing are left out.
    """
    outlook = _Outlook(model, _depths(model, _Constants.of(space), step, width_step), _target(space.budget))
    best, nearest, stale = None, math.inf, 0
    for place in range(_first_place(outlook), len(outlook.blocks)):
        if outlook.least_beyond(place) >= nearest or outlook.costs_too_much(place):
            break  # deeper ones are worse, or cost more
        found = outlook.nearest_at(place)
        if found.distance < nearest:
            best, nearest, stale = found, found.distance, 0
        elif best is not None:
            stale += 1
        if stale == DEPTH_PATIENCE or found.too_narrow - WIDTH_SLACK > nearest:
            break  # with more blocks shapes get narrower
    return None if best is None else best.shape


def _first_place(outlook: _Outlook) -> int:
    """The place of the first depth to look at: those before are worse than one after them, and patience would not have ended among them.

    It goes by half the patience: each of those parts has a shape that is better than any of the parts before it.
    """
    first, last = 0, 0
    while True:
        place = last + DEPTH_PATIENCE // 2
        if outlook.least_before(last) <= 0 or not outlook.is_fine(place):
            return first
        if outlook.nearest_at(place).distance >= outlook.least_before(last):
            return first
        first, last = last + 1, place


@dataclass(frozen=True, slots=True)
class _Found:
    """The shape at a depth that is nearest to the proportions, not yet built."""

    depths: Depths | None = None
    place: int = 0
    sizes: Sizes = (1, 1, 1, 1)
    distance: float = math.inf
    """Infinite where there is no shape."""
    too_narrow: float = -math.inf

    @property
    def shape(self) -> Architecture | None:
        return None if self.depths is None else self.depths.shape(self.place, self.sizes)


class _Outlook:
    """What is known of each depth without a shape of it, and the shapes that were looked at.

    Let w be the real-valued width at which a shape of just the model's proportions spends the target, one for each width of a head: norms
    of queries and keys cost as much as a head is wide. Rounding (heads, key-value heads, the
    MLP) moves the width away from w, on a logarithmic scale by no more than these are off together: every term of a cost grows with the
    width, and with one of these at most. So no shape is nearer than w is to the aspect ratio, but for what the target's tolerance lets it
    be off.
    """

    def __init__(self, model: Proportions, spaces: Sequence[Depths], budget: Budget) -> None:
        """`spaces` differ in how heads are chosen; `budget` has a target."""
        assert budget.target is not None
        assert budget.target.tolerance is not None
        self.model, self.spaces, self.budget, self.target = model, spaces, budget, budget.target
        self.blocks = spaces[0].blocks
        self._apart = tuple({each.head_dim: each for each in spaces}.values())
        """One for each width of a head."""
        left = min(self._powers(each, len(self.blocks) - 1)[2] for each in self._apart)
        tolerance = budget.target.tolerance * self.target.value / left
        self._slack = WHOLE_BYTES + (math.inf if tolerance >= 1 else -math.log(1 - tolerance))
        """How far off the tolerance lets a shape be, on a logarithmic scale."""
        self._found: dict[int, _Found] = {}

    def least_before(self, place: int) -> float:
        """The least distance of this depth and all before it; 0 where w is not too wide for it, or the depth is stated."""
        return 0.0 if self.model.num_unique_layers else max(0.0, min(-each for each in self._narrowness(place)) - self._slack)

    def least_beyond(self, place: int) -> float:
        """The least distance of this depth and all after it; 0 likewise."""
        return 0.0 if self.model.num_unique_layers else max(0.0, min(self._narrowness(place)) - self._slack)

    def is_fine(self, place: int) -> bool:
        """Whether there is such a depth and rounding means little there."""
        if place >= len(self.blocks):
            return False
        width, coarsest = min(self._widths(place)), max(each.width_step for each in self.spaces)
        far_off = self.least_before(place) > FAR_OFF
        return width > (coarsest if far_off else 4 * coarsest) and self.model.mlp_ratio * width > 8 * self.spaces[0].inner_step

    def costs_too_much(self, place: int) -> bool:
        """Whether this depth passes a limit whatever its sizes."""
        return all(each.least_costs_too_much(place, self.budget) for each in self.spaces)

    def nearest_at(self, place: int) -> _Found:
        """The shape of this depth that is nearest to the model."""
        found = self._found.get(place)
        if found is None:
            looked = [self._found_in(each, place) for each in self.spaces]
            found = self._found[place] = min(looked, key=lambda each: each.distance)
        return found

    def _found_in(self, depths: Depths, place: int) -> _Found:
        sizes, blocks = depths.sizes(place, self.budget), depths.blocks[place]
        if sizes is None:
            return _Found()
        distance = self.model.distance_of(sizes, blocks, depths.head_dim)
        return _Found(depths, place, sizes, distance, self.model.too_narrow(sizes[0], blocks))

    def _narrowness(self, place: int) -> list[float]:
        """How much too narrow each w is for its depth, on a logarithmic scale; deeper ones are more so."""
        wanted = self.model.aspect_ratio * self.blocks[place]
        return [math.log(wanted / width) if width else math.inf for width in self._widths(place)]

    def _widths(self, place: int) -> list[float]:
        return [width_spending(*powers) for powers in {self._powers(each, place) for each in self._apart}]

    def _powers(self, depths: Depths, place: int) -> tuple[float, float, float]:
        """Coefficients of the second and first power of the width in what these proportions spend at a depth, and what is to be spent."""
        model, share = self.model, self.model.head_ratio / depths.head_dim
        square, linear, constant = depths.terms(place, self.target).along(share, 0.0, model.key_value_ratio, model.mlp_ratio)
        return square, linear, max(1.0, self.target.value - constant)


@dataclass(frozen=True, slots=True)
class _Constants:
    """What a space says beside its budget and what proportions decide."""

    of_study: tuple[tuple[str, Any], ...]
    head_dims: tuple[int, ...]

    @classmethod
    def of(cls, space: SearchSpace) -> Self:
        return cls(tuple((name, found[0]) for name in OF_STUDY if (found := space.choices(name))), space.choices("head_dim"))


@lru_cache(maxsize=64)
def _depths(model: Proportions, constants: _Constants, step: int, width_step: int) -> tuple[Depths, ...]:
    """Stored depths, for each width of a head and each step of a width, whole groups of heads first, as models have them."""
    group = round(1 / model.key_value_ratio)
    spaces = (
        SearchSpace.parse(
            {
                **dict(constants.of_study),
                "num_unique_layers": model.num_unique_layers or {"from": 1, "to": min(DEEPEST, MOST_BLOCKS // model.sharing.repeats)},
                "sharing": [model.sharing],
                "hidden_size": {"solve": True, "multiple_of": multiple},
                "head_dim": head_dim,
                "num_attention_heads": {"ratio_of_hidden": model.head_ratio},
                "num_key_value_heads": {"ratio_of_heads": model.key_value_ratio},
                "mlp": model.mlp,
                "intermediate_size": {"solve": True, "multiple_of": step, "ratio": [model.mlp_ratio / 2, model.mlp_ratio * 2]},
            },
            Budget.parse({"parameters": 1}),
        )
        for head_dim in constants.head_dims
        for multiple in dict.fromkeys((head_dim * group, head_dim, width_step))
    )
    return tuple(map(Depths, spaces))


def _target(budget: Budget) -> Budget:
    """The budget with something to spend: where all limits are upper ones, the first is to be spent almost whole."""
    if budget.target is not None:
        return budget
    first = budget.limits[0]
    return Budget((replace(first, value=first.value * (1 - DEFAULT_TOLERANCE), tolerance=DEFAULT_TOLERANCE), *budget.limits))
