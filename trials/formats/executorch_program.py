"""An ExecuTorch program as it is put together: tensors in planned memory, calls of operators and delegates, and its file."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray

from trials.formats.flatbuffer import DELEGATE, PROGRAM, flatbuffers, union
from trials.formats.xnnpack_graph import delegate_bytes

FLOAT, LONG, CHAR = "FLOAT", "LONG", "CHAR"
BYTES = {FLOAT: 4, LONG: 8, CHAR: 1}
ALIGNMENT = 64
"""Alignment of tensors in memory, in bytes."""
SEGMENT_ALIGNMENT = 128
"""Alignment of what lies in the file behind the program, in bytes."""
HEADER_BYTES = 32
PLANNED_MEMORY = 1
"""The one planned memory; 0 stands for constants."""
LEAF, TUPLE = '{"type": null, "context": null, "children_spec": []}', "builtins.tuple"


class Program:
    """Values are known by their place in the program."""

    def __init__(self) -> None:
        self._values: list[dict[str, Any]] = []
        self._inputs: list[int] = []
        self._instructions: list[dict[str, Any]] = []
        self._operators: dict[tuple[str, str], int] = {}
        self._delegates: list[dict[str, Any]] = []
        self._constants: list[tuple[str, NDArray[Any]]] = []
        self._used = 0
        self._turns: dict[str, list[int]] = {}
        self.null = self._value("Null")

    def input(self, shape: tuple[int, ...], kind: str, *, dynamic: bool = False) -> int:
        """A tensor that the caller gives."""
        self._inputs.append(self._tensor(shape, kind, dynamic, None))
        return self._inputs[-1]

    def constant(self, name: str, values: NDArray[Any]) -> int:
        """A tensor of the file; named data of that name is the same bytes."""
        kind = {"int64": LONG, "float32": FLOAT, "int8": CHAR}[values.dtype.name]
        self._constants.append((name, values))
        return self._tensor(values.shape, kind, False, None, len(self._constants))

    def tensor(self, shape: tuple[int, ...], kind: str = FLOAT, *, dynamic: bool = False, at: int | None = None, turn: str = "") -> int:
        """A tensor in memory; its shape is the largest that it takes where it is dynamic.

        It lies `at` another one; or takes the `turn` of that name, where the one before the last lay, which is no longer needed.
        """
        places = self._turns.setdefault(turn, []) if turn else []
        if at is None and len(places) == 2:
            at = places[0]
        place = self._tensor(shape, kind, dynamic, self._room(shape, kind) if at is None else self._where(at))
        self._turns[turn] = [*places[-1:], place]
        return place

    def resize(self, tensor: int, sizes: int) -> None:
        """Give a tensor another shape and leave its memory as it is: making it empty does no more."""
        self.call("aten::empty", "out", sizes, self.null, tensor, tensor)

    def shaped(self, tensor: int, shape: tuple[int, ...], sizes: int) -> int:
        """A view of the memory in another shape; `shape` is the largest, `sizes` the list that says the present one."""
        seen = self.tensor(shape, dynamic=True, at=tensor)
        self.resize(seen, sizes)
        return seen

    def number(self) -> int:
        """An integer that an operator finds."""
        return self.integer(0)

    def integer(self, value: int) -> int:
        """A known integer."""
        return self._value("Int", int_val=value)

    def boolean(self, value: bool) -> int:
        """A known truth."""
        return self._value("Bool", bool_val=value)

    def integers(self, items: Sequence[int]) -> int:
        """A list of integers, each a value of the program."""
        return self._value("IntList", items=list(items))

    def optional_tensors(self, items: Sequence[int]) -> int:
        """A list of tensors."""
        return self._value("OptionalTensorList", items=list(items))

    def call(self, operator: str, overload: str, *arguments: int) -> None:
        """Run one of ExecuTorch's operators; its outputs are the last arguments."""
        index = self._operators.setdefault((operator, overload), len(self._operators))
        self._instructions.append(union("instr_args", "KernelCall", op_index=index, args=list(arguments)))

    def delegate(self, graph: dict[str, Any]) -> int:
        """Keep a delegate's graph, loaded once however often it is called."""
        self._delegates.append(graph)
        return len(self._delegates) - 1

    def delegate_call(self, delegate: int, inputs: Sequence[int], outputs: Sequence[int]) -> None:
        """Run a kept delegate."""
        self._instructions.append(union("instr_args", "DelegateCall", delegate_index=delegate, args=[*inputs, *outputs]))

    def write(self, path: Path, outputs: Sequence[int], named_data: Mapping[str, NDArray[Any]]) -> None:
        """Write the file: the program, then constants, delegates and named data; what is a constant and named data lies there once."""
        behind = _Segments()
        places = [behind.lay(name, values)["offset"] for name, values in self._constants]
        constants = behind.everything()
        graphs = map(delegate_bytes, flatbuffers(DELEGATE, self._delegates))
        delegates = [
            {
                "id": "XnnpackBackend",
                "processed": {"location": "SEGMENT", "index": behind.add(f"delegate {place}", numpy.frombuffer(graph, numpy.uint8))},
            }
            for place, graph in enumerate(graphs)
        ]
        named = [{"key": name, "segment_index": behind.add(name, values)} for name, values in named_data.items()]
        plan = {
            "name": "forward",
            "container_meta_type": {"encoded_inp_str": _signature(len(self._inputs)), "encoded_out_str": f"[1, {LEAF}]"},
            "values": self._values,
            "inputs": self._inputs,
            "outputs": list(outputs),
            "chains": [{"inputs": [], "outputs": [], "instructions": self._instructions}],
            "operators": [{"name": name, "overload": overload} for name, overload in self._operators],
            "delegates": delegates,
            "non_const_buffer_sizes": [0, self._used],
        }
        program = {
            "version": 0,
            "execution_plan": [plan],
            "segments": behind.segments,
            "constant_segment": {"segment_index": constants, "offsets": [0, *places]},
            "named_data": named,
        }
        behind.write(path, flatbuffers(PROGRAM, [program])[0])

    def _tensor(self, shape: tuple[int, ...], kind: str, dynamic: bool, where: dict[str, int] | None, constant: int = 0) -> int:
        fields = {
            "scalar_type": kind,
            "sizes": list(shape),
            "dim_order": list(range(len(shape))),
            "data_buffer_idx": constant,
            "shape_dynamism": "DYNAMIC_BOUND" if dynamic else "STATIC",
        }
        return self._value("Tensor", **fields, **({} if where is None else {"allocation_info": where}))

    def _room(self, shape: tuple[int, ...], kind: str) -> dict[str, int]:
        high, low = divmod(self._used, 1 << 32)
        self._used = _aligned(self._used + BYTES[kind] * math.prod(shape), ALIGNMENT)
        return {"memory_id": PLANNED_MEMORY, "memory_offset_low": low, "memory_offset_high": high}

    def _where(self, place: int) -> dict[str, int]:
        found: dict[str, int] = self._values[place]["val"]["allocation_info"]
        return found

    def _value(self, kind: str, **fields: Any) -> int:
        self._values.append(union("val", kind, **fields))
        return len(self._values) - 1


def _signature(inputs: int) -> str:
    """How Python's runtime takes the arguments apart."""
    leaves = ", ".join([LEAF] * inputs)
    positional = f'{{"type": "{TUPLE}", "context": "null", "children_spec": [{leaves}]}}'
    named = '{"type": "builtins.dict", "context": "[]", "children_spec": []}'
    return f'[1, {{"type": "{TUPLE}", "context": "null", "children_spec": [{positional}, {named}]}}]'


class _Segments:
    """What lies behind the program."""

    def __init__(self) -> None:
        self.segments: list[dict[str, int]] = []
        self.places: dict[str, dict[str, int]] = {}
        self._pieces: list[NDArray[Any]] = []
        self._size = 0

    def lay(self, name: str, values: NDArray[Any]) -> dict[str, int]:
        """Where the bytes of that name lie: at the end, or where they were laid before."""
        if name not in self.places:
            self.places[name] = {"offset": _aligned(self._size, SEGMENT_ALIGNMENT), "size": values.nbytes}
            self._pieces.append(values)
            self._size = self.places[name]["offset"] + values.nbytes
        return self.places[name]

    def add(self, name: str, values: NDArray[Any]) -> int:
        """A segment of its own."""
        self.segments.append(self.lay(name, values))
        return len(self.segments) - 1

    def everything(self) -> int:
        """One segment of what was laid so far."""
        self.segments.append({"offset": 0, "size": self._size})
        return len(self.segments) - 1

    def write(self, path: Path, program: bytes) -> None:
        """The file: the program, with a header behind its first eight bytes that says where the rest begins, and the rest."""
        size = HEADER_BYTES + len(program)
        base = _aligned(size, SEGMENT_ALIGNMENT)
        root = int.from_bytes(program[:4], "little") + HEADER_BYTES  # counted from the beginning
        header = struct.pack("<4sIQQQ", b"eh00", HEADER_BYTES, size, base, self._size)
        assert len(header) == HEADER_BYTES
        with open(path, "wb") as file:
            file.write(struct.pack("<I", root) + program[4:8] + header + program[8:])
            for values, segment in zip(self._pieces, self.places.values(), strict=True):
                file.seek(base + segment["offset"])
                file.write(numpy.ascontiguousarray(values).data)


def _aligned(size: int, alignment: int) -> int:
    return size + -size % alignment
