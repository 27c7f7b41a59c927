"""A space in which few points are feasible: a plan and a refusal look at one part of it, and no point is drawn unasked."""

from __future__ import annotations

import random
from itertools import islice

import pytest

import search_space.space
from search_space.architecture import Architecture
from search_space.budget import Budget
from search_space.errors import SpecError
from search_space.space import SearchSpace

RARE = {
    "vocab_size": {"from": 257, "to": 900},
    "num_unique_layers": {"from": 1, "to": 60},
    "hidden_size": {"from": 16, "to": 256, "step": 16},
}


def rare_space() -> SearchSpace:
    fixed = {"head_dim": 16, "num_attention_heads": 2, "num_key_value_heads": 2, "intermediate_size": 64}
    return SearchSpace.parse({**RARE, **fixed}, Budget.parse({"parameters": 90_000, "tolerance": 0.001}))


def test_a_refusal_looks_at_as_many_points_as_a_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    """So what passes the gate has shapes for the plan, and a refusal takes no longer than a plan's look at the space."""
    first = next(place for place, (_, shape) in enumerate(rare_space().walk(0)) if isinstance(shape, Architecture))
    monkeypatch.setattr(search_space.space, "GLANCE", first + 1)
    space = rare_space()
    space.require_feasible()
    assert [*space.glimpse.shapes] == [next(shape for _, shape in space.shapes(0))]
    monkeypatch.setattr(search_space.space, "GLANCE", first)
    with pytest.raises(SpecError, match=f"{first:,} of them examined; 0 feasible"):
        rare_space().require_feasible()


def test_few_points_are_drawn_for_who_looks_at_few(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn, draw = [0], random.Random.randrange

    def counted(source: random.Random, *ends: int) -> int:
        drawn[0] += 1
        return draw(source, *ends)

    monkeypatch.setattr(random.Random, "randrange", counted)
    space = rare_space()
    assert space.size > search_space.space.ENUMERABLE
    assert len([*islice(space.walk(0), 10)]) == 10
    assert drawn[0] <= 11
