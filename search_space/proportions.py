"""What makes shapes of different sizes alike, and the shape of another size that has the same proportions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

from search_space.architecture import Architecture
from search_space.budget import DEFAULT_TOLERANCE, Budget
from search_space.fields import OF_STUDY
from search_space.sharing import MOST_BLOCKS, Sharing
from search_space.solve import InfeasibleError
from search_space.space import SearchSpace

DEEPEST = 256
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
    """The best shape over all depths that may be, from one block on until it has been getting worse for a while."""
    best, nearest, stale = None, math.inf, 0
    spaces = list(_spaces(model, space, step))
    for place in range(len(spaces[0].choices("num_unique_layers"))):
        if all(_least_costs_too_much(each, place) for each in spaces):
            break  # deeper ones cost more
        shapes = (shape for each in spaces if (shape := _shape(each, place)) is not None)
        distance, shape = min(((model.distance(shape), shape) for shape in shapes), key=lambda pair: pair[0], default=(math.inf, None))
        if distance < nearest:
            best, nearest, stale = shape, distance, 0
        elif best is not None:
            stale += 1
        if stale == DEPTH_PATIENCE or (shape is not None and model.too_narrow(shape) - WIDTH_SLACK > nearest):
            break  # with more blocks shapes get narrower
    return best


def _spaces(model: Proportions, space: SearchSpace, step: int) -> Iterator[SearchSpace]:
    """Spaces whose points are the stored depths, one for each width of a head; whole groups of heads first, as models have them."""
    group = round(1 / model.key_value_ratio)
    for head_dim in space.choices("head_dim"):
        for multiple in dict.fromkeys((head_dim * group, head_dim, 8)):
            yield SearchSpace.parse(
                {
                    **{name: found[0] for name in OF_STUDY if (found := space.choices(name))},
                    "num_unique_layers": model.num_unique_layers or {"from": 1, "to": min(DEEPEST, MOST_BLOCKS // model.sharing.repeats)},
                    "sharing": [model.sharing],
                    "hidden_size": {"solve": True, "multiple_of": multiple},
                    "head_dim": head_dim,
                    "num_attention_heads": {"ratio_of_hidden": model.head_ratio},
                    "num_key_value_heads": {"ratio_of_heads": model.key_value_ratio},
                    "mlp": model.mlp,
                    "intermediate_size": {"solve": True, "multiple_of": step, "ratio": [model.mlp_ratio / 2, model.mlp_ratio * 2]},
                },
                _target(space.budget),
            )


def _target(budget: Budget) -> Budget:
    """The budget with something to spend: where all limits are upper ones, the first is to be spent almost whole."""
    if budget.target is not None:
        return budget
    first = budget.limits[0]
    return Budget((replace(first, value=first.value * (1 - DEFAULT_TOLERANCE), tolerance=DEFAULT_TOLERANCE), *budget.limits))


def _least_costs_too_much(space: SearchSpace, index: int) -> bool:
    """Whether even a block of a single width, head and unit of the MLP passes a limit at this depth."""
    least = {"hidden_size": space.solved["hidden_size"].multiple_of, "num_attention_heads": 1, "num_key_value_heads": 1}
    shape = Architecture(**{**space.point(index), **least, "intermediate_size": 1})
    return any(limit.measure(shape) > limit.highest for limit in space.budget.limits)


def _shape(space: SearchSpace, index: int) -> Architecture | None:
    try:
        return space.architecture(space.point(index))
    except InfeasibleError:
        return None
