"""An ExecuTorch program as it is put together: tensors in planned memory, calls of operators and delegates, and its file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy
from executorch.exir import schema
from executorch.exir._serialize._named_data_store import NamedDataStore
from executorch.exir._serialize._program import PTEFile, serialize_pte_binary
from executorch.exir.scalar_type import ScalarType
from numpy.typing import NDArray

FLOAT, LONG = int(ScalarType.FLOAT), int(ScalarType.LONG)
BYTES = {FLOAT: 4, LONG: 8}
ALIGNMENT = 64
"""Of tensors in memory, in bytes."""
CONSTANT_ALIGNMENT = 16
MEMORY = 1
"""The one planned memory; 0 stands for constants."""
LEAF, TUPLE = '{"type": null, "context": null, "children_spec": []}', "builtins.tuple"


class Program:
    """Values are known by their place in the program."""

    def __init__(self) -> None:
        self._values: list[schema.EValue] = []
        self._inputs: list[int] = []
        self._instructions: list[schema.Instruction] = []
        self._operators: dict[tuple[str, str], int] = {}
        self._delegates: list[bytes] = []
        self._constants = [b""]
        self._used = 0
        self._turns: dict[tuple[tuple[int, ...], int], list[int]] = {}
        self.null = self._value(schema.Null())

    def input(self, shape: tuple[int, ...], kind: int, *, dynamic: bool = False) -> int:
        """A tensor that the caller gives."""
        self._inputs.append(self._tensor(shape, kind, dynamic, None))
        return self._inputs[-1]

    def constant(self, values: NDArray[Any]) -> int:
        """A tensor of the file."""
        kind = LONG if values.dtype == numpy.int64 else FLOAT
        assert values.dtype in (numpy.int64, numpy.float32)
        self._constants.append(values.tobytes())
        return self._tensor(values.shape, kind, False, None, len(self._constants) - 1)

    def tensor(self, shape: tuple[int, ...], kind: int = FLOAT, *, dynamic: bool = False, at: int | None = None, turn: bool = False) -> int:
        """A tensor in memory; its shape is the largest that it takes where it is dynamic.

        It lies `at` another one, or takes its `turn` in one of two places for this shape, where the one before the last is no longer
        needed.
        """
        if at is not None:
            return self._tensor(shape, kind, dynamic, self._values[at].val.allocation_info)
        places = self._turns.setdefault((shape, kind), [])
        if turn and len(places) == 4:
            places.append(places.pop(0))
            return self._tensor(shape, kind, dynamic, self._values[places[-1]].val.allocation_info)
        where = schema.AllocationDetails(MEMORY, self._used & 0xFFFFFFFF, self._used >> 32)
        size = BYTES[kind] * int(numpy.prod(shape))
        self._used += size + -size % ALIGNMENT
        place = self._tensor(shape, kind, dynamic, where)
        if turn:
            places.append(place)
        return place

    def number(self) -> int:
        """An integer that an operator finds."""
        return self.integer(0)

    def integer(self, value: int) -> int:
        """A known integer."""
        return self._value(schema.Int(value))

    def boolean(self, value: bool) -> int:
        """A known truth."""
        return self._value(schema.Bool(value))

    def integers(self, items: Sequence[int]) -> int:
        """A list of integers, each a value of the program."""
        return self._value(schema.IntList(list(items)))

    def optional_tensors(self, items: Sequence[int]) -> int:
        """A list of tensors."""
        return self._value(schema.OptionalTensorList(list(items)))

    def call(self, operator: str, overload: str, *arguments: int) -> None:
        """Run one of ExecuTorch's operators; its outputs are the last arguments."""
        index = self._operators.setdefault((operator, overload), len(self._operators))
        self._instructions.append(schema.Instruction(schema.KernelCall(index, list(arguments))))

    def delegate_data(self, graph: bytes) -> int:
        """Keep a delegate, loaded once however often it is called."""
        self._delegates.append(graph)
        return len(self._delegates) - 1

    def delegate_call(self, delegate: int, inputs: Sequence[int], outputs: Sequence[int]) -> None:
        """Run a kept delegate."""
        self._instructions.append(schema.Instruction(schema.DelegateCall(delegate, [*inputs, *outputs])))

    def write(self, path: Path, outputs: Sequence[int], named_data: Mapping[str, NDArray[Any]]) -> None:
        """Write the file."""
        inline = schema.DataLocation.INLINE
        plan = schema.ExecutionPlan(
            name="forward",
            container_meta_type=schema.ContainerMetadata(_signature(len(self._inputs)), f"[1, {LEAF}]"),
            values=self._values,
            inputs=self._inputs,
            outputs=list(outputs),
            chains=[schema.Chain([], [], self._instructions, None)],
            operators=[schema.Operator(name, overload) for name, overload in self._operators],
            delegates=[
                schema.BackendDelegate("XnnpackBackend", schema.BackendDelegateDataReference(inline, place), [])
                for place in range(len(self._delegates))
            ],
            non_const_buffer_sizes=[0, self._used],
        )
        program = schema.Program(
            version=0,
            execution_plan=[plan],
            constant_buffer=[schema.Buffer(storage) for storage in self._constants],
            backend_delegate_data=[schema.BackendDelegateInlineData(graph) for graph in self._delegates],
            segments=[],
            constant_segment=schema.SubsegmentOffsets(0, []),
        )
        store = NamedDataStore()
        for name, values in named_data.items():
            store.add_named_data(name, values.tobytes(), CONSTANT_ALIGNMENT)
        written = serialize_pte_binary(
            PTEFile(program, named_data=store.get_named_data_store_output()), extract_delegate_segments=True, segment_alignment=128
        )
        with open(path, "wb") as file:
            written.write_to_file(file)

    def _tensor(self, shape: tuple[int, ...], kind: int, dynamic: bool, where: schema.AllocationDetails | None, constant: int = 0) -> int:
        dynamism = schema.TensorShapeDynamism.DYNAMIC_BOUND if dynamic else schema.TensorShapeDynamism.STATIC
        tensor = schema.Tensor(ScalarType(kind), 0, list(shape), list(range(len(shape))), False, 0, constant, where, dynamism)
        return self._value(tensor)

    def _value(self, value: Any) -> int:
        self._values.append(schema.EValue(value))
        return len(self._values) - 1


def _signature(inputs: int) -> str:
    """How Python's runtime takes the arguments apart."""
    leaves = ", ".join([LEAF] * inputs)
    positional = f'{{"type": "{TUPLE}", "context": "null", "children_spec": [{leaves}]}}'
    named = '{"type": "builtins.dict", "context": "[]", "children_spec": []}'
    return f'[1, {{"type": "{TUPLE}", "context": "null", "children_spec": [{positional}, {named}]}}]'
