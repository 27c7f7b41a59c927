"""OpenVINO on the processor, from the same graph as ONNX Runtime's; int8 and int4 weights are put into it here.

A quantised matrix is what OpenVINO's compiler looks for: whole numbers, a scale for every 32 of a row, and their product in the
matrix's place. The numbers are those of `trials/formats/block_quantisation.py`, so every runtime rounds alike.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray

from search_space.architecture import Architecture
from search_space.cost import BITS_PER_WEIGHT
from trials.catalogue.refusals import BLOCK_WEIGHTS
from trials.formats.block_quantisation import quantise
from trials.formats.model import Model
from trials.latency.runtimes.interface import LAST_POSITION, Logits

sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # else importing openvino is reported over the network
import openvino  # noqa: E402
from openvino import opset13 as operators  # noqa: E402

openvino.Core().get_property("CPU", "FULL_DEVICE_NAME")  # loads the processor's plugin, which is no shape's memory
GRAPH, MODEL = "graph.onnx", "model.xml"
SIGN = {8: 0x80, 4: 0x88}
"""Mask by which a byte of codes that count from the middle becomes one of signed numbers, by exclusive or."""


def version() -> str:
    """Version of openvino."""
    return str(openvino.__version__).partition("-")[0]


def prepare(directory: Path, model: Model) -> None:
    """Write the graph and its weights in OpenVINO's own format."""
    from trials.formats.onnx_graph import write_onnx  # loading a model needs neither onnx nor torch

    graph = directory / GRAPH
    write_onnx(graph, replace(model, precision="float32"))
    read = openvino.Core().read_model(graph)
    if model.precision != "float32":
        _compress(read, BITS_PER_WEIGHT[model.precision])
    openvino.save_model(read, directory / MODEL, compress_to_fp16=False)
    del read  # it maps the graph's weights
    for file in directory.glob(f"{GRAPH}*"):
        file.unlink()


def load(directory: Path, architecture: Architecture, max_tokens: int, threads: int) -> OpenvinoSession:
    """Compile the prepared model; the cache grows with the text, so `max_tokens` makes no difference."""
    return OpenvinoSession(compiled(directory, threads), architecture)


def compiled(directory: Path, threads: int) -> Any:
    """The prepared model, compiled for the processor."""
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",  # else bfloat16 where the processor has it
        "KV_CACHE_PRECISION": "f32",
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": BLOCK_WEIGHTS,  # of activations: its usual one, see `trials.rounding.table`
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "ENABLE_HYPER_THREADING": True,  # else two threads that share a core become one
        "ENABLE_CPU_PINNING": False,  # the process is held to its processors already
    }
    return openvino.Core().compile_model(directory / MODEL, "CPU", settings)


class OpenvinoSession:
    """A `Session` of one compiled model: two requests take turns, so that what one wrote as the present the other reads as the past."""

    def __init__(self, model: Any, architecture: Architecture) -> None:
        self._requests = [model.create_infer_request() for _ in range(2)]
        names = [name for output in model.outputs for name in output.names if name.startswith("present")]
        self._pasts = {name: name.replace("present", "past_key_values") for name in names}
        self._shape = (1, architecture.num_key_value_heads, 0, architecture.head_dim)
        self._cache: dict[str, Any] = {}
        self._length = 0

    def prefill(self, tokens: Sequence[int]) -> Logits:
        """Logits after the prompt, [vocab_size]."""
        self._cache = {past: openvino.Tensor(numpy.empty(self._shape, numpy.float32)) for past in self._pasts.values()}
        self._length = 0
        return self._read(numpy.array([tokens], numpy.int64))

    def decode(self, token: int) -> Logits:
        """Logits after one more token, [vocab_size]."""
        return self._read(numpy.array([[token]], numpy.int64))

    def close(self) -> None:
        """Let go of the model."""
        self._cache.clear()
        self._requests.clear()

    def _read(self, tokens: NDArray[numpy.int64]) -> Logits:
        request = self._requests[0]
        positions = numpy.arange(self._length, self._length + tokens.shape[1])[None]
        for name, values in (("input_ids", tokens), ("position_ids", positions), ("num_logits_to_keep", LAST_POSITION)):
            request.set_tensor(name, openvino.Tensor(values))
        for name, tensor in self._cache.items():
            request.set_tensor(name, tensor)
        request.infer()
        self._cache = {past: request.get_tensor(present) for present, past in self._pasts.items()}
        self._length += tokens.shape[1]
        self._requests.reverse()
        logits: Logits = request.get_tensor("logits").data[0, -1]
        return logits


def _compress(model: Any, bits: int) -> None:
    """Put whole numbers and their scales in the place of every matrix; one that is used twice stays one."""
    for constant in [node for node in model.get_ops() if node.get_type_name() == "Constant" and len(node.shape) == 2]:
        users = [user.get_node() for user in constant.output(0).get_target_inputs()]
        products = [user for user in users if user.get_type_name() == "MatMul"]
        lies = any(not user.get_attributes()["transpose_b"] for user in products)  # [in, out], as MatMul wants it
        matrix = _matrix(constant.data.T if lies else constant.data, bits)
        for user in users:
            if user in products:
                user.output(0).replace(operators.matmul(user.input_value(0), matrix, False, True).output(0))
            else:
                user.input(0).replace_source_output(matrix.output(0))


def _matrix(weight: NDArray[numpy.float32], bits: int) -> Any:
    """A matrix [out, in] as the product of its codes and their scales."""
    rounded = quantise(weight, bits)
    kind = openvino.Type.i8 if bits == 8 else openvino.Type.i4
    codes = openvino.Tensor(kind, openvino.Shape((*rounded.scales.shape, BLOCK_WEIGHTS)))
    codes.data.view(numpy.uint8).reshape(-1)[:] = rounded.codes.reshape(-1) ^ SIGN[bits]
    scaled = operators.multiply(operators.convert(openvino.op.Constant(codes), "f32"), operators.constant(rounded.scales[..., None]))
    return operators.reshape(scaled, operators.constant(numpy.array(weight.shape, numpy.int64)), False)
