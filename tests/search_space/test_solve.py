"""The way from a point to its shape asks closed forms without building what it leaves again."""

from __future__ import annotations

from typing import Any

import pytest

from search_space.architecture import Architecture
from search_space.budget import Budget
from search_space.families import FAMILIES
from search_space.proportions import DEPTH_PATIENCE, Proportions, scaled
from search_space.solve import _Draft
from search_space.space import SearchSpace

QUANTITIES = ("parameters", "non_embedding_parameters", "weight_bytes", "flops_per_token")
EVERY_KIND = {
    "vocab_size": 300, "num_unique_layers": [1, 3], "hidden_size": [32, 64], "head_dim": 16, "num_attention_heads": 4,
    "num_key_value_heads": {"ratio_of_heads": [0.5, 1.0]}, "intermediate_size": [40, 100], "mlp": ["swiglu", "relu"],
    "tie_word_embeddings": [True, False], "layer_types": [["full_attention"], ["sliding_attention", "full_attention"]],
    "sliding_window": 8, "qk_norm": [False, True], "attention_bias": ["none", "qkv"],
    "sharing": ["none", *({"strategy": "reverse", "repeats": 2, "part": part} for part in ("block", "attention", "mlp"))],
}  # fmt: skip


def parse(space: dict[str, Any], **budget: Any) -> SearchSpace:
    return SearchSpace.parse(space, Budget.parse(budget))


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_sizes_that_are_still_open_cost_what_the_shape_of_them_costs(quantity: str) -> None:
    space = parse(EVERY_KIND, **{quantity: {"at_most": 10**12}})
    (limit,) = space.budget.limits
    relative = {d.name: d for d in space.dimensions if d.relative}
    count = 0
    for point, shape in space.walk():
        assert isinstance(shape, Architecture)
        draft = _Draft(point, relative, None, space.mlp_ratio, space.budget)
        sizes = shape.hidden_size, shape.num_attention_heads, shape.num_key_value_heads, shape.intermediate_size
        assert draft._measure(limit, *sizes) == limit.measure(shape)
        count += 1
    assert count == space.size > 1_000


@pytest.mark.parametrize("parameters", [10**7, 10**10])
def test_few_shapes_are_built_to_find_the_one_of_given_proportions(parameters: int, monkeypatch: pytest.MonkeyPatch) -> None:
    built, check = [0], Architecture.__post_init__

    def counted(shape: Architecture) -> None:
        built[0] += 1
        check(shape)

    monkeypatch.setattr(Architecture, "__post_init__", counted)
    shape = scaled(Proportions.of(FAMILIES["mobilellm-125m"]), parse({"vocab_size": 4096}, parameters=parameters))
    assert shape is not None
    assert built[0] < 10 * (shape.num_unique_layers + DEPTH_PATIENCE)  # three widths a depth, not a bisection's for each of them


def test_no_depth_is_looked_at_that_costs_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[Any] = []
    monkeypatch.setattr(SearchSpace, "architecture", lambda self, point: tried.append(point))
    assert scaled(Proportions.of(FAMILIES["mobilellm-125m"]), parse({"vocab_size": 32_000}, parameters=10_000)) is None
    assert tried == []
