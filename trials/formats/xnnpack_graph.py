"""A piece of the network as XNNPACK's graph, written directly: what ExecuTorch's delegate reads, without tracing or partitioning.

Values are named; a name that a later piece uses again (a weight, or the states between two pieces) is the same tensor there. Weights
lie outside of the graph, in the program's named data, each once.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy
from numpy.typing import NDArray

from trials.catalogue.refusals import BLOCK_WEIGHTS
from trials.formats.block_quantisation import Quantised
from trials.formats.flatbuffer import union

NOT_CONSTANT, NAMED_DATA = 0, 2**64 - 1
"""The first place in a graph's list of constants means none; the offset says that the bytes are named data."""
NO_VALUE = 2**32 - 1
INPUT, OUTPUT = 1, 2
TRANSPOSE_SECOND = 1
INFINITY = "inf"


def delegate_bytes(graph: bytes) -> bytes:
    """A graph's FlatBuffer as the delegate reads it: behind a header that says where it lies, and that no constants follow."""
    start = 32
    end = start + len(graph)
    header = struct.pack("<4x4sHIIIQ", b"XH00", 30, start, len(graph), end + -end % 16, 0)
    return (header.ljust(start, b"\0") + graph).ljust(end + -end % 16, b"\0")


@dataclass
class NamedData:
    """Constants of all graphs of a program, by name."""

    values: dict[str, NDArray[Any]] = field(default_factory=dict)

    def add(self, name: str, values: NDArray[Any]) -> None:
        """Keep an array; the same name must mean the same array."""
        self.values.setdefault(name, numpy.ascontiguousarray(values))


class XnnpackGraph:
    """Operators in the order in which they run. Shapes are only hints: what comes in decides, so a dimension may change from run to run."""

    def __init__(self, data: NamedData, inputs: Mapping[str, Sequence[int]], outputs: Sequence[str]) -> None:
        """`inputs` by name, with an example's shape; `outputs` are names that some operator must produce, other than inputs."""
        self._data = data
        self._outside = {name: place for place, name in enumerate((*inputs, *outputs))}
        self._ids: dict[str, int] = {}
        self._shapes: list[tuple[int, ...]] = []
        self._count = 0
        self._nodes: list[dict[str, Any]] = []
        self._values: list[dict[str, Any]] = []
        self._input_ids: list[int] = []
        self._output_ids: list[int] = []
        self._constants: list[dict[str, Any]] = [{"offset": 0, "size": 0}]
        self._outputs = set(outputs)
        for name, shape in inputs.items():
            self._input_ids.append(self._value(name, shape, flags=INPUT))

    def document(self) -> dict[str, Any]:
        """The graph in FlatBuffers' JSON; the order of the delegate's arguments is inputs, then outputs."""
        return {
            "version": "0",
            "xnodes": self._nodes,
            "xvalues": self._values,
            "num_externs": len(self._outside),
            "input_ids": self._input_ids,
            "output_ids": self._output_ids,
            "constant_data": self._constants,
        }

    def constant(self, name: str, values: NDArray[numpy.float32]) -> str:
        """A float32 tensor of named data."""
        if name not in self._ids:
            self._value(name, values.shape, constant=self._stored(name, values))
        return name

    def linear(self, states: str, weight: str, bias: str | None = None, *, relu: bool = False, output: str | None = None) -> str:
        """States [..., in] times a constant [out, in]."""
        shape = (*self._shape(states)[:-1], self._shape(weight)[0])
        made = self._result(shape, output)
        self._add(
            "FullyConnected",
            {"output_min": 0, "output_max": INFINITY} if relu else None,
            input1_id=self._ids[states],
            filter_id=self._ids[weight],
            bias_id=NO_VALUE if bias is None else self._ids[bias],
            output_id=self._ids[made],
        )
        return made

    def matrix(self, name: str, rounded: Quantised) -> str:
        """A constant [out, in] of rounded weights: int8 with a scale for each row, or int4 with one for each block of a row."""
        if name in self._ids:
            return name
        rows, groups = rounded.scales.shape
        scales = {"channel_dim": 0, "num_scales": rounded.scales.size}
        if rounded.bits == 4:
            scales["scale_buffer_idx"] = self._stored(f"{name}_scales", _bfloat16(rounded.scales))
            codes = self._stored(name, rounded.codes)
            how = union("quant_params", "PerChannelGroupQuant", group_size=BLOCK_WEIGHTS, **scales)
            self._value(name, (rows, groups * BLOCK_WEIGHTS), constant=codes, kind="qbint4", quantisation=how)
        else:
            assert groups == 1
            scales["scale_buffer_idx"] = self._stored(f"{name}_scales", rounded.scales)
            codes = self._stored(name, rounded.signed_codes())
            how = union("quant_params", "PerChannelQuant", **scales)
            self._value(name, (rows, rounded.columns), constant=codes, kind="qcint8", quantisation=how)
        return name

    def rounded(self, states: str, columns: int) -> str:
        """States with as many columns as a matrix of rounded weights has, in int8 with a scale and a zero for each token."""
        made = f"{states} rounded"
        if made not in self._ids:
            shape = self._shape(states)
            more = columns - shape[-1]
            if more:
                padded = self._result((*shape[:-1], columns))
                before, after = [0] * len(shape), [0] * (len(shape) - 1) + [more]
                self._add(
                    "StaticConstantPad",
                    pre_paddings=before,
                    post_paddings=after,
                    padding_value=0,
                    input_id=self._ids[states],
                    output_id=self._ids[padded],
                )
                states = padded
            dynamic = union("quant_params", "PerTokenDynamicQuant", num_nonbatch_dims=1)
            self._value(made, (*shape[:-1], columns), kind="qdint8", quantisation=dynamic)
            self._add("Convert", input_id=self._ids[states], output_id=self._ids[made])
        return made

    def columns(self, weight: str) -> int:
        """Inputs of a constant matrix."""
        return self._shape(weight)[1]

    def unary(self, kind: str, states: str, output: str | None = None) -> str:
        """An operator on every number, by XNNPACK's name."""
        made = self._result(self._shape(states), output)
        self._add(kind, input_id=self._ids[states], output_id=self._ids[made])
        return made

    def binary(self, kind: str, one: str, other: str, *, largest: float | None = None, output: str | None = None) -> str:
        """An operator on pairs of numbers, shapes broadcast; `largest` bounds what comes out."""
        made = self._result(numpy.broadcast_shapes(self._shape(one), self._shape(other)), output)
        bounds = None if largest is None else {"output_min": f"-{INFINITY}", "output_max": largest}
        self._add(kind, bounds, input1_id=self._ids[one], input2_id=self._ids[other], output_id=self._ids[made])
        return made

    def reshape(self, states: str, shape: Sequence[int], output: str | None = None) -> str:
        """A view of the numbers in another shape; one dimension may be -1, what is left."""
        known = -int(numpy.prod(shape))
        example = tuple(int(numpy.prod(self._shape(states))) // known if size == -1 else size for size in shape)
        made = self._result(example, output)
        sizes = [0 if size == -1 else size for size in shape]
        self._add("StaticReshape", num_dims=len(sizes), new_shape=sizes, input_id=self._ids[states], output_id=self._ids[made])
        return made

    def transpose(self, states: str, order: Sequence[int]) -> str:
        """Dimensions in another order."""
        made = self._result(tuple(self._shape(states)[place] for place in order))
        self._add("StaticTranspose", num_dims=len(order), perm=list(order), input_id=self._ids[states], output_id=self._ids[made])
        return made

    def products(self, one: str, other: str, *, transposed: bool = False) -> str:
        """Matrix products [..., n, k] x [..., k, m], or x [..., m, k] where transposed; leading dimensions are broadcast."""
        left, right = self._shape(one), self._shape(other)
        made = self._result((*left[:-1], right[-2] if transposed else right[-1]))
        self._add(
            "BatchMatrixMultiply",
            input1_id=self._ids[one],
            input2_id=self._ids[other],
            output_id=self._ids[made],
            flags=TRANSPOSE_SECOND if transposed else 0,
        )
        return made

    def _add(self, kind: str, bounds: dict[str, Any] | None = None, **fields: Any) -> None:
        node = union("xnode_union", f"XNN{kind}", **fields) | {"debug_handle": len(self._nodes)}
        self._nodes.append(node if bounds is None else node | {"output_min_max": bounds})

    def _result(self, shape: Sequence[int], name: str | None = None) -> str:
        if name is None:
            name = f"#{self._count}"
            self._count += 1
        place = self._value(name, shape, flags=OUTPUT if name in self._outputs else 0)
        if name in self._outputs:
            self._output_ids.append(place)
        return name

    def _value(
        self,
        name: str,
        shape: Sequence[int],
        *,
        flags: int = 0,
        constant: int = NOT_CONSTANT,
        kind: str = "fp32",
        quantisation: dict[str, Any] | None = None,
    ) -> int:
        assert name not in self._ids
        place = self._ids[name] = len(self._shapes)
        self._shapes.append(tuple(shape))
        tensor = {
            "datatype": f"xnn_datatype_{kind}",
            "num_dims": len(shape),
            "dims": [int(size) for size in shape],
            "constant_buffer_idx": constant,
            "external_id": self._outside.get(name, NO_VALUE),
            "flags": flags,
            "id_out": place,
        }
        if quantisation is None:
            self._values.append(union("xvalue_union", "XNNTensorValue", **tensor))
        else:
            self._values.append(union("xvalue_union", "XNNQuantizedTensorValue", tensor_value=tensor, **quantisation))
        return place

    def _stored(self, name: str, values: NDArray[Any]) -> int:
        """Place of named data in this graph's list of constants."""
        self._data.add(name, values)
        self._constants.append({"offset": NAMED_DATA, "size": values.nbytes, "named_key": name})
        return len(self._constants) - 1

    def _shape(self, name: str) -> tuple[int, ...]:
        return self._shapes[self._ids[name]]


def _bfloat16(values: NDArray[numpy.float32]) -> NDArray[numpy.uint16]:
    """The upper halves of float32 numbers, rounded to the nearest, ties to even."""
    bits = values.view(numpy.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(numpy.uint16)
