"""A search space: choices -> point -> Architecture that spends its budget, by construction."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any

from search_space.architecture import Architecture
from search_space.budget import Budget
from search_space.dimensions import ORDER, Dimension, Solved, parse_dimension, parse_ratio
from search_space.draft import InfeasibleError, SizeRules
from search_space.errors import SpecError, quoted, unknown_key
from search_space.sharing import MOST_BLOCKS
from search_space.solve import solve

Point = dict[str, Any]
"""Raw sampled values: one choice per dimension, ratios still ratios, solved sizes absent."""

ENUMERABLE = 200_000
"""Spaces up to this many points are counted exactly; larger ones from a sample of as many (about 10 s)."""
GLANCE = 40_000
"""Points that a plan or a refusal looks at: half a second (docs/findings.md, 2026-11-29: files changed at random)."""
WIDTH_POINTS = 20
"""Points that one point takes the time of where its width is solved for."""


@dataclass(frozen=True)
class Explanation:
    """How many points a space has, how many are feasible, and what removed the rest."""

    points: int
    """Points of the whole space."""
    examined: int
    """Points looked at: all of them, or a uniform sample where the space is too large to enumerate."""
    feasible: int
    """Examined points that spend the budget."""
    shapes: int
    """Distinct shapes among the feasible points."""
    removed: Mapping[str, int]
    """Examined points that each reason removed, most first."""
    nearest: str | None
    """The shape that missed the budget by least, in words; None where something is feasible or nothing came near."""

    def __str__(self) -> str:
        seen = "" if self.examined == self.points else f", {self.examined:,} of them examined"
        lines = [f"{self.points:,} points{seen}; {self.feasible:,} feasible, {self.shapes:,} distinct shapes"]
        lines += [f"  {count:,} removed: {reason}" for reason, count in self.removed.items()]
        return "\n".join(lines + ([f"  nearest miss: {self.nearest}"] if self.nearest else []))


@dataclass
class Survey:
    """What a walk over a space has met so far."""

    shapes: dict[Architecture, Point] = field(default_factory=dict)
    """Distinct feasible shapes, each with the first point that builds it."""
    removed: Counter[str] = field(default_factory=Counter)
    """Infeasible points by their reason."""
    feasible: int = 0
    """Points that spend the budget."""
    nearest: InfeasibleError | None = None
    """The reason of the point that missed the budget by least."""

    @classmethod
    def of(cls, walk: Iterable[tuple[Point, Architecture | InfeasibleError]]) -> Survey:
        """The survey of all points of a walk."""
        survey = cls()
        for point, shape in walk:
            survey.add(point, shape)
        return survey

    def add(self, point: Point, shape: Architecture | InfeasibleError) -> None:
        """Count one point."""
        if isinstance(shape, Architecture):
            self.feasible += 1
            self.shapes.setdefault(shape, point)
            return
        self.removed[shape.reason] += 1
        if self.nearest is None or shape.distance < self.nearest.distance:
            self.nearest = shape

    @property
    def table(self) -> list[tuple[Point, Architecture]]:
        """The shapes in the order in which they were met."""
        return [(point, shape) for shape, point in self.shapes.items()]

    def explained(self, size: int) -> Explanation:
        """What a person is told of a space of so many points."""
        examined = self.feasible + self.removed.total()
        near = None if self.feasible or self.nearest is None else self.nearest.near
        return Explanation(size, examined, self.feasible, len(self.shapes), dict(self.removed.most_common()), near)


@dataclass(frozen=True)
class SearchSpace:
    """Dimensions to choose, sizes to solve for, and the budget that every shape spends."""

    dimensions: tuple[Dimension, ...]
    """Dimensions in the order of `dimensions.ORDER`; a field that is absent at its default is not among them where nothing else may be."""
    solved: Mapping[str, Solved]
    """Sizes that the budget decides."""
    mlp_ratio: tuple[float, float]
    """Least and most of intermediate_size / hidden_size."""
    budget: Budget
    """What a shape may cost."""

    @classmethod
    def parse(cls, values: object, budget: Budget) -> SearchSpace:
        """Read a study's ``space``; dimensions that it does not name have their defaults."""
        if not isinstance(values, Mapping):
            raise SpecError(f"space must be a mapping of dimensions such as {{hidden_size: [256, 512]}}, found {quoted(values)}; write one")
        fields = {field.name: field.default if field.in_space is None else field.in_space for field in ORDER}
        for key in values:
            if key not in fields:
                raise unknown_key(f"space.{key}", key, fields)
        stated = {**fields, **values}
        parsed = {name: parse_dimension(name, stated[name]) for name in fields}
        solved = {name: part for name, part in parsed.items() if isinstance(part, Solved)}
        dimensions = tuple(part for part in parsed.values() if isinstance(part, Dimension) and not part.implied)
        space = cls(dimensions, solved, parse_ratio(stated["intermediate_size"]), budget)
        if solved and budget.target is None:
            raise SpecError(
                f"space solves for {' and '.join(solved)}, which needs a budget to spend; name a target such as budget.parameters"
            )
        deepest = max((repeated.repeats for repeated in space.choices("sharing")), default=1) * max(space.choices("num_unique_layers"))
        if deepest > MOST_BLOCKS:
            raise SpecError(
                f"space.num_unique_layers times sharing.repeats must be at most {MOST_BLOCKS:,}, found {deepest:,}; lower one of them"
            )
        slides = any("sliding_attention" in row for row in space.choices("layer_types"))
        if slides and None in space.choices("sliding_window"):
            raise SpecError(
                "space.layer_types has sliding_attention, so space.sliding_window must be a number of tokens, found none; add it"
            )
        return space

    def choices(self, name: str) -> tuple[Any, ...]:
        """The choices of one dimension, in order; empty where it is solved for or absent."""
        return next((d.choices for d in self.dimensions if d.name == name), ())

    @cached_property
    def free(self) -> tuple[Dimension, ...]:
        """The dimensions that leave something to choose."""
        return tuple(d for d in self.dimensions if len(d.choices) > 1)

    @cached_property
    def size_rules(self) -> SizeRules:
        """What holds for the sizes of all points."""
        return SizeRules({d.name: d for d in self.dimensions if d.relative}, self.solved, self.mlp_ratio)

    @property
    def size(self) -> int:
        """How many points the space has, feasible or not."""
        total = 1
        for dimension in self.dimensions:
            total *= len(dimension.choices)
        return total

    def point(self, index: int) -> Point:
        """The point of that number, 0 to `size` - 1; the last dimension changes fastest."""
        values: Point = {}
        for dimension in reversed(self.dimensions):
            index, place = divmod(index, len(dimension.choices))
            values[dimension.name] = dimension.choices[place]
        return {d.name: values[d.name] for d in self.dimensions}

    def architecture(self, point: Point) -> Architecture:
        """The shape of a point; raises InfeasibleError with the reason where it cannot spend the budget."""
        return solve(point, self.size_rules, self.budget)

    def walk(self, seed: int | None = None) -> Iterator[tuple[Point, Architecture | InfeasibleError]]:
        """Every point with its shape, in order or shuffled by a seed; at most `ENUMERABLE` of them where the space is larger."""
        size = self.size
        order: Iterable[int]
        if size <= ENUMERABLE:
            order = list(range(size))
            if seed is not None:
                random.Random(seed).shuffle(order)
        else:  # drawn as they are asked for: most who walk look at a part
            draw = random.Random(0 if seed is None else seed)
            order = (draw.randrange(size) for _ in range(ENUMERABLE))
        for index in order:
            point = self.point(index)
            try:
                yield point, self.architecture(point)
            except InfeasibleError as reason:
                yield point, reason

    def shapes(self, seed: int | None = None, at_most: int | None = None) -> Iterator[tuple[Point, Architecture]]:
        """Distinct feasible shapes of at most so many points, each with the first that builds it, in order or shuffled by a seed."""
        seen = set()
        for point, shape in islice(self.walk(seed), at_most):
            if isinstance(shape, Architecture) and shape not in seen:
                seen.add(shape)
                yield point, shape

    def table(self) -> list[tuple[Point, Architecture]]:
        """All distinct feasible shapes (of a uniform sample of points where the space is too large to enumerate), computed once."""
        return self._table

    def sample(self, count: int, seed: int = 0, at_most: int | None = None) -> list[Architecture]:
        """So many distinct feasible shapes, those of uniformly drawn points; fewer only where `at_most` so many points have no more."""
        shapes = self.shapes(seed, at_most)
        return [shape for _, (_, shape) in zip(range(count), shapes, strict=False)]

    def explain(self) -> Explanation:
        """Count points, feasible points and shapes, and say which limit removes how many; computed once."""
        return self._survey.explained(self.size)

    @property
    def glance(self) -> int:
        """Points that are looked at in half a second: a plan and a refusal do not wait for more."""
        return GLANCE // WIDTH_POINTS if "hidden_size" in self.solved else GLANCE

    @cached_property
    def glimpse(self) -> Survey:
        """The survey of `glance` uniformly drawn points, or of all where there are no more."""
        return self._survey if self.size <= self.glance else Survey.of(islice(self.walk(0), self.glance))

    @cached_property
    def _table(self) -> list[tuple[Point, Architecture]]:
        return self._survey.table

    @cached_property
    def _survey(self) -> Survey:
        return Survey.of(self.walk())

    def require_feasible(self) -> None:
        """Raise SpecError with the whole explanation where no shape of `glance` points spends the budget: no search would meet one."""
        survey = Survey()
        for point, shape in islice(self.walk(None if self.size <= self.glance else 0), self.glance):
            if isinstance(shape, Architecture):
                return
            survey.add(point, shape)
        raise SpecError(
            f"no shape of this space spends the budget ({self.budget}); widen the limit that removes most, or the tolerance:\n"
            f"{survey.explained(self.size)}"
        )
