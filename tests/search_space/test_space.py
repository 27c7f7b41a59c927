"""Spaces and budgets: whatever is asked, every shape is valid, spends the budget, keeps the limits, and is one of its kind."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from search_space import cost
from search_space.architecture import Architecture
from search_space.budget import Budget
from search_space.draft import InfeasibleError
from search_space.errors import SpecError
from search_space.space import SearchSpace

fast = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def several(*choices: Any) -> st.SearchStrategy[list[Any]]:
    """One choice as a rule, two now and then, so that a space stays small."""
    one = st.sampled_from(choices).map(lambda choice: [choice])
    two = st.lists(st.sampled_from(choices), min_size=2, max_size=2, unique_by=repr)
    return st.one_of(one, one, two)


@st.composite
def spaces(draw: st.DrawFn) -> SearchSpace:
    """Spaces of some tens or hundreds of points around a real shape's cost, so that something is often feasible."""
    width, depth = draw(st.sampled_from([32, 64, 96, 160, 256])), draw(st.integers(1, 12))
    solves = draw(st.sampled_from([("intermediate_size",), ("hidden_size",), ("hidden_size", "intermediate_size"), ()]))
    ratio = sorted(draw(st.tuples(st.sampled_from([0, 0.5, 1, 2]), st.sampled_from([2, 3, 6, 8]))))
    step = draw(st.sampled_from([1, 4, 8, 24]))
    space: dict[str, Any] = {
        "vocab_size": draw(several(257, 512, 1000)),
        "num_unique_layers": {"from": max(1, depth - 2), "to": depth},
        "head_dim": draw(several(8, 16, 32)),
        "tie_word_embeddings": draw(several(True, False)),
        "mlp": draw(several("swiglu", "relu", "gelu")),
        "sharing": draw(several("none", {"strategy": "immediate", "repeats": 2}, {"strategy": "reverse", "repeats": 3, "part": "mlp"})),
        "num_attention_heads": draw(st.one_of(several(1, 2, 4, 6), st.builds(lambda r: {"ratio_of_hidden": r}, several(0.5, 1.0, 1.5)))),
        "num_key_value_heads": draw(st.one_of(several(1, 2, 3), st.builds(lambda r: {"ratio_of_heads": r}, several(0.25, 0.5, 1.0)))),
        "layer_types": draw(several(["full_attention"], ["sliding_attention", "full_attention"])),
        "sliding_window": draw(several(16, 64)),
        "hidden_size": {"solve": True, "multiple_of": draw(st.sampled_from([1, 4, 8, 16]))}
        if "hidden_size" in solves
        else [width, width + 8],
    }
    if "intermediate_size" in solves:
        space["intermediate_size"] = {"solve": True, "multiple_of": step, "ratio": ratio}
    else:
        space["intermediate_size"] = draw(st.sampled_from([{"ratio_of_hidden": [2.0, 8 / 3], "multiple_of": step}, [width, 2 * width]]))
    return SearchSpace.parse(space, Budget.parse(draw(budgets(width, depth, bool(solves)))))


@st.composite
def budgets(draw: st.DrawFn, width: int, depth: int, needs_target: bool) -> dict[str, Any]:
    """One to three limits about what a plain shape of this width and depth costs."""
    model = Architecture(
        vocab_size=512,
        hidden_size=width,
        num_unique_layers=depth,
        num_attention_heads=max(1, width // 16),
        num_key_value_heads=1,
        head_dim=16,
        intermediate_size=3 * width,
    )
    precision, context = draw(st.sampled_from(list(cost.BITS_PER_WEIGHT))), draw(st.sampled_from([32, 512]))
    spent = {
        "parameters": cost.parameters(model),
        "non_embedding_parameters": cost.non_embedding_parameters(model),
        "weight_bytes": cost.weight_bytes(model, precision),
        "flops_per_token": cost.decode_flops(model, context),
    }
    names = draw(st.lists(st.sampled_from(list(spent)), min_size=1, max_size=3, unique=True))
    extra: dict[str, dict[str, Any]] = {"weight_bytes": {"precision": precision}, "flops_per_token": {"context_tokens": context}}
    limits: dict[str, Any] = {"tolerance": draw(st.sampled_from([0.002, 0.01, 0.05]))}
    for place, name in enumerate(names):
        kind = "target" if place == 0 and needs_target else draw(st.sampled_from(["target", "at_most"]))
        slack = 1.0 if kind == "target" else 1.3
        limits[name] = {kind: round(spent[name] * slack * draw(st.sampled_from([0.8, 1.0, 1.25]))), **extra.get(name, {})}
    return limits


@fast
@given(spaces())
def test_every_shape_is_valid_within_every_limit_inside_the_ratio_and_distinct(space: SearchSpace) -> None:
    table = space.table()
    shapes = [shape for _, shape in table]
    assert len(set(shapes)) == len(shapes)
    assert len({shape.key for shape in shapes}) == len(shapes)
    for point, shape in table:
        assert Architecture.from_dict(shape.as_dict()) == shape
        assert all(limit.holds(limit.measure(shape)) for limit in space.budget.limits)
        low, high = space.mlp_ratio
        assert low - 1e-6 <= shape.intermediate_size / shape.hidden_size <= high + 1e-6
        for name, solved in space.solved.items():
            size = getattr(shape, name)
            assert size % solved.multiple_of == 0
            assert solved.low <= size <= solved.high
        relative = next((d for d in space.dimensions if d.name == "intermediate_size" and d.relative), None)
        assert relative is None or shape.intermediate_size % relative.multiple_of == 0
        for name in ("vocab_size", "num_unique_layers", "head_dim", "mlp", "tie_word_embeddings"):
            assert getattr(shape, name) == point[name]
        assert space.architecture(point) == shape


@fast
@given(spaces())
def test_the_explanation_accounts_for_every_point(space: SearchSpace) -> None:
    told = space.explain()
    assert told.points == told.examined == space.size
    assert told.feasible + sum(told.removed.values()) == told.points
    assert told.shapes == len(space.table()) <= told.feasible
    assert told.feasible or told.nearest is not None or all("heads" in reason for reason in told.removed)


@fast
@given(spaces())
def test_a_space_that_has_been_looked_at_goes_to_another_process_with_what_it_knows(space: SearchSpace) -> None:
    found = space.explain()
    assert str(pickle.loads(pickle.dumps(space)).explain()) == str(found)


@settings(fast, max_examples=30)
@given(spaces(), st.integers(0, 2**32))
def test_samples_are_distinct_and_a_pure_function_of_the_seed(space: SearchSpace, seed: int) -> None:
    sampled = space.sample(40, seed)
    assert sampled == space.sample(40, seed)
    assert len(set(sampled)) == len(sampled) == min(40, len(space.table()))
    assert set(sampled) <= {shape for _, shape in space.table()}


@settings(max_examples=40, deadline=None)
@given(spaces())
def test_where_the_mlp_is_solved_no_multiple_would_have_come_closer_to_the_target(space: SearchSpace) -> None:
    solved = space.solved.get("intermediate_size")
    if solved is None or "hidden_size" in space.solved:
        return
    target = space.budget.target
    assert target is not None
    for index in range(0, space.size, max(1, space.size // 25)):
        point = space.point(index)
        try:
            shape, distance = space.architecture(point), None
            distance = abs(target.measure(shape) - target.value)
        except InfeasibleError:
            shape, distance = None, None
        for size in range(solved.multiple_of, 12 * max(space.choices("hidden_size")), solved.multiple_of):
            other = _with_inner(space, point, size)
            if other is None or space.budget.violated(other) or not _ratio_holds(space, other):
                continue
            assert shape is not None, f"{other.label} is feasible, and was not found"
            assert distance is not None
            assert distance <= abs(target.measure(other) - target.value)


def _with_inner(space: SearchSpace, point: dict[str, Any], size: int) -> Architecture | None:
    """The shape of a point with this intermediate_size, budget or not."""
    heads, groups, width = point["num_attention_heads"], point["num_key_value_heads"], point["hidden_size"]
    relative = {d.name for d in space.dimensions if d.relative}
    if relative & {"num_attention_heads", "num_key_value_heads"} or heads % groups:
        return None
    names = ("vocab_size", "num_unique_layers", "head_dim", "mlp", "tie_word_embeddings", "sharing", "sliding_window")
    depth = point["num_unique_layers"] * point["sharing"].repeats
    return Architecture(
        **{name: point[name] for name in names},
        hidden_size=width,
        num_attention_heads=heads,
        num_key_value_heads=groups,
        intermediate_size=size,
        layer_types=point["layer_types"][:depth],
    )


def _ratio_holds(space: SearchSpace, shape: Architecture) -> bool:
    low, high = space.mlp_ratio
    return low <= shape.intermediate_size / shape.hidden_size <= high


def parse(space: dict[str, Any], **budget: Any) -> SearchSpace:
    return SearchSpace.parse(space, Budget.parse(budget or {"parameters": 250_000}))


def test_a_ratio_of_the_width_is_rounded_to_the_multiple_that_was_asked_for() -> None:
    space = parse(
        {"hidden_size": [100], "head_dim": 10, "intermediate_size": {"ratio_of_hidden": [2.5], "multiple_of": 12}},
        parameters={"at_most": 10**9},
    )
    assert {shape.intermediate_size for _, shape in space.table()} == {252}


def test_a_width_is_found_where_the_mlp_is_a_ratio_of_it() -> None:
    sizes = {"hidden_size": {"solve": True, "multiple_of": 2}, "intermediate_size": {"ratio_of_hidden": 8 / 3, "multiple_of": 2}}
    space = parse({"vocab_size": 512, "num_unique_layers": 6, "head_dim": 8, **sizes}, parameters=2_500_000)
    ((_, shape),) = space.table()
    assert abs(cost.parameters(shape) / 2_500_000 - 1) <= 0.01


def test_explanations_name_the_limit_and_the_nearest_miss() -> None:
    space = parse({"vocab_size": 512, "hidden_size": [64], "num_unique_layers": 2, "head_dim": 16, "intermediate_size": [64]})
    text = str(space.explain())
    assert text.startswith("1 points; 0 feasible, 0 distinct shapes")
    assert "1 removed: parameters more than 1% from 250,000" in text
    assert "nearest miss: 2x64 4/4x16 f64 spends 90,432 parameters" in text
    with pytest.raises(SpecError, match="no shape of this space spends the budget"):
        space.require_feasible()


def test_the_nearest_miss_is_judged_by_its_worst_limit() -> None:
    sizes = {"vocab_size": 512, "num_unique_layers": 2, "head_dim": 16, "intermediate_size": [64]}
    space = parse({**sizes, "hidden_size": [64, 128]}, parameters=90_000, weight_bytes={"at_most": 1_000})
    text = str(space.explain())
    assert "2 removed: weight_bytes above 1,000" in text
    assert "nearest miss: 2x64 4/4x16 f64 spends 180,864 weight_bytes" in text


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ({"head_dim": [7]}, "space.head_dim must be even"),
        ({"head_dim": {"from": 8, "to": 12, "step": 3}}, "space.head_dim must be even"),
        ({"hidden_size": [float("inf")]}, "space.hidden_size must be a whole number"),
        ({"hidden_size": [float("nan")]}, "space.hidden_size must be a whole number"),
        ({"num_attention_heads": {"ratio_of_hidden": [float("nan")]}}, "must be above 0"),
        ({"hiden_size": 8}, "did you mean `hidden_size`?"),
        ({"hidden_size": {"from": 9, "to": 8}}, "space.hidden_size.to must be at least"),
        ({"mlp": "silu"}, "space.mlp must be one of"),
        ({"sharing": [{"strategy": "twice"}]}, "space.sharing.strategy must be one of"),
        ({"layer_types": ["sliding_attention"]}, "space.sliding_window must be a number"),
        ({"num_attention_heads": {"solve": True}}, "cannot be solved for"),
        ({"intermediate_size": {"solve": True, "ratio": [3, 2]}}, "must be [lowest, highest]"),
        ({"intermediate_size": {"solve": "maybe"}}, "space.intermediate_size.solve must be true or false"),
        ({"hidden_size": []}, "must offer at least one choice"),
    ],
)
def test_a_wrong_space_is_refused_in_one_sentence(space: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse(space)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        ({"paramters": 1}, "did you mean `parameters`?"),
        ({"parameters": -1}, "must be above 0"),
        ({"parameters": "many"}, "must be a number"),
        ({"parameters": {"target": 1, "at_most": 2}}, "either `target` or `at_most`"),
        ({"parameters": 10, "tolerance": 1.5}, "must lie between 0 and 1"),
        ({"weight_bytes": {"target": 10, "precision": "int3"}}, "precision must be one of"),
        ({"tolerance": 0.1}, "must name at least one of"),
        ({"parameters": {"at_most": 10}}, "needs a budget to spend"),
    ],
)
def test_a_wrong_budget_is_refused_in_one_sentence(budget: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse({}, **budget)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_space_too_large_to_enumerate_is_sampled_and_says_so() -> None:
    everything = {"from": 1, "to": 1_000_000}
    space = parse(
        {"vocab_size": everything, "hidden_size": everything, "num_attention_heads": everything, "num_key_value_heads": everything}
    )
    assert space.size > 2**63
    point, _ = next(space.walk(seed=1))
    assert 1 <= point["hidden_size"] <= 1_000_000


def test_limits_in_int4_bytes_hold_to_the_byte() -> None:
    space = parse(
        {"vocab_size": 512, "head_dim": 16, "num_unique_layers": {"from": 1, "to": 8}, "intermediate_size": {"solve": True}},
        weight_bytes={"target": 125_001, "precision": "int4", "tolerance": 0.0005},
    )
    assert space.table()
    assert all(abs(cost.weight_bytes(shape, "int4") - 125_001) <= 62 for _, shape in space.table())
