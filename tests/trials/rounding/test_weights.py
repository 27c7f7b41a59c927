"""The rounded matrices of the table are those that the files hold, bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor

from search_space.cost import BITS_PER_WEIGHT
from tests.trials.latency.runtimes.test_runtimes import SHAPES, network
from trials.catalogue.gguf_layout import GGUF_PRECISIONS
from trials.catalogue.refusals import BLOCK_WEIGHTS
from trials.catalogue.runtimes import RUNTIMES
from trials.formats.block_quantisation import Quantised, quantise
from trials.formats.executorch_pieces import Pieces
from trials.formats.model import Model
from trials.formats.onnx_graph import write_onnx
from trials.formats.xnnpack_graph import _bfloat16
from trials.rounding.table import ROUNDINGS

TWO = ("int8", "int4")


def matrices() -> dict[str, Tensor]:
    """Usual ones, one of odd width, and one of zeros, ties and blocks with a single weight."""
    random = torch.Generator().manual_seed(0)
    ties = torch.tensor([-7.0, 0.5, 1.5, -2.5, 3.5, 6.5, -0.5, 7.0]).repeat(8)
    single = torch.zeros(64)
    single[40] = -3.0
    return {
        "usual": torch.randn(48, 96, generator=random) * 0.02,
        "odd": torch.randn(17, 37, generator=random),
        "special": torch.stack([torch.zeros(64), ties, ties / 7 * 127, -ties, single, torch.full((64,), 1e-30)]),
    }


def equal(one: Tensor, other: object) -> bool:
    """Bit for bit, but for the sign of a zero."""
    return torch.equal(one, torch.as_tensor(numpy.ascontiguousarray(other)))


def test_whoever_rounds_to_few_bits_has_a_row() -> None:
    offered = {(name, precision) for name, row in RUNTIMES.items() for precision in row.precisions if BITS_PER_WEIGHT[precision] < 16}
    assert offered == ROUNDINGS.keys()
    assert all(row.kind[:2] == key for key, row in ROUNDINGS.items())


@pytest.mark.parametrize("precision", TWO)
@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_blocks_are_those_of_the_formats(runtime: str, precision: str) -> None:
    row = ROUNDINGS[runtime, precision]
    assert row.rows is None
    for name, weight in matrices().items():
        assert equal(row.matrix(weight), quantise(weight.numpy(), BITS_PER_WEIGHT[precision]).dequantised()), name


@pytest.mark.parametrize("precision", TWO)
def test_an_onnx_file_holds_the_rounded_weights(precision: str, tmp_path: Path) -> None:
    built = network(SHAPES["odd widths"])
    write_onnx(tmp_path / "model.onnx", Model(built.architecture, dict(built.named_parameters()), precision))
    held = {each.name: numpy_helper.to_array(each, str(tmp_path)) for each in onnx.load(tmp_path / "model.onnx").graph.initializer}
    for name, weight in built.named_parameters():
        if weight.ndim == 2:
            there = Quantised(held[name], held[f"{name}_scales"], BITS_PER_WEIGHT[precision], weight.shape[1])
            assert equal(ROUNDINGS["onnxruntime", precision].matrix(weight.detach()), there.dequantised()), name


@pytest.mark.parametrize("precision", TWO)
def test_a_gguf_file_holds_the_rounded_weights(precision: str) -> None:
    gguf = pytest.importorskip("gguf")
    kind = gguf.GGMLQuantizationType[GGUF_PRECISIONS[precision]]
    for name, weight in matrices().items():
        if weight.shape[1] % BLOCK_WEIGHTS == 0:
            there = gguf.dequantize(gguf.quantize(weight.numpy(), kind), kind)
            assert equal(ROUNDINGS["llama.cpp", precision].matrix(weight), there), name


@pytest.mark.parametrize("precision", TWO)
def test_an_executorch_program_holds_the_rounded_weights(precision: str) -> None:
    row = ROUNDINGS["executorch", precision]
    for name, weight in matrices().items():
        there = Pieces(SHAPES["plain"], {name: weight.numpy()}, BITS_PER_WEIGHT[precision]).quantised(name)
        assert equal((row.rows or row.matrix)(weight), there.dequantised()), name
        if precision == "int4":
            short = (_bfloat16(there.scales).astype(numpy.uint32) << 16).view(numpy.float32)
            assert equal(row.matrix(weight), Quantised(there.codes, short, there.bits, there.columns).dequantised()), name
