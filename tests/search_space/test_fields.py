"""What a new field of a shape needs: an attribute, a row, and from the row all else. Each failure names what was forgotten, and where."""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import replace
from typing import Any

import pytest

from search_space import cost
from search_space.architecture import KEYS, Architecture
from search_space.budget import Budget
from search_space.errors import SpecError
from search_space.families import family
from search_space.field import NOTHING, REQUIRED, Field, FieldKind
from search_space.fields import BY_NAME, FIELDS, OPTIONAL
from search_space.label import read_label
from search_space.proportions import Proportions, scaled
from search_space.space import SearchSpace

MODEL = family("mobilellm-125m")
FIRST = set(KEYS) - {"num_hidden_layers"}
"""Fields of the first records, which stand in every hash."""
SPACE: dict[str, Any] = {
    "vocab_size": 512,
    "num_unique_layers": [2, 3],
    "hidden_size": [64],
    "head_dim": 16,
    "intermediate_size": {"solve": True, "ratio": [1, 6]},
}
every_optional_field = pytest.mark.parametrize("row", OPTIONAL, ids=lambda row: row.name)
every_field_with_a_default = pytest.mark.parametrize(
    "row", [row for row in FIELDS if row.default is not REQUIRED], ids=lambda row: row.name
)


def space_with(**changes: Any) -> SearchSpace:
    return SearchSpace.parse({**SPACE, **changes}, Budget.parse({"parameters": 130_000, "tolerance": 0.03}))


def test_every_attribute_of_an_architecture_has_a_row_and_every_row_an_attribute() -> None:
    attributes = {attribute.name: attribute for attribute in dataclasses.fields(Architecture)}
    assert len(BY_NAME) == len(FIELDS), "two rows of search_space/fields.py have one name"
    assert set(attributes) - set(BY_NAME) == set(), "give these attributes rows in search_space/fields.py"
    assert set(BY_NAME) - set(attributes) == set(), "give these rows attributes in search_space/architecture.py"
    for name, attribute in attributes.items():
        default = REQUIRED if attribute.default is dataclasses.MISSING else attribute.default
        assert BY_NAME[name].default == default, f"{name} has another default in search_space/fields.py than in architecture.py"


def test_only_the_first_fields_stand_in_a_hash_at_their_defaults() -> None:
    assert {row.name for row in FIELDS if row.always_written} == FIRST, "a later field is not `always_written`: it would rename every shape"
    assert set(MODEL.as_dict()) == set(KEYS)


@pytest.mark.parametrize("row", FIELDS, ids=lambda row: row.name)
def test_every_field_says_what_it_costs_and_how_it_is_shown(row: Field) -> None:
    assert row.parameters and row.flops and row.kv_cache and row.activations, f"say in words what {row.name} does, or {NOTHING!r}"  # noqa: PT018
    assert row.attention_vectors is None or row.parameters != NOTHING
    assert (row.attention_bytes is None) or row.activations != NOTHING
    assert row.kind is not FieldKind.CHOICE or row.default in row.choices
    assert row.default is REQUIRED or row.name in row.example, f"give {row.name} an example that departs from its default"


@every_field_with_a_default
def test_an_example_departs_is_told_in_the_label_and_survives_json(row: Field) -> None:
    shape = replace(MODEL, **row.example)
    assert row.departs(shape)
    assert not row.departs(MODEL)
    assert shape.key != MODEL.key
    if row.label is not None:
        assert row.label(shape) in shape.label
        assert len(shape.label) > len(MODEL.label)
        assert read_label(shape.label)[row.name][0] == row.label(shape), f"label_form of {row.name} must read its own words"
    values = json.loads(json.dumps(shape.as_dict()))
    assert Architecture.from_dict(values) == shape


def test_a_label_of_all_departures_is_read_back_and_one_that_is_none_is_refused() -> None:
    shape = replace(MODEL, **{name: value for row in FIELDS for name, value in row.example.items()})
    found = read_label(shape.label)
    assert " ".join(words for words, _ in found.values()) == shape.label
    assert [*found] == [row.name for row in FIELDS if row.label is not None]
    assert all(set(re.findall(r"\d+", words)) <= set(re.findall(r"\d+", meaning)) for words, meaning in found.values())
    for wrong in ("", "nonsense", "30x576", "30x576 9/3x64", f"{MODEL.label} twice", f"x {MODEL.label}"):
        with pytest.raises(SpecError, match="a shape's label must tell"):
            read_label(wrong)


@every_optional_field
def test_a_default_that_is_stated_is_absent_from_the_shape_and_from_its_points(row: Field) -> None:
    stated = {row.name: row.default}
    assert row.label is not None, f"give {row.name} a label: two shapes that differ would be shown alike"
    assert Architecture.from_dict(MODEL.as_dict() | stated).as_dict() == MODEL.as_dict()
    assert row.name not in MODEL.as_dict()
    plain, same = space_with(), space_with(**stated)
    assert [point for point, _ in same.table()] == [point for point, _ in plain.table()]
    assert row.name not in plain.point(0)
    assert {shape for _, shape in plain.table()} == {shape for _, shape in same.table()}


@every_optional_field
def test_a_space_may_fix_or_list_it_and_a_published_shape_follows_the_study(row: Field) -> None:
    example = row.example[row.name]
    fixed, listed = space_with(**{row.name: example}), space_with(**{row.name: [row.default, example]})
    assert {getattr(shape, row.name) for _, shape in fixed.table()} == {example}
    assert {getattr(shape, row.name) for _, shape in listed.table()} == {row.default, example}
    assert [d.name for d in listed.free if d.name == row.name] == [row.name]
    assert listed.size == 2 * space_with().size
    if row.of_study:
        brought = scaled(Proportions.of(MODEL), fixed)
        assert brought is not None
        assert getattr(brought, row.name) == example


@every_optional_field
def test_what_it_adds_to_an_attention_is_counted_once_for_each_that_is_stored(row: Field) -> None:
    shape = replace(MODEL, **row.example)
    added = 0 if row.attention_vectors is None else row.attention_vectors(shape)
    assert cost.parameters(shape) - cost.parameters(MODEL) == MODEL.stored_attentions * added
    assert cost.unrolled_parameters(shape) - cost.unrolled_parameters(MODEL) == MODEL.num_hidden_layers * added


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"rope_theta": 0}, "rope_theta must be above 0, found 0; raise it"),
        ({"rope_theta": "many"}, "rope_theta must be a number, found 'many'; write one"),
        ({"rms_norm_eps": float("nan")}, "rms_norm_eps must be above 0, found nan; raise it"),
        ({"qk_norm": "rms"}, "qk_norm must be true or false, found 'rms'; write one of them"),
        ({"attention_bias": "qkvo"}, "attention_bias must be one of none, qkv, found 'qkvo'; choose one of them"),
        (
            {"attention_bias": True},
            "attention_bias must be one of none, qkv, found True: Hugging Face's Llama puts one on the output projection too where this is "
            "true, which no shape here has; choose qkv, the biases of Qwen2, or none",
        ),
    ],
)
def test_a_wrong_value_is_refused_in_a_shape_and_in_a_space(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SpecError) as of_shape:
        Architecture.from_dict(MODEL.as_dict() | changes)
    assert str(of_shape.value) == sentence
    with pytest.raises(SpecError) as of_space:
        space_with(**changes)
    assert str(of_space.value) == f"space.{sentence}"


def test_numbers_and_biases_may_be_written_as_yaml_and_hugging_face_have_them() -> None:
    written = Architecture.from_dict(MODEL.as_dict() | {"rope_theta": 500_000, "rms_norm_eps": "1e-6", "attention_bias": False})
    assert (written.rope_theta, written.rms_norm_eps, written.attention_bias) == (500_000.0, 1e-6, "none")
    assert written == replace(MODEL, rope_theta=5e5, rms_norm_eps=1e-6)
    assert written.key == replace(MODEL, rope_theta=5e5, rms_norm_eps=1e-6).key
