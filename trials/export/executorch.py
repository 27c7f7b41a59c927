"""The decoder as an ExecuTorch program (.pte) whose matrices run on XNNPACK, written directly instead of traced and lowered.

ExecuTorch's own way (torch.export, `to_edge_transform_and_lower`, `to_executorch`) traces the network and runs each of some 50 passes
over each delegated piece: minutes for 30 blocks. Here the delegates' graphs and the program around them are written as what
they are (docs/findings.md has the times).

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
from typing import Any, NamedTuple

import numpy
from numpy.typing import NDArray
from torch import Tensor

from search_space.architecture import RMS_NORM_EPS, ROPE_THETA, Architecture
from search_space.cost import BITS_PER_WEIGHT
from trials.export.block_quantisation import BLOCK, Quantised, quantise
from trials.export.executorch_program import CHAR, FLOAT, LONG, Program
from trials.export.xnnpack_graph import NamedData, XnnpackGraph

EMBEDDING = "model.embed_tokens.weight"
LONGEST_TEXT = 2048
"""Tokens that a program has room for unless more are asked for; room costs memory, not time."""
UNSEEN = 2.0**13
"""What is taken off a score for every position that its key lies beyond what the query may see: far more than scores differ by, and a
power of two, so that positions times it are exact."""


class Piece(NamedTuple):
    """A part of the work at one depth: `project` to queries, keys and values; `attend`; or run the `mlp`."""

    work: str
    part: int
    """Which stored attention or MLP."""
    slides: bool = False


def write_executorch(
    path: Path, architecture: Architecture, weights: Mapping[str, Tensor], max_tokens: int, precision: str = "float32"
) -> None:
    """Write a program for texts of up to that many tokens; `weights` are the stored ones, as `Network.named_parameters` names them."""
    arrays = {name: weight.detach().cpu().float().numpy() for name, weight in weights.items()}
    _Writer(architecture, arrays, max_tokens, precision).write(path)


def stages(a: Architecture) -> list[tuple[Piece, ...]]:
    """What runs between two writes to the cache, in order; a stage that occurs twice is one delegate.

    Where nothing is shared, a block's end and the next block's beginning are one stage: fewer are faster.
    """
    shared = a.sharing.repeats > 1
    found: list[tuple[Piece, ...]] = [()]
    for depth in range(a.num_hidden_layers):
        attention, mlp = a.attention_schedule[depth], a.mlp_schedule[depth]
        project, attend = Piece("project", attention), Piece("attend", attention, a.layer_types[depth] == "sliding_attention")
        found[-1] += (project,)
        found.append((attend,))
        if shared and a.sharing.part != "block":
            found.append(())
        found[-1] += (Piece("mlp", mlp),)
        if shared:
            found.append(())
    return [stage for stage in found if stage]


class _Writer:
    def __init__(self, architecture: Architecture, weights: Mapping[str, NDArray[numpy.float32]], max_tokens: int, precision: str) -> None:
        self._a = architecture
        self._weights = weights
        self._max_tokens = max_tokens
        self._bits = BITS_PER_WEIGHT[precision] if precision != "float32" else None
        self._data = NamedData()
        self._program = Program()
        self._delegates: dict[tuple[Piece, ...], int] = {}

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
                    program.resize(seen, program.integers([end, program.integer(self._held_width)]))
                    held[f"seen_{name}"] = seen
                depth += 1
            held = self._run(stage, held | given)
        last = program.tensor((1, 1, a.hidden_size))
        before = program.number()
        program.call("executorch_prim::sub", "Scalar", new, program.integer(1), before)
        program.call(
            "aten::slice_copy", "Tensor_out", held["states"], program.integer(1), before, new, program.integer(1), last, last
        )  # fmt: skip
        logits = program.tensor((1, a.vocab_size))
        program.delegate_call(program.delegate(self._head()), [last], [logits])
        program.write(path, [logits], self._data.values)

    @property
    def _held_width(self) -> int:
        """Numbers of a token's keys, or values, in one block."""
        return self._a.num_key_value_heads * self._a.head_dim

    def _embedded(self, tokens: int, new: int) -> int:
        """States of the tokens, [1, tokens, hidden_size]; rounded rows are multiplied with their scales."""
        program, a, longest = self._program, self._a, self._max_tokens
        if self._bits is None:
            return self._rows(EMBEDDING, self._weights[EMBEDDING], tokens, FLOAT)
        rounded = self._quantised(EMBEDDING)
        blocks = rounded.scales.shape[1]
        codes = rounded.signed_codes()
        one, width = program.integer(1), codes.shape[1]
        numbers = program.tensor((1, longest, width), dynamic=True)
        rows = self._rows(f"{EMBEDDING} rows" if self._bits == 4 else EMBEDDING, codes, tokens, CHAR)
        program.call("aten::_to_copy", "out", rows, program.boolean(False), program.null, numbers, numbers)
        scales = self._rows(f"{EMBEDDING} rows_scales" if self._bits == 4 else f"{EMBEDDING}_scales", rounded.scales, tokens, FLOAT)
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

    def _quantised(self, name: str) -> Quantised:
        """Rounded weights as XNNPACK multiplies with them: int4 with a scale for each block, int8 with one for each row."""
        assert self._bits is not None
        weight = self._weights[name]
        return quantise(weight, self._bits, BLOCK if self._bits == 4 else weight.shape[1])

    def _cache(self) -> tuple[int, int]:
        """Keys or values of one block: the whole memory, and the part of it that is seen."""
        shape = (self._max_tokens, self._held_width)
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
        frequencies = ROPE_THETA ** -(numpy.arange(0, d, 2, dtype=numpy.float32) / d)
        angles = numpy.outer(numpy.arange(longest, dtype=numpy.float32), frequencies)
        both = numpy.concatenate((angles, angles), axis=1).astype(numpy.float32).reshape(longest, 1, d)
        for name, values in (("cosine", numpy.cos(both)), ("sine", numpy.sin(both))):
            yield name, self._between(program.constant(name, values), (longest, 1, d), FLOAT, start, end)

    def _run(self, stage: tuple[Piece, ...], held: Mapping[str, int]) -> dict[str, int]:
        """Call a stage's delegate; returns what it leaves for the next one."""
        inputs, outputs = self._arguments(stage)
        if stage not in self._delegates:
            self._delegates[stage] = self._program.delegate(self._graph(stage, inputs, outputs))
        made = {name: self._program.tensor(shape, dynamic=True, turn=name) for name, shape in outputs.items()}
        self._program.delegate_call(self._delegates[stage], [held[name] for name in inputs], list(made.values()))
        return {name: place for name, place in held.items() if name == "states"} | made

    def _arguments(self, stage: tuple[Piece, ...]) -> tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]:
        """Names and shapes of what a stage reads and makes."""
        a, longest = self._a, self._max_tokens
        states, queries, held = (1, longest, a.hidden_size), (longest, a.num_attention_heads, a.head_dim), (longest, self._held_width)
        works = {piece.work for piece in stage}
        inputs: dict[str, tuple[int, ...]] = {"states": states}
        outputs: dict[str, tuple[int, ...]] = {}
        if "attend" in works:
            inputs |= {"queries": queries, "seen_keys": held, "seen_values": held, "queries_at": (longest,), "keys_at": (longest,)}
        if works & {"attend", "mlp"}:
            outputs["states"] = states
        if "project" in works:
            inputs |= {"cosine": (longest, 1, a.head_dim), "sine": (longest, 1, a.head_dim)}
            outputs |= {"queries": queries, "keys": held, "values": held}
        return inputs, outputs

    def _graph(self, stage: tuple[Piece, ...], inputs: dict[str, tuple[int, ...]], outputs: dict[str, tuple[int, ...]]) -> dict[str, Any]:
        graph = XnnpackGraph(self._data, inputs, [f"new_{name}" for name in outputs])
        states = "states"
        for place, piece in enumerate(stage):
            end = None if any(later.work in ("attend", "mlp") for later in stage[place + 1 :]) else "new_states"
            if piece.work == "project":
                self._project(graph, piece.part, states)
            elif piece.work == "attend":
                states = self._attend(graph, piece, states, end)
            else:
                states = self._mlp(graph, piece.part, states, end)
        return graph.document()

    def _head(self) -> dict[str, Any]:
        a = self._a
        graph = XnnpackGraph(self._data, {"states": (1, 1, a.hidden_size)}, ["logits"])
        normed = self._norm(graph, "states", "model.norm.weight")
        scores = self._linear(graph, normed, EMBEDDING if a.tie_word_embeddings else "lm_head.weight")
        graph.reshape(scores, (1, a.vocab_size), "logits")
        return graph.document()

    def _project(self, graph: XnnpackGraph, part: int, states: str) -> None:
        a = self._a
        name = f"model.layers.{a.attention_schedule.index(part)}"
        normed = self._norm(graph, states, f"{name}.input_layernorm.weight")
        for made, letter, heads in (("queries", "q", a.num_attention_heads), ("keys", "k", a.num_key_value_heads)):
            flat = self._linear(graph, normed, f"{name}.self_attn.{letter}_proj.weight")
            by_head = graph.reshape(flat, (-1, heads, a.head_dim))
            turned = graph.linear(by_head, self._quarter_turn(graph))
            still, moved = graph.binary("Multiply", by_head, "cosine"), graph.binary("Multiply", turned, "sine")
            if made == "queries":
                graph.binary("Add", still, moved, output="new_queries")
            else:
                graph.reshape(graph.binary("Add", still, moved), (-1, self._held_width), "new_keys")
        flat = self._linear(graph, normed, f"{name}.self_attn.v_proj.weight")
        graph.reshape(flat, (-1, self._held_width), "new_values")

    def _attend(self, graph: XnnpackGraph, piece: Piece, states: str, output: str | None) -> str:
        a, d, groups = self._a, self._a.head_dim, self._a.num_key_value_heads
        by_group = graph.reshape("queries", (-1, groups, a.num_attention_heads // groups, d))
        queries = graph.transpose(by_group, (1, 2, 0, 3))
        keys, values = (graph.transpose(graph.reshape(name, (-1, groups, 1, d)), (1, 2, 0, 3)) for name in ("seen_keys", "seen_values"))
        scale = graph.constant("scale", numpy.full(1, d**-0.5, numpy.float32))
        scores = graph.products(graph.binary("Multiply", queries, scale), keys, transposed=True)
        chances = graph.unary("Softmax", graph.binary("Add", scores, self._mask(graph, piece.slides)))
        mixed = graph.transpose(graph.products(chances, values), (2, 0, 1, 3))
        flat = graph.reshape(mixed, (1, -1, a.num_attention_heads * d))
        name = f"model.layers.{a.attention_schedule.index(piece.part)}.self_attn.o_proj.weight"
        return graph.binary("Add", states, self._linear(graph, flat, name), output=output)

    def _mask(self, graph: XnnpackGraph, slides: bool) -> str:
        """What is added to scores, [queries, keys]: 0 for a key that is seen."""
        rows = graph.reshape("queries_at", (-1, 1))
        mask = graph.binary("Subtract", rows, "keys_at", largest=0.0)
        if slides:
            assert self._a.sliding_window is not None
            reach = graph.constant("reach", numpy.full(1, (self._a.sliding_window - 1) * UNSEEN, numpy.float32))
            behind = graph.binary("Add", graph.binary("Subtract", "keys_at", rows), reach, largest=0.0)
            mask = graph.binary("Minimum", mask, behind)
        return mask

    def _mlp(self, graph: XnnpackGraph, part: int, states: str, output: str | None) -> str:
        a = self._a
        name = f"model.layers.{a.mlp_schedule.index(part)}"
        normed = self._norm(graph, states, f"{name}.post_attention_layernorm.weight")
        up = self._linear(graph, normed, f"{name}.mlp.up_proj.weight", relu=a.mlp == "relu")
        if a.mlp == "swiglu":
            gate = self._linear(graph, normed, f"{name}.mlp.gate_proj.weight")
            up = graph.binary("Multiply", graph.binary("Multiply", gate, graph.unary("Sigmoid", gate)), up)
        elif a.mlp == "gelu":
            up = graph.unary("Gelu", up)
        return graph.binary("Add", states, self._linear(graph, up, f"{name}.mlp.down_proj.weight"), output=output)

    def _norm(self, graph: XnnpackGraph, states: str, gain: str) -> str:
        """RMSNorm; the mean of the squares is a product with a row of equal weights, since XNNPACK has no mean over one dimension here."""
        width = self._a.hidden_size
        row = graph.constant("mean", numpy.full((1, width), 1 / width, numpy.float32))
        epsilon = graph.constant("epsilon", numpy.full(1, RMS_NORM_EPS, numpy.float32))
        mean = graph.linear(graph.binary("Multiply", states, states), row, epsilon)
        normed = graph.binary("Multiply", states, graph.unary("ReciprocalSquareRoot", mean))
        return graph.binary("Multiply", normed, self._constant(graph, gain))

    def _quarter_turn(self, graph: XnnpackGraph) -> str:
        """RoPE's other term: each half of a head in the other's place, the second one negated; a product, since XNNPACK's slices need a
        fixed number of tokens.
        """
        half = self._a.head_dim // 2
        turn = numpy.zeros((2 * half, 2 * half), numpy.float32)
        turn[:half, half:], turn[half:, :half] = -numpy.eye(half), numpy.eye(half)
        return graph.constant("quarter_turn", turn)

    def _linear(self, graph: XnnpackGraph, states: str, name: str, *, relu: bool = False) -> str:
        if self._bits is None:
            return graph.linear(states, self._constant(graph, name), relu=relu)
        matrix = graph.matrix(name, self._quantised(name))
        return graph.linear(graph.rounded(states, graph.columns(matrix)), matrix, relu=relu)

    def _constant(self, graph: XnnpackGraph, name: str) -> str:
        return graph.constant(name, self._weights[name])
