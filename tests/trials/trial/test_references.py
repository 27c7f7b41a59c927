"""Reference shapes: published proportions at the study's budget, from 50 thousand to 10 billion parameters."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from search_space import cost
from search_space.budget import Budget
from search_space.errors import SpecError
from search_space.families import FAMILIES
from search_space.space import SearchSpace
from trials.trial.references import DEEP_THIN, WIDE_SHALLOW, reference, reference_notices, references, scale

SIZES = [(50_000, 257, [8, 16]), (250_000, 512, [16, 32]), (10**7, 4096, [32, 64]), (10**9, 32_000, [64, 128]), (10**10, 128_256, [128])]


def space_of(parameters: int, vocab_size: int, head_dims: list[int], **more: object) -> SearchSpace:
    return SearchSpace.parse({"vocab_size": vocab_size, "head_dim": head_dims, **more}, Budget.parse({"parameters": parameters}))


@pytest.mark.parametrize(("parameters", "vocab_size", "head_dims"), SIZES)
def test_proportions_are_brought_to_any_budget(parameters: int, vocab_size: int, head_dims: list[int]) -> None:
    space = space_of(parameters, vocab_size, head_dims)
    deep, wide = reference("deep-thin", space), reference("wide-shallow", space)
    for shape, model in ((deep, DEEP_THIN), (wide, WIDE_SHALLOW)):
        assert abs(cost.parameters(shape) / parameters - 1) <= 0.01
        assert shape.vocab_size == vocab_size
        assert shape.head_dim in head_dims
        assert 0.5 < (shape.hidden_size / shape.num_unique_layers) / (model.hidden_size / model.num_unique_layers) < 2
        assert 0.6 < (shape.intermediate_size / shape.hidden_size) / (model.intermediate_size / model.hidden_size) < 1.7
    assert deep.num_unique_layers > wide.num_unique_layers
    assert deep.hidden_size < wide.hidden_size


def test_the_models_themselves_come_back_at_their_own_size() -> None:
    space = space_of(cost.parameters(DEEP_THIN), 32_000, [64])
    assert reference("deep-thin", space) == reference("mobilellm-125m", space) == DEEP_THIN
    assert scale(WIDE_SHALLOW, space_of(cost.parameters(WIDE_SHALLOW), 32_000, [64])) == WIDE_SHALLOW


def test_a_family_keeps_its_sharing() -> None:
    shape = reference("mobilellm-ls-125m", space_of(250_000, 512, [16]))
    assert shape.sharing == FAMILIES["mobilellm-ls-125m"].sharing
    assert shape.num_hidden_layers == 2 * shape.num_unique_layers


def test_upper_limits_alone_are_spent_almost_whole() -> None:
    sizes = {"hidden_size": [64], "intermediate_size": [128], "vocab_size": 512, "head_dim": 16}
    space = SearchSpace.parse(sizes, Budget.parse({"weight_bytes": {"at_most": 500_000}}))
    assert 485_000 <= cost.weight_bytes(reference("deep-thin", space)) <= 500_000


def test_a_file_is_taken_as_it_is_and_says_where_it_is_off_budget(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"architecture": DEEP_THIN.as_dict()}))
    ((name, shape),) = references((str(path),), space_of(250_000, 512, [16]))
    assert shape == DEEP_THIN
    assert name == "mine (off budget)"
    ((name, _),) = references((str(path),), space_of(cost.parameters(DEEP_THIN), 32_000, [64]))
    assert name == "mine"


PUBLISHED = {"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": None,
             "intermediate_size": 96, "vocab_size": 512, "tie_word_embeddings": True}  # fmt: skip


def test_a_published_config_is_a_reference_and_what_is_passed_over_is_said_once(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(PUBLISHED | {"attention_dropout": 0.1, "bos_token_id": 1, "rope_scaling": {"rope_type": "yarn"}}))
    ((name, shape),) = references((str(path),), space_of(250_000, 512, [16]))
    assert (name, shape.num_key_value_heads, shape.head_dim) == ("config (off budget)", 4, 16)
    assert reference_notices((str(path), "deep-thin")) == [
        "config.json: its blocks are built anew, so what changes neither count nor cost is passed over "
        "(attention_dropout, bos_token_id, rope_scaling)"
    ]


def test_a_published_config_with_other_blocks_is_no_reference(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(PUBLISHED | {"partial_rotary_factor": 0.5, "hidden_act": "gelu"}))
    with pytest.raises(SpecError, match=r"config.json: the model's blocks .* found a gated MLP with gelu and a partial rotary share, they"):
        reference(str(path), space_of(250_000, 512, [16]))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"vocab_size": 512,}', "line 1, column 20: Expecting property name enclosed in double quotes"),
        ('{"vocab_size": 512\n "head_dim": 4}', "line 2, column 2: Expecting ',' delimiter"),
        ('{"vocab_size": 512, "vocab_size": 513}', "line 1, column 21: `vocab_size` stands there twice"),
        ("", "line 1, column 1: Expecting value"),
        ("[" * 100_000, "brackets within brackets without end"),
        ("vocab_size: 512", "line 1, column 1: Expecting value"),
    ],
)
def test_json_that_is_broken_is_told_with_its_place(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "shape.json"
    path.write_text(text)
    with pytest.raises(SpecError) as caught:
        reference(str(path), space_of(250_000, 512, [16]))
    assert str(caught.value) == f"{path} cannot be read as JSON ({said}); name an architecture's file"


def test_two_names_of_one_shape_are_one_reference() -> None:
    space = space_of(cost.parameters(DEEP_THIN), 32_000, [64])
    ((name, shape),) = references(("deep-thin", "mobilellm-125m"), space)
    assert (name, shape) == ("deep-thin and mobilellm-125m", DEEP_THIN)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("depp-thin", "unknown; did you mean `deep-thin`?"),
        ("missing.yaml", "missing.yaml is not a file"),
    ],
)
def test_a_wrong_name_is_refused_with_its_cure(name: str, said: str) -> None:
    with pytest.raises(SpecError, match="references") if "yaml" not in name else pytest.raises(SpecError) as caught:
        reference(name, space_of(250_000, 512, [16]))
    assert said in str(caught.value)


def test_a_budget_that_the_vocabulary_alone_exceeds_is_explained() -> None:
    with pytest.raises(SpecError, match="deep-thin has no shape that spends the budget"):
        reference("deep-thin", space_of(100_000, 32_000, [64]))
