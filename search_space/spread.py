"""A few shapes that stand for a whole space: from deep and thin to wide and shallow, shared and not."""

from __future__ import annotations

from collections.abc import Sequence

from search_space.architecture import Architecture

SEEN = 2000
"""Shapes of a space, uniformly drawn, among which a spread is chosen."""


def spread_of_shapes(shapes: Sequence[Architecture], count: int) -> list[Architecture]:
    """So many shapes at most, by width over executed depth; every other one shares weights, where some do."""
    ordered = sorted(shapes, key=_aspect)
    kinds = [[shape for shape in ordered if (shape.sharing.repeats > 1) is shared] for shared in (False, True)]
    kinds = [kind for kind in kinds if kind]
    chosen = []
    for place in range(count):
        kind = kinds[place % len(kinds)]
        chosen.append(kind[round((len(kind) - 1) * (place / (count - 1) if count > 1 else 0.5))])
    return sorted(set(chosen), key=_aspect)


def _aspect(shape: Architecture) -> tuple[float, str]:
    """Width over executed depth; the key settles ties."""
    return shape.hidden_size / shape.num_hidden_layers, shape.key
