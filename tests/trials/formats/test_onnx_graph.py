"""The ONNX graph by itself: valid, standard, small, and usable in ways that no runtime of ours uses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from search_space.architecture import Architecture
from search_space.cost import parameters, weight_bytes
from search_space.sharing import Sharing
from trials.catalogue.refusals import BLOCK_WEIGHTS
from trials.formats.block_quantisation import quantise
from trials.formats.model import Model
from trials.formats.onnx_graph import write_onnx
from trials.network.decoder import Network

MIXED = Architecture(
    vocab_size=60,
    hidden_size=40,
    num_unique_layers=4,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=6,
    intermediate_size=50,
    layer_types=("full_attention", "sliding_attention"),
    sliding_window=4,
)
TEXT = [3, 1, 4, 15, 9, 2, 6, 5, 35, 8, 9, 7]


def written(directory: Path, architecture: Architecture, precision: str = "float32") -> tuple[Path, Network]:
    network = Network(architecture)
    path = directory / "model.onnx"
    write_onnx(path, Model(architecture, dict(network.named_parameters()), precision))
    return path, network


def expected(network: Network) -> NDArray[numpy.float32]:
    with torch.inference_mode():
        logits: NDArray[numpy.float32] = network(torch.tensor([TEXT])).numpy()
    return logits


def feed(
    architecture: Architecture, tokens: list[int], start: int, past: dict[str, NDArray[numpy.float32]]
) -> dict[str, NDArray[numpy.generic]]:
    nothing = numpy.zeros((1, architecture.num_key_value_heads, 0, architecture.head_dim), numpy.float32)
    names = [f"past_key_values.{depth}.{part}" for depth in range(architecture.num_hidden_layers) for part in ("key", "value")]
    return {
        "input_ids": numpy.array([tokens]),
        "position_ids": numpy.arange(start, start + len(tokens))[None],
        "num_logits_to_keep": numpy.zeros(1, numpy.int64),
        **{name: past.get(name, nothing) for name in names},
    }


@pytest.mark.parametrize("precision", ["float32", "int8", "int4"])
def test_the_graph_passes_the_checker(precision: str, tmp_path: Path) -> None:
    path, _ = written(tmp_path, MIXED, precision)
    onnx.checker.check_model(path, full_check=precision == "float32")  # shapes of a runtime's own operators are unknown to it


def test_onnx_own_reference_gives_the_same_logits(tmp_path: Path) -> None:
    path, network = written(tmp_path, MIXED)
    logits = ReferenceEvaluator(str(path)).run(["logits"], feed(MIXED, TEXT, 0, {}))[0]
    numpy.testing.assert_allclose(logits, expected(network), atol=1e-4)


def test_a_text_may_be_read_in_pieces_of_any_length(tmp_path: Path) -> None:
    path, network = written(tmp_path, MIXED)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    past: dict[str, NDArray[numpy.float32]] = {}
    pieces = []
    for start, end in ((0, 2), (2, 7), (7, 8), (8, 12)):
        logits, *present = session.run(names, feed(MIXED, TEXT[start:end], start, past))
        past = {name.replace("present", "past_key_values"): value for name, value in zip(names[1:], present, strict=True)}
        pieces.append(logits)
    numpy.testing.assert_allclose(numpy.concatenate(pieces, axis=1), expected(network), atol=1e-4)
    assert {value.shape[2] for value in past.values()} == {len(TEXT), 3}


@pytest.mark.parametrize("part", ["block", "attention", "mlp"])
def test_shared_weights_are_written_once(part: str, tmp_path: Path) -> None:
    shared = replace(MIXED, sharing=Sharing("immediate", 3, part))
    path, _ = written(tmp_path, shared)
    pages = 4096 * len(onnx.load(path, load_external_data=False).graph.initializer)
    assert (
        parameters(shared) * 4
        < path.with_name("model.onnx_data").stat().st_size + path.stat().st_size
        < parameters(shared) * 4 + pages + 40_000
    )


def test_quantised_weights_take_their_bits_and_a_scale_for_each_block(tmp_path: Path) -> None:
    wide = replace(MIXED, hidden_size=256, intermediate_size=512, vocab_size=1024)
    scales, padding = parameters(wide) * 4 / BLOCK_WEIGHTS, 4096 * 70
    for precision in ("int8", "int4"):
        path, _ = written(tmp_path, wide, precision)
        stored = path.with_name("model.onnx_data").stat().st_size
        assert weight_bytes(wide, precision) < stored < weight_bytes(wide, precision) + scales + padding


@pytest.mark.parametrize("bits", [8, 4])
def test_rounding_is_exact_for_what_a_code_can_hold_and_off_by_half_a_step_at_most(bits: int) -> None:
    largest = 2 ** (bits - 1) - 1
    codes = numpy.random.default_rng(0).integers(-largest, largest + 1, size=(5, 70)).astype(numpy.float32)
    codes[:, ::16] = largest
    numpy.testing.assert_allclose(quantise(codes * 0.25, bits).dequantised(), codes * 0.25, rtol=1e-6)
    weights = numpy.random.default_rng(1).normal(size=(5, 70)).astype(numpy.float32)
    rounded = quantise(weights, bits)
    steps = numpy.repeat(rounded.scales, BLOCK_WEIGHTS, axis=1)[:, :70]
    assert (numpy.abs(rounded.dequantised() - weights) <= 0.5001 * steps).all()
    assert not quantise(numpy.zeros((2, 40), numpy.float32), bits).dequantised().any()
