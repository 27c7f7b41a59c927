"""A shape's proportions and sharing at another budget: the configuration of a winner at the size that ships. No torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from search_space.architecture import Architecture, repeated
from search_space.budget import Budget
from search_space.cost import parameters
from search_space.errors import SpecError
from search_space.fields import OF_STUDY
from search_space.proportions import Proportions, scaled
from search_space.space import SearchSpace
from trials.study.budget_defaults import row_of

ROW_BLOCK = 32
"""What widths are multiples of in shapes from 10M on: the weights that share a scale in int8 and int4."""
Milliseconds = Callable[[Architecture], float]
"""Milliseconds of a shape on the study's workload."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resized:
    """A shape at another size."""

    shape: Architecture
    of: Architecture
    """The shape whose proportions it has."""
    budget: Budget
    total_ms: float | None = None
    """What it takes of the workload; None where nothing was measured."""
    limit_ms: float | None = None
    """What it may take; None where nothing was asked."""

    @property
    def factor(self) -> float:
        """How many times as many parameters it has."""
        return parameters(self.shape) / parameters(self.of)

    @property
    def ratios(self) -> tuple[tuple[str, float, float], ...]:
        """Each proportion by its words, before and after."""
        before, after = (Proportions.of(each) for each in (self.of, self.shape))
        return (
            ("hidden_size / num_unique_layers", before.aspect_ratio, after.aspect_ratio),
            ("intermediate_size / hidden_size", before.mlp_ratio, after.mlp_ratio),
            ("width of all heads / hidden_size", before.head_ratio, after.head_ratio),
            ("num_key_value_heads / num_attention_heads", before.key_value_ratio, after.key_value_ratio),
        )


def resized(
    shape: Architecture,
    count: int,
    vocab_size: int | None = None,
    head_dim: int | None = None,
    *,
    within: tuple[float, Milliseconds] | None = None,
) -> Resized:
    """The shape of so many parameters, within 1 %, that is nearest to a shape's proportions; sharing and all that is no size are its own.

    Heads stay as wide as they are unless `head_dim` says otherwise, and a pattern of windows is repeated over the new depth. `within` is
    a limit in milliseconds and what measures a shape: where the nearest shape takes longer, the deepest one is taken that does not, which
    is wider for fewer blocks. Raises SpecError where no shape spends the budget, or none keeps the limit.
    """
    budget, wanted = Budget.parse({"parameters": count}), Proportions.of(shape)
    space = _space(shape, budget, vocab_size, head_dim)
    found = _nearest(wanted, space)
    if found is None:
        vocabulary = space.choices("vocab_size")[0]
        raise SpecError(
            f"--parameters must leave room for blocks beside a vocabulary of {vocabulary:,}, found {count:,}, which no shape of the "
            f"proportions of {shape.label} spends within 1 %; raise it, or lower --vocab-size"
        )
    made = _as_in(shape, found)
    if within is None:
        return Resized(shape=made, of=shape, budget=budget)
    limit_ms, measure = within
    taken, total_ms = _fast_enough(shape, made, wanted, space, limit_ms, measure)
    return Resized(shape=taken, of=shape, budget=budget, total_ms=total_ms, limit_ms=limit_ms)


def _space(shape: Architecture, budget: Budget, vocab_size: int | None, head_dim: int | None) -> SearchSpace:
    """What is no proportion of a shape, as the constants of a space."""
    constants = {name: getattr(shape, name) for name in OF_STUDY} | {"head_dim": head_dim or shape.head_dim}
    if vocab_size is not None:
        constants["vocab_size"] = vocab_size
    inner = {"solve": True, "multiple_of": _step(budget), "ratio": [0.1, 100]}
    return SearchSpace.parse({**constants, "intermediate_size": inner}, budget)


def _step(budget: Budget) -> int:
    return min(ROW_BLOCK, row_of(budget.limits[0].value).multiple_of)


def _nearest(wanted: Proportions, space: SearchSpace) -> Architecture | None:
    """The nearest shape, of a width that int8 and int4 take where the size allows it."""
    found = (scaled(wanted, space, step) for step in dict.fromkeys((max(8, _step(space.budget)), 8)))
    return next((shape for shape in found if shape is not None), None)


def _as_in(shape: Architecture, found: Architecture) -> Architecture:
    """The found shape with the windows of the first, whose pattern is the shortest that gives its blocks when it is repeated."""
    blocks = shape.layer_types
    period = next(length for length in range(1, len(blocks) + 1) if repeated(blocks[:length], len(blocks)) == blocks)
    pattern = blocks[: min(period, found.num_hidden_layers)]
    return replace(found, layer_types=pattern, sliding_window=shape.sliding_window if "sliding_attention" in pattern else None)


def _fast_enough(
    shape: Architecture, nearest: Architecture, wanted: Proportions, space: SearchSpace, limit_ms: float, measure: Milliseconds
) -> tuple[Architecture, float]:
    """The nearest shape, or the deepest one of less depth that keeps the limit, by halving the depths: fewer blocks take less time."""
    total_ms = measure(nearest)
    if total_ms <= limit_ms:
        return nearest, total_ms
    best: tuple[Architecture, float] | None = None
    fastest = nearest, total_ms
    low, high = 1, nearest.num_unique_layers - 1
    while low <= high:
        depth = (low + high) // 2
        at_depth = _nearest(replace(wanted, num_unique_layers=depth), space)
        if at_depth is None:  # so few blocks that heads and MLP cannot be kept
            low = depth + 1
            continue
        tried = _as_in(shape, at_depth)
        total_ms = measure(tried)
        fastest = min(fastest, (tried, total_ms), key=lambda each: each[1])
        if total_ms <= limit_ms:
            best, low = (tried, total_ms), depth + 1
        else:
            high = depth - 1
    if best is None:
        raise SpecError(
            f"--latency-ms {limit_ms:g} must be what a shape of this size and these proportions can keep, found {fastest[1]:.1f} ms of the "
            f"fastest, {fastest[0].label}; raise it, or lower --parameters"
        )
    return best
