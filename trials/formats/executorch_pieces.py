"""What runs between two writes to the cache, as XNNPACK's graphs: projections, attention, MLPs and the head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy
from numpy.typing import NDArray

from search_space.architecture import Architecture
from trials.catalogue.refusals import BLOCK_WEIGHTS
from trials.formats.block_quantisation import Quantised, quantise
from trials.formats.xnnpack_graph import NamedData, XnnpackGraph

EMBEDDING = "model.embed_tokens.weight"
UNSEEN = 2.0**13
"""What is taken off a score for every position that its key lies beyond what the query may see: far more than scores differ by, and a
power of two, so that positions times it are exact."""


class ProgramPiece(NamedTuple):
    """A part of the work at one depth: `project` to queries, keys and values; `attend`; or run the `mlp`."""

    work: str
    part: int
    """Which stored attention or MLP."""
    slides: bool = False


Stage = tuple[ProgramPiece, ...]
Shapes = dict[str, tuple[int, ...]]
"""Shapes of tensors by name, in the order of a delegate's arguments."""


def stages(a: Architecture) -> list[Stage]:
    """What runs between two writes to the cache, in order; a stage that occurs twice is one delegate.

    Where nothing is shared, a block's end and the next block's beginning are one stage: fewer are faster.
    """
    shared = a.sharing.repeats > 1
    found: list[Stage] = [()]
    for depth in range(a.num_hidden_layers):
        attention, mlp = a.attention_schedule[depth], a.mlp_schedule[depth]
        project, attend = ProgramPiece("project", attention), ProgramPiece("attend", attention, a.layer_types[depth] == "sliding_attention")
        found[-1] += (project,)
        found.append((attend,))
        if shared and a.sharing.part != "block":
            found.append(())
        found[-1] += (ProgramPiece("mlp", mlp),)
        if shared:
            found.append(())
    return [stage for stage in found if stage]


def arguments(stage: Stage, a: Architecture, longest: int) -> tuple[Shapes, Shapes]:
    """What a stage reads and makes, where a text has the longest length."""
    states, queries, held = (1, longest, a.hidden_size), (longest, a.num_attention_heads, a.head_dim), (longest, held_width(a))
    works = {piece.work for piece in stage}
    inputs: Shapes = {"states": states}
    outputs: Shapes = {}
    if "attend" in works:
        inputs |= {"queries": queries, "seen_keys": held, "seen_values": held, "queries_at": (longest,), "keys_at": (longest,)}
    if works & {"attend", "mlp"}:
        outputs["states"] = states
    if "project" in works:
        inputs |= {"cosine": (longest, 1, a.head_dim), "sine": (longest, 1, a.head_dim)}
        outputs |= {"queries": queries, "keys": held, "values": held}
    return inputs, outputs


def held_width(a: Architecture) -> int:
    """Numbers of a token's keys, or values, in one block."""
    return a.num_key_value_heads * a.head_dim


class Pieces:
    """Graphs of one network's stages, in one precision, and the constants that they have in common."""

    def __init__(self, architecture: Architecture, weights: Mapping[str, NDArray[numpy.float32]], bits: int | None) -> None:
        """`bits` of the weights, 8 or 4; None for float32."""
        self._a = architecture
        self.weights = weights
        self.bits = bits
        self.data = NamedData()

    def graph(self, stage: Stage, inputs: Shapes, outputs: Shapes) -> dict[str, Any]:
        """A stage's graph, its arguments in the order of both."""
        graph = XnnpackGraph(self.data, inputs, [f"new_{name}" for name in outputs])
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

    def head(self) -> dict[str, Any]:
        """The last token's states, [1, 1, hidden_size], to its logits, [1, vocab_size]."""
        a = self._a
        graph = XnnpackGraph(self.data, {"states": (1, 1, a.hidden_size)}, ["logits"])
        normed = self._norm(graph, "states", "model.norm.weight")
        scores = self._linear(graph, normed, EMBEDDING if a.tie_word_embeddings else "lm_head.weight")
        graph.reshape(scores, (1, a.vocab_size), "logits")
        return graph.document()

    def quantised(self, name: str) -> Quantised:
        """Rounded weights as XNNPACK multiplies with them: int4 with a scale for each block, int8 with one for each row."""
        assert self.bits is not None
        weight = self.weights[name]
        return quantise(weight, self.bits, BLOCK_WEIGHTS if self.bits == 4 else weight.shape[1])

    def _project(self, graph: XnnpackGraph, part: int, states: str) -> None:
        a = self._a
        name = f"model.layers.{a.attention_schedule.index(part)}"
        normed = self._norm(graph, states, f"{name}.input_layernorm.weight")
        for made, letter, heads in (("queries", "q", a.num_attention_heads), ("keys", "k", a.num_key_value_heads)):
            flat = self._projected(graph, normed, f"{name}.self_attn.{letter}_proj")
            by_head = graph.reshape(flat, (-1, heads, a.head_dim))
            if a.qk_norm:
                by_head = self._norm(graph, by_head, f"{name}.self_attn.{letter}_norm.weight")
            turned = graph.linear(by_head, self._quarter_turn(graph))
            still, moved = graph.binary("Multiply", by_head, "cosine"), graph.binary("Multiply", turned, "sine")
            if made == "queries":
                graph.binary("Add", still, moved, output="new_queries")
            else:
                graph.reshape(graph.binary("Add", still, moved), (-1, held_width(a)), "new_keys")
        flat = self._projected(graph, normed, f"{name}.self_attn.v_proj")
        graph.reshape(flat, (-1, held_width(a)), "new_values")

    def _projected(self, graph: XnnpackGraph, states: str, name: str) -> str:
        """Queries, keys or values side by side, with their bias where there is one."""
        bias = self._constant(graph, f"{name}.bias") if self._a.attention_bias == "qkv" else None
        return self._linear(graph, states, f"{name}.weight", bias)

    def _attend(self, graph: XnnpackGraph, piece: ProgramPiece, states: str, output: str | None) -> str:
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
        width = self.weights[gain].size
        row = graph.constant(f"mean_{width}", numpy.full((1, width), 1 / width, numpy.float32))
        epsilon = graph.constant("epsilon", numpy.full(1, self._a.rms_norm_eps, numpy.float32))
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

    def _linear(self, graph: XnnpackGraph, states: str, name: str, bias: str | None = None, *, relu: bool = False) -> str:
        if self.bits is None:
            return graph.linear(states, self._constant(graph, name), bias, relu=relu)
        matrix = graph.matrix(name, self.quantised(name))
        return graph.linear(graph.rounded(states, graph.columns(matrix)), matrix, bias, relu=relu)

    def _constant(self, graph: XnnpackGraph, name: str) -> str:
        return graph.constant(name, self.weights[name])
