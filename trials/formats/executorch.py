"""The decoder as an ExecuTorch program (.pte) whose matrices run on XNNPACK, written directly instead of traced and lowered.

ExecuTorch's own way (torch.export, `to_edge_transform_and_lower`, `to_executorch`) traces the network and runs each of some 50 passes
over each delegated piece: minutes for 30 blocks. Here the delegates' graphs (`executorch_pieces`) and the program around
them are written as what they are.

One method, `forward`: `tokens`, int64 [1, tokens], and `input_pos`, int64 [1], the position of the first of them, in; logits of the
last token, float32 [1, vocab_size], out. Keys and values are kept inside, for as many tokens as the program was written for. A text starts
anew with position 0.

Between two delegates stand the operators that ExecuTorch itself runs: new keys and values are put into the cache, and a tensor that
lies at the cache's start is given the length that is to be seen, so that no unused or copied key is ever read. A stored part that
runs at several depths is one delegate that is called several times: XNNPACK packs its weights once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray

from search_space.architecture import Architecture
from search_space.cost import BITS_PER_WEIGHT
from trials.formats.executorch_pieces import EMBEDDING, UNSEEN, Pieces, ProgramPiece, arguments, held_width, stages
from trials.formats.executorch_program import CHAR, FLOAT, LONG, Program
from trials.formats.model import Model

LONGEST_TEXT = 2048
"""Tokens that a program has room for unless more are asked for; room costs memory, not time."""


def write_executorch(path: Path, model: Model, room_tokens: int = LONGEST_TEXT) -> None:
    """Write a program with room for that many tokens, or for the model's context where that is longer; it holds no tokenizer."""
    arrays = {name: weight.detach().cpu().float().numpy() for name, weight in model.weights.items()}
    _Writer(model.architecture, arrays, max(room_tokens, model.context_tokens or 0), model.precision).write(path)


class _Writer:
    def __init__(self, architecture: Architecture, weights: Mapping[str, NDArray[numpy.float32]], max_tokens: int, precision: str) -> None:
        self._a = architecture
        self._max_tokens = max_tokens
        self._pieces = Pieces(architecture, weights, BITS_PER_WEIGHT[precision] if precision != "float32" else None)
        self._program = Program()
        self._delegates: dict[tuple[ProgramPiece, ...], int] = {}

    def write(self, path: Path) -> None:
        """Put the program together and write it."""
        a, program, longest = self._a, self._program, self._max_tokens
        tokens = program.input((1, longest), LONG, dynamic=True)
        start_tensor = program.input((1,), LONG)
        start, new, end = program.number(), program.number(), program.number()
        program.call("aten::_local_scalar_dense", "", start_tensor, start)
        program.call("aten::sym_size", "int", tokens, program.integer(1), new)
        program.call("executorch_prim::add", "Scalar", start, new, end)
        positions = program.constant("positions", numpy.arange(longest, dtype=numpy.int64))
        rows = self._between(positions, (longest,), LONG, start, end)
        given = dict(self._given(start, end))
        no = program.boolean(False)
        states = self._embedded(tokens, new)
        caches = [[self._cache() for _ in range(2)] for _ in range(a.num_hidden_layers)]
        depth = 0
        held = {"states": states}
        for stage in stages(a):
            if stage[0].work == "attend":
                for (whole, seen), name in zip(caches[depth], ("keys", "values"), strict=True):
                    program.call("aten::index_put_", "", whole, program.optional_tensors([rows]), held[name], no, whole)
                    program.resize(seen, program.integers([end, program.integer(held_width(self._a))]))
                    held[f"seen_{name}"] = seen
                depth += 1
            held = self._run(stage, held | given)
        last = program.tensor((1, 1, a.hidden_size))
        before = program.number()
        program.call("executorch_prim::sub", "Scalar", new, program.integer(1), before)
        one = program.integer(1)
        program.call("aten::slice_copy", "Tensor_out", held["states"], one, before, new, one, last, last)
        logits = program.tensor((1, a.vocab_size))
        program.delegate_call(program.delegate(self._pieces.head()), [last], [logits])
        program.write(path, [logits], self._pieces.data.values)

    def _embedded(self, tokens: int, new: int) -> int:
        """States of the tokens, [1, tokens, hidden_size]; rounded rows are multiplied with their scales."""
        program, a, longest = self._program, self._a, self._max_tokens
        if self._pieces.bits is None:
            return self._rows(EMBEDDING, self._pieces.weights[EMBEDDING], tokens, FLOAT)
        rounded = self._pieces.quantised(EMBEDDING)
        blocks = rounded.scales.shape[1]
        codes = rounded.signed_codes()
        one, width = program.integer(1), codes.shape[1]
        numbers = program.tensor((1, longest, width), dynamic=True)
        # XNNPACK wants two int4 codes in a byte and the scales' upper halves, ExecuTorch's operators a byte for each and whole ones
        name = EMBEDDING if rounded.bits == 8 else f"{EMBEDDING}_rows"
        rows = self._rows(name, codes, tokens, CHAR)
        program.call("aten::_to_copy", "out", rows, program.boolean(False), program.null, numbers, numbers)
        scales = self._rows(f"{name}_scales", rounded.scales, tokens, FLOAT)
        per_block = program.integers([one, new, program.integer(blocks), program.integer(width // blocks)])
        by_block = program.shaped(numbers, (1, longest, blocks, width // blocks), per_block)
        factors = program.shaped(scales, (1, longest, blocks, 1), program.integers([one, new, program.integer(blocks), one]))
        products = program.tensor((1, longest, blocks, width // blocks), dynamic=True)
        program.call("aten::mul", "out", by_block, factors, products, products)
        whole = program.shaped(products, (1, longest, width), program.integers([one, new, program.integer(width)]))
        if width == a.hidden_size:
            return whole
        states = program.tensor((1, longest, a.hidden_size), dynamic=True)
        end = program.integer(a.hidden_size)
        program.call("aten::slice_copy", "Tensor_out", whole, program.integer(2), program.integer(0), end, one, states, states)
        return states

    def _rows(self, name: str, table: NDArray[Any], tokens: int, kind: str) -> int:
        """Rows of a constant for every token."""
        program = self._program
        rows = program.tensor((1, self._max_tokens, table.shape[1]), kind, dynamic=True)
        no = program.boolean(False)
        program.call("aten::embedding", "out", program.constant(name, table), tokens, program.integer(-1), no, no, rows, rows)
        return rows

    def _cache(self) -> tuple[int, int]:
        """Keys or values of one block: the whole memory, and the part of it that is seen."""
        shape = (self._max_tokens, held_width(self._a))
        whole = self._program.tensor(shape)
        return whole, self._program.tensor(shape, dynamic=True, at=whole)

    def _between(self, whole: int, shape: tuple[int, ...], kind: str, start: int, end: int) -> int:
        """A copy of some rows."""
        program = self._program
        part = program.tensor(shape, kind, dynamic=True)
        program.call("aten::slice_copy", "Tensor_out", whole, program.integer(0), start, end, program.integer(1), part, part)
        return part

    def _given(self, start: int, end: int) -> Iterator[tuple[str, int]]:
        """What all delegates may ask for: positions times `UNSEEN`, cosines and sines of the new ones."""
        program, longest, d = self._program, self._max_tokens, self._a.head_dim
        places = program.constant("places", (numpy.arange(longest) * UNSEEN).astype(numpy.float32))
        yield "queries_at", self._between(places, (longest,), FLOAT, start, end)
        yield "keys_at", self._between(places, (longest,), FLOAT, program.integer(0), end)
        frequencies = self._a.rope_theta ** -(numpy.arange(0, d, 2, dtype=numpy.float32) / d)
        angles = numpy.outer(numpy.arange(longest, dtype=numpy.float32), frequencies)
        both = numpy.concatenate((angles, angles), axis=1).astype(numpy.float32).reshape(longest, 1, d)
        for name, values in (("cosine", numpy.cos(both)), ("sine", numpy.sin(both))):
            yield name, self._between(program.constant(name, values), (longest, 1, d), FLOAT, start, end)

    def _run(self, stage: tuple[ProgramPiece, ...], held: Mapping[str, int]) -> dict[str, int]:
        """Call a stage's delegate; returns what it leaves for the next one."""
        inputs, outputs = arguments(stage, self._a, self._max_tokens)
        if stage not in self._delegates:
            self._delegates[stage] = self._program.delegate(self._pieces.graph(stage, inputs, outputs))
        made = {name: self._program.tensor(shape, dynamic=True, turn=name) for name, shape in outputs.items()}
        self._program.delegate_call(self._delegates[stage], [held[name] for name in inputs], list(made.values()))
        return {name: place for name, place in held.items() if name == "states"} | made
