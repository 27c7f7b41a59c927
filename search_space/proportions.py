"""What makes shapes of different sizes alike, and the shape of another size that has the same proportions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Self

from search_space.architecture import Architecture
from search_space.budget import DEFAULT_TOLERANCE, Budget
from search_space.cost_polynomial import cost_terms
from search_space.fields import OF_STUDY
from search_space.sharing import MOST_BLOCKS, Sharing
from search_space.solve import InfeasibleError, width_spending
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
        own, other = self._ratios(), Proportions.of(a)._ratios()
        return sum(abs(math.log(x / y)) for x, y in zip(own, other[-len(own) :], strict=True))

    def too_narrow(self, a: Architecture) -> float:
        """How much too narrow for its depth a shape is, on a logarithmic scale; negative where too wide, or its depth is stated."""
        return -math.inf if self.num_unique_layers else math.log(self.aspect_ratio * a.num_unique_layers / a.hidden_size)

    def _ratios(self) -> tuple[float, ...]:
        free = () if self.num_unique_layers else (self.aspect_ratio,)
        return (*free, self.mlp_ratio, self.head_ratio, self.key_value_ratio)


def scaled(model: Proportions, space: SearchSpace) -> Architecture | None:
    """The shape with the space's vocabulary and budget whose proportions are nearest to the model's; None where no shape spends it.

    The space's head widths and its grid of MLP widths are used where they can be; sharing and the MLP's kind are the model's own.
    """
    solved = space.solved.get("intermediate_size")
    for step in dict.fromkeys((solved.multiple_of if solved else 8, 1)):
        best = _nearest(model, space, step)
        if best is not None:
            return best
    return None


def _nearest(model: Proportions, space: SearchSpace, step: int) -> Architecture | None:
    """The best shape over all depths that may be, from one block on until it has been getting worse for a while.

    Depths of which it is known without a shape that they change nothing are left out.
    """
    best, nearest, stale = None, math.inf, 0
    target = _target(space.budget)
    spaces = [replace(each, budget=target) for each in _spaces(model, _Constants.of(space), step)]
    outlook = _Outlook.of(model, spaces)
    for place in range(_first_place(model, spaces, outlook), len(spaces[0].choices("num_unique_layers"))):
        if outlook.least_beyond(place) >= nearest or all(_least_costs_too_much(each, place) for each in spaces):
            break  # deeper ones are worse, or cost more
        shapes = (shape for each in spaces if (shape := _shape(each, place)) is not None)
        distance, shape = min(((model.distance(shape), shape) for shape in shapes), key=lambda pair: pair[0], default=(math.inf, None))
        if distance < nearest:
            best, nearest, stale = shape, distance, 0
        elif best is not None:
            stale += 1
        if stale == DEPTH_PATIENCE or (shape is not None and model.too_narrow(shape) - WIDTH_SLACK > nearest):
            break  # with more blocks shapes get narrower
    return best


def _first_place(model: Proportions, spaces: Sequence[SearchSpace], outlook: _Outlook) -> int:
    """The place of the first depth to look at: those before are worse than one after them, and patience would not have ended among them.

    It goes by half the patience: each of those parts has a shape that is better than any of the parts before it.
    """
    first, last, coarsest = 0, 0, max(each.solved["hidden_size"].multiple_of for each in spaces)
    while True:
        place = last + DEPTH_PATIENCE // 2
        if outlook.least_before(last) <= 0 or not outlook.is_fine(place, coarsest, spaces[0].solved["intermediate_size"].multiple_of):
            return first
        found = (model.distance(shape) for each in spaces if (shape := _shape(each, place)) is not None)
        if not any(distance < outlook.least_before(last) for distance in found):
            return first
        first, last = last + 1, place


@dataclass(frozen=True, slots=True)
class _Outlook:
    """What is known of each depth without a shape of it.

    Let w be the real-valued width at which a shape of just the model's proportions spends the target, one for each width of a head: norms
    of queries and keys cost as much as a head is wide. Rounding (heads, key-value heads, the
    MLP) moves the width away from w, on a logarithmic scale by no more than these are off together: every term of a cost grows with the
    width, and with one of these at most. So no shape is nearer than w is to the aspect ratio, but for what the target's tolerance lets it
    be off.
    """

    model: Proportions
    spaces: tuple[SearchSpace, ...]
    """One for each width of a head."""
    slack: float
    """How far off the tolerance lets a shape be, on a logarithmic scale."""

    @classmethod
    def of(cls, model: Proportions, spaces: Sequence[SearchSpace]) -> Self:
        """What is known of the depths of spaces that differ in how heads are chosen."""
        apart = tuple({each.choices("head_dim"): each for each in spaces}.values())
        target, deepest = apart[0].budget.target, len(apart[0].choices("num_unique_layers")) - 1
        assert target is not None
        assert target.tolerance is not None
        tolerance = target.tolerance * target.value / min(_powers(model, each, deepest)[2] for each in apart)
        return cls(model, apart, WHOLE_BYTES + (math.inf if tolerance >= 1 else -math.log(1 - tolerance)))

    def least_before(self, place: int) -> float:
        """The least distance of this depth and all before it; 0 where w is not too wide for it, or the depth is stated."""
        return 0.0 if self.model.num_unique_layers else max(0.0, min(-each for each in self._narrowness(place)) - self.slack)

    def least_beyond(self, place: int) -> float:
        """The least distance of this depth and all after it; 0 likewise."""
        return 0.0 if self.model.num_unique_layers else max(0.0, min(self._narrowness(place)) - self.slack)

    def is_fine(self, place: int, coarsest: int, step: int) -> bool:
        """Whether there is such a depth and rounding means little there."""
        if place >= len(self.spaces[0].choices("num_unique_layers")):
            return False
        width = min(self._widths(place))
        far_off = self.least_before(place) > FAR_OFF
        return width > (coarsest if far_off else 4 * coarsest) and self.model.mlp_ratio * width > 8 * step

    def _narrowness(self, place: int) -> list[float]:
        """How much too narrow each w is for its depth, on a logarithmic scale; deeper ones are more so."""
        wanted = self.model.aspect_ratio * self.spaces[0].point(place)["num_unique_layers"]
        return [math.log(wanted / width) if width else math.inf for width in self._widths(place)]

    def _widths(self, place: int) -> list[float]:
        return [width_spending(*powers) for powers in {_powers(self.model, each, place) for each in self.spaces}]


def _powers(model: Proportions, space: SearchSpace, place: int) -> tuple[float, float, float]:
    """Coefficients of the second and first power of the width in what these proportions spend at a depth, and what is to be spent so."""
    target, point = space.budget.target, space.point(place)
    assert target is not None
    share = model.head_ratio / point["head_dim"]
    square, linear, constant = cost_terms(point, target).along(share, 0.0, model.key_value_ratio, model.mlp_ratio)
    return square, linear, max(1.0, target.value - constant)


@dataclass(frozen=True, slots=True)
class _Constants:
    """What a space says beside its budget and what proportions decide."""

    of_study: tuple[tuple[str, Any], ...]
    head_dims: tuple[int, ...]

    @classmethod
    def of(cls, space: SearchSpace) -> Self:
        return cls(tuple((name, found[0]) for name in OF_STUDY if (found := space.choices(name))), space.choices("head_dim"))


@lru_cache(maxsize=64)
def _spaces(model: Proportions, constants: _Constants, step: int) -> tuple[SearchSpace, ...]:
    """Spaces whose points are the stored depths, one for each width of a head, whole groups of heads first, as models have them; their
    budget is anybody's.
    """
    group = round(1 / model.key_value_ratio)
    return tuple(
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
        for multiple in dict.fromkeys((head_dim * group, head_dim, 8))
    )


def _target(budget: Budget) -> Budget:
    """The budget with something to spend: where all limits are upper ones, the first is to be spent almost whole."""
    if budget.target is not None:
        return budget
    first = budget.limits[0]
    return Budget((replace(first, value=first.value * (1 - DEFAULT_TOLERANCE), tolerance=DEFAULT_TOLERANCE), *budget.limits))


def _least_costs_too_much(space: SearchSpace, index: int) -> bool:
    """Whether even a block of a single width, head and unit of the MLP passes a limit at this depth."""
    point, width = space.point(index), space.solved["hidden_size"].multiple_of
    return any(cost_terms(point, limit).at(width, 1, 1, 1) > limit.highest for limit in space.budget.limits)


def _shape(space: SearchSpace, index: int) -> Architecture | None:
    try:
        return space.architecture(space.point(index))
    except InfeasibleError:
        return None
