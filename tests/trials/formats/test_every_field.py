"""Every export answers for every field of a shape: what it writes computes the network's function, or it refuses with the cure."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from search_space.architecture import Architecture
from search_space.cost import parameters
from search_space.field import Field
from search_space.fields import OPTIONAL, refusal
from search_space.sharing import Sharing
from tests.support.needs import library_of
from tests.support.sample_gguf import SHAPE, SLIDING, exported, padded_tokenizer
from tests.support.sample_network import spread_out
from trials.catalogue.formats import FORMATS, GGUF, Format, supported_exports
from trials.catalogue.runtimes import RUNTIMES, Runtime
from trials.formats.model import fresh_model

SHARED = replace(SHAPE, sharing=Sharing("reverse", 2), layer_types=("full_attention",))
SHAPES = {
    "plain": SHAPE,
    "shared": SHARED,
    "sliding": SLIDING,
    "ungated": replace(SHAPE, mlp="relu"),
    "wide": replace(SHAPE, head_dim=24, tie_word_embeddings=False),
}
every_optional_field = pytest.mark.parametrize("row", OPTIONAL, ids=lambda row: row.name)


def written_in_each_precision() -> list[Any]:
    """Every shape in float32 in every format, and the plain one in the other precisions of exports.

    Precisions that only a latency has are runtimes', and tests/trials/latency/runtimes/test_runtimes.py asks them.
    """
    return [
        pytest.param(shape, name, precision, marks=library_of(name, row))
        for name, row in FORMATS.items()
        for precision in row.export_precisions
        for shape in (SHAPES if precision == "float32" else ["plain"])
    ]


@pytest.fixture(scope="module")
def tokenizer_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return padded_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@every_optional_field
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_the_network_has_it_counts_it_and_answers_otherwise_with_it(row: Field, shape: Architecture) -> None:
    changed = replace(shape, **row.example)
    network, plain = spread_out(changed), spread_out(shape)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters(changed)
    same = {name: weight for name, weight in network.state_dict().items() if name in plain.state_dict()}
    plain.load_state_dict(same)
    tokens = torch.arange(40)[None]
    with torch.inference_mode():
        assert (network(tokens) - plain(tokens)).abs().max() > 0.01 * plain(tokens).std(), f"trials/network/decoder.py ignores {row.name}"


@every_optional_field
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_what_a_format_or_a_runtime_cannot_hold_because_of_it_is_refused_by_its_name_with_the_cure(row: Field, shape: Architecture) -> None:
    changed = replace(shape, **row.example)
    holders: dict[str, Format | Runtime] = {**FORMATS, **RUNTIMES}
    for name, holder in holders.items():
        for precision in holder.precisions:
            before, reason = (refusal(each, name) or holder.refusal(each, precision) for each in (shape, changed))
            if before is None and reason is not None:
                assert row.name in reason and "choose" in reason, f"{name} must say what is wrong with {row.name}, found {reason}"  # noqa: PT018


@every_optional_field
@pytest.mark.parametrize(("shape", "format_name", "precision"), written_in_each_precision())
def test_an_export_is_the_network_or_is_refused_with_the_cure(
    row: Field, shape: str, format_name: str, precision: str, tmp_path: Path, tokenizer_file: Path
) -> None:
    changed = replace(SHAPES[shape], **row.example)
    before, reason = (supported_exports(each, {format_name: precision})[format_name] for each in (SHAPES[shape], changed))
    if reason is not None:
        assert before is not None or (row.name in reason and "choose" in reason), f"{format_name} must say what is wrong with {row.name}"
        return
    (check,) = exported(changed, tmp_path, tokenizer_file, precision, (format_name,))
    assert check.passed is True, f"the writer of {format_name} does not know {row.name}: {check.sentence()}"


@every_optional_field
@pytest.mark.skipif(importlib.util.find_spec("gguf") is None, reason="gguf is not installed; pip install 'archfront[gguf]'")
def test_a_gguf_file_says_that_it_is_another_function(row: Field, tmp_path: Path) -> None:
    from trials.formats.gguf_file import write_gguf
    from trials.models.gguf_reading import read_gguf

    told = []
    for shape in (SHAPE, replace(SHAPE, **row.example)):
        write_gguf(tmp_path / GGUF, fresh_model(shape))
        file = read_gguf(tmp_path / GGUF)
        fields = {name: value for name, value in file.fields.items() if name != "general.name" and not name.startswith("GGUF.")}
        told.append((fields, set(file.tensors)))
    assert told[0] != told[1], f"trials/formats/gguf_file.py writes the same of a shape with another {row.name}"
