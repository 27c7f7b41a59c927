"""Ways of keeping a model smaller: what they compute, what is left of the network afterwards, and what they take in bytes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from search_space.errors import SpecError
from search_space.sharing import Sharing
from tests.support.sample_gguf import SHAPE, exported, padded_tokenizer
from tests.support.sample_network import spread_out
from trials.catalogue.ways import ROUNDING_WORDS, USUAL_WAYS, read_way
from trials.network.decoder import Network
from trials.rounding.network import rounded
from trials.rounding.table import ROUNDINGS
from trials.rounding.ways import way_of, without_smallest

TOKENS = torch.randint(300, (2, 9), generator=torch.Generator().manual_seed(0))
SHAPES = {
    "plain": SHAPE,
    "untied": replace(SHAPE, tie_word_embeddings=False),
    "shared blocks": replace(SHAPE, sharing=Sharing("immediate", 2)),
    "odd rows": replace(SHAPE, hidden_size=44, head_dim=10, intermediate_size=37),
    "biases and norms": replace(SHAPE, attention_bias="qkv", qk_norm=True),
}


def test_every_rounding_is_a_way_with_its_storage() -> None:
    assert {kind for kind in ROUNDING_WORDS.values() if kind is not None} - {("file", "float16")} == set(ROUNDINGS)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("name", [*ROUNDING_WORDS, "prune50", "prune7+int8", "int4+prune90", "prune99+executorch-int4"])
@torch.no_grad()
def test_a_way_lasts_as_long_as_its_context(name: str, shape: object) -> None:
    network = spread_out(shape)  # type: ignore[arg-type]
    before, plain = {key: value.clone() for key, value in network.state_dict().items()}, network(TOKENS)
    with way_of(read_way(name)).applied(network):
        changed = network(TOKENS)
    assert torch.equal(changed, plain) == (name == "float32")
    assert torch.equal(network(TOKENS), plain)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    with pytest.raises(ZeroDivisionError), way_of(read_way(name)).applied(network):
        _ = 1 / 0
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


@torch.no_grad()
def test_a_rounding_is_the_front_s_own() -> None:
    network = spread_out(SHAPE)
    for kind, rounding in ROUNDINGS.items():
        with rounded(network, rounding):
            expected = network(TOKENS)
        with way_of(read_way("-".join(kind))).applied(network):
            assert torch.equal(network(TOKENS), expected)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.5, 0.99])
@pytest.mark.parametrize("rounding", ["", "+int8", "+int4", "+w8a8", "+onnxruntime-int4"])
def test_what_was_left_out_stays_out_where_the_rest_is_rounded(share: float, rounding: str) -> None:
    network = spread_out(SHAPE)
    table = network.model.embed_tokens.weight.clone()
    kept = {name: without_smallest(weight, share) for name, weight in network.model.layers.named_parameters() if weight.ndim == 2}
    with way_of(read_way(f"prune{100 * share:.0f}{rounding}")).applied(network):
        for name, weight in network.model.layers.named_parameters():
            if weight.ndim == 2:
                assert int((kept[name] == 0).sum()) == int(weight.numel() * share)
                assert not weight[kept[name] == 0].any()
        if not rounding:
            assert torch.equal(network.model.embed_tokens.weight, table.half().float())


def test_the_smallest_are_left_out_and_ties_are_decided() -> None:
    matrix = torch.tensor([[3.0, -1.0, 2.0], [1.0, -4.0, 0.0]])
    assert without_smallest(matrix, 0.5).tolist() == [[3.0, 0.0, 2.0], [0.0, -4.0, 0.0]]
    assert without_smallest(torch.ones(2, 2), 0.5).tolist() == [[1.0, 1.0], [0.0, 0.0]]
    assert torch.equal(without_smallest(matrix, 0.1), matrix), "a share of less than a weight"


@pytest.mark.parametrize(("precision", "way"), [("float32", "float32"), ("float16", "float16"), ("int8", "int8"), ("int4", "int4")])
def test_bytes_are_those_of_a_gguf_file_s_tensors(precision: str, way: str, tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf")
    exported(SHAPE, tmp_path, padded_tokenizer(tmp_path), precision)
    [file] = tmp_path.glob("**/*.gguf")
    tensors = gguf.GGUFReader(file).tensors
    matrices = sum(tensor.n_bytes for tensor in tensors if len(tensor.shape) == 2)
    vectors = sum(int(tensor.n_elements) for tensor in tensors if len(tensor.shape) == 1)
    assert way_of(read_way(way)).stored_bytes(Network(SHAPE)) == matrices + 4 * vectors


def test_bytes_of_other_ways_are_those_written_down_by_hand() -> None:
    """SHAPE: a table of 320 x 64; in each of two blocks 64 x (64 + 32 + 32) and 64 x 64 of attention, 3 x 64 x 96 of the MLP."""
    table, block, vectors = 320 * 64, 64 * 128 + 64 * 64 + 3 * 64 * 96, 4 * 5 * 64
    rows = 320 + 2 * (64 + 32 + 32 + 64 + 96 + 96 + 64)
    found = {name: way_of(read_way(name)).stored_bytes(Network(SHAPE)) for name in (*USUAL_WAYS, "executorch-int4", "prune50+int8")}
    weights = table + 2 * block
    assert found["w8a8"] == weights + 4 * rows + vectors
    assert found["executorch-int4"] == weights // 2 + weights // 32 * 2 + table // 2 + table // 32 * 4 + vectors
    assert found["prune50"] == 2 * table + 2 * block + 2 * block // 8 + vectors
    assert found["prune50+int8"] == table + block + 2 * block // 8 + weights // 32 * 2 + vectors
    shared = way_of(read_way("int8")).stored_bytes(Network(SHAPES["shared blocks"]))
    assert shared == found["int8"], "a block that runs twice is stored once"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("int9", "did you mean `int8`?"),
        ("prune0", "the way 'prune0' is unknown"),
        ("prune100", "the way 'prune100' is unknown"),
        ("prune50+prune60", "must round once and leave weights out once"),
        ("int8+w8a8", "keep one word of each kind"),
        ("", "is unknown"),
        ("int8+", "is unknown"),
        ("torch-int8", "is unknown"),
    ],
)
def test_what_is_no_way_is_one_sentence(text: str, said: str) -> None:
    with pytest.raises(SpecError) as raised:
        read_way(text)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
