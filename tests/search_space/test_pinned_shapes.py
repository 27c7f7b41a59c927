"""The identity of 100 shapes stays what it was before a shape had any optional field: whatever names a shape still names it.

`tests/data/pinned_shapes.json` was written by the code of that time. Directories, trainings on a storage, checkpoints and devices' tables
find a shape by these words; a field that is added later is absent from all of them where it has its default.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from analysis.records.record import Kind
from search_space.architecture import Architecture
from search_space.budget import Budget
from search_space.families import FAMILIES
from search_space.space import SearchSpace
from trials.corpus.blocks import TokenBlocks
from trials.search.proposer import Proposer
from trials.search.shape_table import choice_key
from trials.study.spec import ProxySpec
from trials.training.conditions import Conditions
from trials.training.mode import TrainingMode
from trials.trial.checkpoint import checkpoint_key
from trials.trial.task import TrialTask, plain
from trials.trial.training_index import TrainingText, training_key

PINNED: dict[str, Any] = json.loads((Path(__file__).resolve().parents[1] / "data" / "pinned_shapes.json").read_text(encoding="utf-8"))
SHAPES: list[dict[str, Any]] = PINNED["shapes"]
PROXY, SEED = ProxySpec(tokens=100_000), 7
TEXT = TrainingText(corpus_sha256="c" * 64, tokenizer_sha256="d" * 64, validations={"news": "e" * 64})
SAMPLED_WITH = 3
"""The seed that the shapes of each space were drawn with."""
PROPOSED_WITH = 5


@pytest.fixture(scope="module")
def spaces() -> dict[str, SearchSpace]:
    return {name: SearchSpace.parse(values["space"], Budget.parse(values["budget"])) for name, values in PINNED["spaces"].items()}


def test_a_hundred_shapes_of_every_kind_are_pinned() -> None:
    found = [Architecture.from_dict(values["architecture"]) for values in SHAPES]
    assert len(set(found)) == 100
    assert {shape.mlp for shape in found} == {"swiglu", "gelu", "relu"}
    assert {shape.sharing.strategy for shape in found} == {"none", "immediate", "repeat_all_over", "reverse"}
    assert {shape.sharing.part for shape in found} == {"block", "attention", "mlp"}
    assert {shape.tie_word_embeddings for shape in found} == {True, False}
    assert any(shape.sliding_window for shape in found)
    assert any(shape.num_key_value_heads == 1 < shape.num_attention_heads for shape in found)


def test_a_pinned_shape_is_written_letter_by_letter_as_it_was() -> None:
    for values in SHAPES:
        shape = Architecture.from_dict(values["architecture"])
        assert json.dumps(shape.as_dict()) == json.dumps(values["architecture"])
        assert (shape.label, shape.key) == (values["label"], values["key"])
        assert values["name"] is None or FAMILIES[values["name"]] == shape


def test_spaces_still_hold_the_pinned_points_in_their_order(spaces: dict[str, SearchSpace]) -> None:
    for name, space in spaces.items():
        pinned = [values for values in SHAPES if values["space"] == name]
        for (point, shape), values in zip(space.shapes(SAMPLED_WITH), pinned, strict=False):
            assert json.dumps(plain(point)) == json.dumps(values["point"])
            assert shape.key == values["key"]
            assert [choice_key(point[dimension.name]) for dimension in space.free] == values["row_keys"]


def test_finished_trainings_and_checkpoints_of_pinned_shapes_are_still_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the numbers that said then what a training's key means: shapes are what is pinned here."""
    monkeypatch.setattr("torch.__version__", "2.13.0+cpu")
    monkeypatch.setattr("trials.trial.training_index.MEANING", 1)
    monkeypatch.setattr("trials.trial.training_index.CORPUS_FORMAT", 1)
    blocks = cast(TokenBlocks, SimpleNamespace(corpus_sha256=TEXT.corpus_sha256))
    for number, values in enumerate(SHAPES):
        shape = Architecture.from_dict(values["architecture"])
        assert training_key(shape, SEED, PROXY, TrainingMode(), "cpu:0", TEXT) == values["training_key"]
        kind = Kind.REFERENCE if values["name"] else Kind.SAMPLED
        task = TrialTask(number=number, kind=kind, name=values["name"], point=values["point"], architecture=shape, seed=SEED)
        assert checkpoint_key(task, PROXY, blocks, Conditions(device="cpu:0")) == values["checkpoint_key"]


@pytest.mark.parametrize("sampler", ["front", "random", "nsga2"])
def test_first_proposals_are_the_pinned_ones(sampler: str, spaces: dict[str, SearchSpace]) -> None:
    for name, space in spaces.items():
        proposer = Proposer(space, PROPOSED_WITH, sampler)
        proposed = [proposer.propose(number, [], []) for number in range(3)]
        assert [found and found[1].key for found in proposed] == PINNED["proposals"][name][sampler]
