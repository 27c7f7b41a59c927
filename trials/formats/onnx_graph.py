"""The decoder as an ONNX graph with a KV cache, written directly: no tracing, seconds instead of minutes, shared weights once.

Inputs, batch 1: `input_ids` and `position_ids`, int64 [1, tokens]; `num_logits_to_keep`, int64 [1], how many of the last positions
get logits (0: all); `past_key_values.N.key` and `.value`, float32 [1, num_key_value_heads, past, head_dim], one pair per executed
block. Outputs: `logits`, float32 [1, kept, vocab_size], and `present.N.key` and `.value`, to be handed back as the past. A sliding
block's present holds the last `sliding_window - 1` tokens only: the next token sees no more. (The names are those that Hugging Face's
exports have.)

float32 graphs use standard operators alone (ONNX operator set 23: RMSNormalization, RotaryEmbedding, Attention); int8 and int4 use
two of ONNX Runtime's for the matrices. Weights lie in a second file beside the graph, `NAME_data`, so that no size is too large and
loading can map them.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from analysis.records.json_writer import json_of
from search_space.architecture import Architecture
from search_space.cost import BITS_PER_WEIGHT
from trials.catalogue.refusals import BLOCK_WEIGHTS
from trials.formats.block_quantisation import quantise
from trials.formats.model import Model

OPERATOR_SET = 23
RUNTIME_OPERATORS = "com.microsoft"
PAGE_BYTES = 4096
INT8_ACTIVATIONS = 4
"""MatMulNBits' `accuracy_level`: products of quantised weights with activations rounded to int8 block by block."""
ALL = numpy.iinfo(numpy.int64).max


def write_onnx(path: Path, model: Model) -> None:
    """Write `path` and, beside it, its weights, each once; a graph holds no tokenizer."""
    architecture, precision = model.architecture, model.precision
    data_path = path.with_name(path.name + "_data")
    with open(data_path, "wb") as data:
        graph = _Graph(model.weights, precision, architecture.rms_norm_eps, data, data_path.name)
        _decoder(graph, architecture)
    imports = [helper.make_opsetid("", OPERATOR_SET)]
    if precision != "float32":
        imports.append(helper.make_opsetid(RUNTIME_OPERATORS, 1))
    made = helper.make_model(
        helper.make_graph(graph.nodes, "decoder", graph.inputs, graph.outputs, graph.initializers),
        opset_imports=imports,
        ir_version=helper.find_min_ir_version_for([imports[0]]),
        producer_name="archfront",
    )
    stated = {} if model.context_tokens is None else {"context_tokens": str(model.context_tokens)}
    helper.set_model_props(made, {"architecture": json_of(architecture.as_dict()), "precision": precision, **stated})
    path.write_bytes(made.SerializeToString())


class _Graph:
    """Nodes, inputs, outputs and weights, as they are collected."""

    def __init__(self, weights: Mapping[str, Tensor], precision: str, epsilon: float, data: BinaryIO, location: str) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self._names: set[str] = set()
        self._weights = weights
        self._epsilon = epsilon
        self._bits = BITS_PER_WEIGHT[precision] if precision != "float32" else None
        self._data = data
        self._location = location

    def input(self, name: str, kind: int, shape: list[int | str]) -> str:
        """Declare an input of the graph."""
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def output(self, name: str, kind: int, shape: list[int | str]) -> str:
        """Declare an output of the graph, which some node must then produce."""
        self.outputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def node(self, kind: str, *inputs: str, outputs: tuple[str, ...] = (), domain: str = "", **attributes: object) -> str:
        """Add an operator; its first output's name, invented where none is given."""
        name = f"{kind}_{len(self.nodes)}"
        outputs = outputs or (name,)
        self.nodes.append(helper.make_node(kind, inputs, outputs, name=name, domain=domain, **attributes))
        return outputs[0]

    def constant(self, name: str, value: object, kind: type[numpy.generic] = numpy.int64) -> str:
        """A small constant, kept in the graph's own file."""
        if name not in self._names:
            self._names.add(name)
            self.initializers.append(numpy_helper.from_array(numpy.asarray(value, kind), name))
        return name

    def norm(self, states: str, name: str) -> str:
        """RMSNorm with a stored gain."""
        gain = self.constant(name, self._weight(name), numpy.float32)
        return self.node("RMSNormalization", states, gain, axis=-1, epsilon=self._epsilon)

    def linear(self, states: str, name: str) -> str:
        """States [1, tokens, in] times a stored matrix [out, in]; float32 ones are stored the other way round, as MatMul wants them."""
        if self._bits is None:
            if name not in self._names:
                self._store(name, self._weight(name).T)
            return self.node("MatMul", states, name)
        return self._quantised_linear(states, name)

    def add(self, states: str, name: str) -> str:
        """States plus a stored vector."""
        return self.node("Add", states, self.constant(name, self._weight(name), numpy.float32))

    def embed(self, tokens: str, name: str) -> str:
        """Rows of a stored table [vocab_size, hidden_size], as [1, tokens, hidden_size]."""
        if self._bits is None:
            return self.node("Gather", self._table(name), tokens)
        codes, scales, columns = self._quantised(name)
        rows = self.node("Reshape", codes, self.constant("rows", [0, -1]))
        found = self.node(
            "GatherBlockQuantized", rows, tokens, scales,
            domain=RUNTIME_OPERATORS, bits=self._bits, block_size=BLOCK_WEIGHTS, gather_axis=0, quantize_axis=1,
        )  # fmt: skip
        if columns % BLOCK_WEIGHTS == 0:
            return found
        return self.slice(found, self.constant("zero", [0]), self.constant("columns", [columns]), axis=2)

    def project(self, states: str, name: str, logits: str) -> None:
        """States [1, tokens, in] times a table [out, in] that `embed` may use too."""
        if self._bits is not None:
            self._quantised_linear(states, name, logits)
            return
        flat = self.node("Reshape", states, self.constant("flat", [-1, self._weight(name).shape[1]]))
        scores = self.node("Gemm", flat, self._table(name), transB=1)
        self.node("Unsqueeze", scores, self.constant("zero", [0]), outputs=(logits,))

    def slice(self, states: str, start: str, end: str, axis: int, outputs: tuple[str, ...] = ()) -> str:
        """Part of a tensor along one axis."""
        return self.node("Slice", states, start, end, self.constant(f"axis_{axis}", [axis]), outputs=outputs)

    def _quantised_linear(self, states: str, name: str, output: str | None = None) -> str:
        codes, scales, columns = self._quantised(name)
        return self.node(
            "MatMulNBits", states, codes, scales, outputs=(output,) if output else (),
            domain=RUNTIME_OPERATORS, K=columns, N=self._weight(name).shape[0],
            bits=self._bits, block_size=BLOCK_WEIGHTS, accuracy_level=INT8_ACTIVATIONS,
        )  # fmt: skip

    def _quantised(self, name: str) -> tuple[str, str, int]:
        """Names of a matrix's codes and scales, and its columns."""
        codes, scales = name, f"{name}_scales"
        if name not in self._names:
            assert self._bits is not None
            rounded = quantise(self._weight(name), self._bits)
            self._store(codes, rounded.codes)
            self._store(scales, rounded.scales)
        return codes, scales, self._weight(name).shape[1]

    def _table(self, name: str) -> str:
        if name not in self._names:
            self._store(name, self._weight(name))
        return name

    def _weight(self, name: str) -> NDArray[numpy.float32]:
        weight: NDArray[numpy.float32] = self._weights[name].detach().cpu().float().numpy()
        return weight

    def _store(self, name: str, values: NDArray[numpy.generic]) -> None:
        """Append to the file of weights, at the start of a page so that it can be mapped."""
        self._names.add(name)
        self._data.write(bytes(-self._data.tell() % PAGE_BYTES))
        tensor = TensorProto(name=name, dims=values.shape, data_type=helper.np_dtype_to_tensor_dtype(values.dtype))
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", self._location), ("offset", self._data.tell()), ("length", values.nbytes)):
            tensor.external_data.add(key=key, value=str(value))
        assert sys.byteorder == "little"  # as ONNX keeps numbers
        numpy.ascontiguousarray(values).tofile(self._data)
        self.initializers.append(tensor)


def _decoder(graph: _Graph, a: Architecture) -> None:
    tokens = graph.input("input_ids", TensorProto.INT64, [1, "tokens"])
    positions = graph.input("position_ids", TensorProto.INT64, [1, "tokens"])
    kept = graph.input("num_logits_to_keep", TensorProto.INT64, [1])
    graph.output("logits", TensorProto.FLOAT, [1, "kept", a.vocab_size])
    embedding = "model.embed_tokens.weight"
    states = graph.embed(tokens, embedding)
    rotary = _rotary(graph, positions, a)
    mask = _window_mask(graph, a, tokens) if a.sliding_window is not None else ""
    for depth in range(a.num_hidden_layers):
        states = _block(graph, a, depth, states, rotary, mask)
    states = graph.slice(states, graph.node("Neg", kept), graph.constant("end", [ALL]), axis=1)
    states = graph.norm(states, "model.norm.weight")
    graph.project(states, embedding if a.tie_word_embeddings else "lm_head.weight", "logits")


def _rotary(graph: _Graph, positions: str, a: Architecture) -> tuple[str, str]:
    """Cosine and sine [1, tokens, head_dim / 2] of every position's angles; computed in the graph, so that no length is too long."""
    frequencies = a.rope_theta ** -(numpy.arange(0, a.head_dim, 2, dtype=numpy.float32) / a.head_dim)
    column = graph.node("Unsqueeze", graph.node("Cast", positions, to=TensorProto.FLOAT), graph.constant("last", [-1]))
    angles = graph.node("Mul", column, graph.constant("frequencies", frequencies, numpy.float32))
    return graph.node("Cos", angles), graph.node("Sin", angles)


def _window_mask(graph: _Graph, a: Architecture, tokens: str) -> str:
    """Which keys each new token sees in a sliding block, bool [tokens, past + tokens]; all such blocks share it."""
    assert a.sliding_window is not None
    zero, one = graph.constant("first", 0), graph.constant("one", 1)
    past_tensor = f"past_key_values.{a.layer_types.index('sliding_attention')}.key"
    past = graph.node("Squeeze", graph.node("Shape", past_tensor, start=2, end=3))
    new = graph.node("Squeeze", graph.node("Shape", tokens, start=1, end=2))
    total = graph.node("Add", past, new)
    keys = graph.node("Range", zero, total, one)
    queries = graph.node("Unsqueeze", graph.node("Range", past, total, one), graph.constant("last", [-1]))
    behind = graph.node("Sub", queries, keys)
    not_after = graph.node("GreaterOrEqual", behind, zero)
    return graph.node("And", not_after, graph.node("Less", behind, graph.constant("window", a.sliding_window)))


def _block(graph: _Graph, a: Architecture, depth: int, states: str, rotary: tuple[str, str], mask: str) -> str:
    """One executed block; a shared part's weights carry the name of the first depth that runs it."""
    attention = f"model.layers.{a.attention_schedule.index(a.attention_schedule[depth])}"
    mlp = f"model.layers.{a.mlp_schedule.index(a.mlp_schedule[depth])}"
    normed = graph.norm(states, f"{attention}.input_layernorm.weight")
    states = graph.node("Add", states, _attention(graph, a, depth, normed, f"{attention}.self_attn", rotary, mask))
    normed = graph.norm(states, f"{mlp}.post_attention_layernorm.weight")
    return graph.node("Add", states, _mlp(graph, a, normed, f"{mlp}.mlp"))


def _attention(graph: _Graph, a: Architecture, depth: int, states: str, name: str, rotary: tuple[str, str], mask: str) -> str:
    slides = a.layer_types[depth] == "sliding_attention"
    query, key, value = (graph.linear(states, f"{name}.{part}_proj.weight") for part in "qkv")
    if a.attention_bias == "qkv":
        query, key, value = (graph.add(each, f"{name}.{part}_proj.bias") for each, part in zip((query, key, value), "qkv", strict=True))
    if a.qk_norm:
        query, key = (_normed_heads(graph, a, each, f"{name}.{part}_norm.weight") for each, part in ((query, "q"), (key, "k")))
    query = graph.node("RotaryEmbedding", query, *rotary, num_heads=a.num_attention_heads)
    key = graph.node("RotaryEmbedding", key, *rotary, num_heads=a.num_key_value_heads)
    held = "window" if slides else "past"
    past, present = [], []
    for part in ("key", "value"):
        shape: list[int | str] = [1, a.num_key_value_heads, held, a.head_dim]
        past.append(graph.input(f"past_key_values.{depth}.{part}", TensorProto.FLOAT, shape))
        present.append(graph.output(f"present.{depth}.{part}", TensorProto.FLOAT, [*shape[:2], f"present_{held}", a.head_dim]))
    whole = tuple(f"whole.{depth}.{part}" for part in ("key", "value")) if slides else tuple(present)
    mixed = graph.node(
        "Attention", query, key, value, mask if slides else "", *past, outputs=(f"mixed.{depth}", *whole),
        is_causal=int(not slides), q_num_heads=a.num_attention_heads, kv_num_heads=a.num_key_value_heads,
    )  # fmt: skip
    if slides:
        assert a.sliding_window is not None
        start = graph.constant("window_start", [1 - a.sliding_window if a.sliding_window > 1 else ALL])
        for part, kept in zip(whole, present, strict=True):
            graph.slice(part, start, graph.constant("end", [ALL]), axis=2, outputs=(kept,))
    return graph.linear(mixed, f"{name}.o_proj.weight")


def _normed_heads(graph: _Graph, a: Architecture, heads: str, name: str) -> str:
    """Heads side by side, [1, tokens, heads x head_dim], each normalised with the same stored gain."""
    by_head = graph.node("Reshape", heads, graph.constant("by_head", [0, 0, -1, a.head_dim]))
    return graph.node("Reshape", graph.norm(by_head, name), graph.constant("side_by_side", [0, 0, -1]))


def _mlp(graph: _Graph, a: Architecture, states: str, name: str) -> str:
    up = graph.linear(states, f"{name}.up_proj.weight")
    if a.mlp == "swiglu":
        gate = graph.linear(states, f"{name}.gate_proj.weight")
        inner = graph.node("Mul", graph.node("Mul", gate, graph.node("Sigmoid", gate)), up)
    else:
        inner = graph.node("Relu" if a.mlp == "relu" else "Gelu", up)
    return graph.linear(inner, f"{name}.down_proj.weight")
