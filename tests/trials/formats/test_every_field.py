"""Every export answers for every field of a shape: what it writes computes the network's function, or it refuses with the cure."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from search_space.architecture import Architecture
from search_space.cost import parameters
from search_space.field import Field
from search_space.fields import OPTIONAL
from search_space.sharing import Sharing
from tests.support.sample_gguf import SHAPE, SLIDING, exported, padded_tokenizer
from tests.support.sample_network import spread_out
from trials.catalogue.formats import FORMATS, GGUF, supported_exports
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
@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_an_export_is_the_network_or_is_refused_with_the_cure(
    row: Field, format_name: str, shape: Architecture, tmp_path: Path, tokenizer_file: Path
) -> None:
    changed = replace(shape, **row.example)
    before, reason = (supported_exports(each)[format_name] for each in (shape, changed))
    if reason is not None:
        assert before is not None or (row.name in reason and "choose" in reason), f"{format_name} must say what is wrong with {row.name}"
        return
    if not FORMATS[format_name].installed:
        pytest.skip(f"{FORMATS[format_name].library} is not installed; pip install {FORMATS[format_name].install}")
    (check,) = exported(changed, tmp_path, tokenizer_file, "float32", (format_name,))
    assert check.passed is True, f"the writer of {format_name} does not know {row.name}: {check.sentence()}"


@every_optional_field
@pytest.mark.skipif(importlib.util.find_spec("gguf") is None, reason="gguf is not installed; pip install 'archfront[gguf]'")
def test_a_gguf_file_says_that_it_is_another_function(row: Field, tmp_path: Path) -> None:
    from trials.export.gguf_reading import read_gguf
    from trials.formats.gguf_file import write_gguf

    told = []
    for shape in (SHAPE, replace(SHAPE, **row.example)):
        write_gguf(tmp_path / GGUF, fresh_model(shape))
        file = read_gguf(tmp_path / GGUF)
        fields = {name: value for name, value in file.fields.items() if name != "general.name" and not name.startswith("GGUF.")}
        told.append((fields, set(file.tensors)))
    assert told[0] != told[1], f"trials/formats/gguf_file.py writes the same of a shape with another {row.name}"
