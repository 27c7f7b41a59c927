"""The way from a point to its shape asks closed forms without building what it leaves again."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Any

import pytest

from search_space import proportions
from search_space.architecture import Architecture
from search_space.budget import Budget, Limit
from search_space.cost_polynomial import PROBED_SIZES, cost_terms
from search_space.depths import Depths
from search_space.draft import Draft, InfeasibleError, Sizes
from search_space.families import FAMILIES
from search_space.proportions import Proportions, scaled
from search_space.sharing import Sharing
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
    count = 0
    for point, shape in space.walk():
        assert isinstance(shape, Architecture)
        draft = Draft(point, space.size_rules)
        sizes = shape.hidden_size, shape.num_attention_heads, shape.num_key_value_heads, shape.intermediate_size
        assert draft._spent(sizes, space.budget) == [cost_terms(point, limit).at(*sizes)] == [limit.measure(shape)]
        assert draft._lines(*sizes[:3], space.budget) == [cost_terms(point, limit).line(*sizes[:3])]
        assert draft.built(sizes) == shape
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
    assert built[0] == 1  # the others are sizes alone


def test_no_depth_is_looked_at_that_costs_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[Any] = []
    monkeypatch.setattr(Depths, "sizes", lambda self, place, budget: tried.append(place))
    assert scaled(Proportions.of(FAMILIES["mobilellm-125m"]), parse({"vocab_size": 32_000}, parameters=10_000)) is None
    assert tried == []


def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Places of the depths that are solved for from now on."""
    looked: list[int] = []
    solve = Depths.sizes

    def note(self: Depths, place: int, budget: Budget) -> Sizes | None:
        looked.append(place)
        return solve(self, place, budget)

    monkeypatch.setattr(Depths, "sizes", note)
    return looked


MODELS = [
    replace(Proportions.of(FAMILIES[name]), **changes)
    for name in ("mobilellm-125m", "smollm2-135m")
    for changes in ({}, {"aspect_ratio": 4.0}, {"aspect_ratio": 80.0, "key_value_ratio": 1.0}, {"mlp_ratio": 1.0, "mlp": "relu"})
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: f"{model.aspect_ratio:.3g} {model.mlp_ratio:.3g} {model.mlp}")
@pytest.mark.parametrize("parameters", [300_000, 5_000_000, 400_000_000])
def test_depths_that_cannot_be_better_are_left_out_and_the_best_stays(
    model: Proportions, parameters: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = looked_at(monkeypatch)
    space = parse({"vocab_size": 1024, "head_dim": [16, 64]}, parameters=parameters)
    found, few = scaled(model, space), len(looked)
    monkeypatch.setattr(proportions, "WIDTH_SLACK", math.inf)
    assert scaled(model, space) == found
    assert few <= len(looked) - few


def test_what_is_known_of_depths_without_a_shape_changes_no_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    """Budgets of all kinds, thin and wide, shared and not: patience alone finds the same, and looks at many more."""
    draw, cases = random.Random(1), []
    for _ in range(24):
        model = replace(
            Proportions.of(FAMILIES["mobilellm-125m"]),
            aspect_ratio=draw.choice([3.0, 12.0, 40.0, 150.0]),
            head_ratio=draw.choice([0.5, 1.0, 1.5]),
            key_value_ratio=draw.choice([1 / 3, 1 / 4, 1.0]),
            sharing=draw.choice([Sharing(), Sharing("immediate", 2), Sharing("reverse", 2, "mlp")]),
        )
        quantity = draw.choice(["parameters", "non_embedding_parameters", "weight_bytes", "flops_per_token"])
        extra = {"qk_norm": True, "attention_bias": "qkv"} if draw.random() < 0.3 else {}
        values = {"vocab_size": draw.choice([512, 32_000]), "head_dim": draw.choice([16, 64, 128]), **extra}
        cases.append((model, parse(values, **{quantity: round(10 ** draw.uniform(6, 10.5))})))
    several = {"vocab_size": 512, "head_dim": [16, 256], "qk_norm": True}
    cases += [(model, parse(several, parameters=parameters)) for model in MODELS[:3] for parameters in (200_000, 2_000_000)]
    looked = looked_at(monkeypatch)
    found = [scaled(*case) for case in cases]
    few = len(looked)
    monkeypatch.setattr(proportions._Outlook, "least_before", lambda outlook, place: 0.0)
    monkeypatch.setattr(proportions._Outlook, "least_beyond", lambda outlook, place: 0.0)
    assert [scaled(*case) for case in cases] == found
    assert len(looked) - few > few
    assert sum(shape is not None for shape in found) > 12


@pytest.mark.parametrize("head_dim", [[16, 256], [256, 16]], ids=str)
def test_no_shape_is_nearer_than_what_is_known_of_its_depth_whatever_its_heads(head_dim: list[int]) -> None:
    space = parse({"vocab_size": 512, "head_dim": head_dim, "qk_norm": True}, parameters=300_000)
    model = replace(MODELS[0], key_value_ratio=1.0, head_ratio=1.0)
    spaces, seen = proportions._depths(model, proportions._Constants.of(space), 1, 8), 0
    outlook = proportions._Outlook(model, spaces, space.budget)
    for place in range(0, 100, 3):
        for found in (outlook._found_in(each, place) for each in spaces):
            if found.shape is not None:
                assert found.distance == model.distance(found.shape)
                assert found.distance >= max(outlook.least_before(place), outlook.least_beyond(place))
                seen += 1
    assert seen > 20


def test_no_space_is_solved_in_twice_and_a_depth_is_counted_once_for_all_budgets(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[str] = []
    measure = Limit.measure

    def note(limit: Limit, shape: Architecture) -> int:
        counted.append(limit.quantity)
        return measure(limit, shape)

    model = replace(MODELS[0], key_value_ratio=1.0, aspect_ratio=17.0)
    constants = proportions._Constants.of(parse({"head_dim": [8, 16]}, parameters=1))
    spaces = proportions._depths(model, constants, 8, 8)
    assert len({(each.width_step, each.head_dim) for each in spaces}) == len(spaces) == 3
    monkeypatch.setattr(Limit, "measure", note)
    found = [spaces[0].sizes(5, Budget.parse({"parameters": parameters})) for parameters in (10**6, 2 * 10**6, 10**7)]
    assert len(set(found)) == 3
    assert len(counted) <= len(PROBED_SIZES)


def test_the_shape_that_came_near_is_put_into_words_where_it_is_told() -> None:
    space = parse({"vocab_size": 512, "hidden_size": 8, "head_dim": 64, "num_unique_layers": 2}, parameters=1_000_000)
    near = "hidden_size 8 with 2 unique layers would need intermediate_size 20662, 2582.73 times the width"
    with pytest.raises(InfeasibleError, match="above 6") as error:
        space.architecture(space.point(0))
    assert error.value.near == near == space.explain().nearest
    space = parse({"vocab_size": 512, "hidden_size": 64, "head_dim": 64, "num_unique_layers": 30}, parameters=1_000_000)
    assert space.explain().nearest == "30x64 1/1x64 f80 spends 988,992 parameters"
