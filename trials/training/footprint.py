"""How much memory a training step takes, in closed form, and into how many parts its batch must be split to fit.

What a block keeps for its backward pass was read off the built network with `torch.autograd.graph.saved_tensors_hooks` and is compared with
it in a test; `benchmarks/memory.py` compares the sum with the highest resident set of fresh processes. Compiled blocks keep less (0.7 of it
at 125M on a GPU, docs/findings.md, 2026-11-26: on a GPU, and on a processor with bfloat16 products): for them it is an upper bound.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

from search_space import cost
from search_space.architecture import Architecture
from search_space.fields import OPTIONAL
from trials.network.blocked_attention import BLOCK_QUERIES, LONGEST, SHORTEST
from trials.network.kv_cache import windows
from trials.study.spec import ProxySpec
from trials.training.failures import OutOfMemory
from trials.training.loss import tokens_at_once
from trials.training.muon import STACKED_VALUES

PROCESS_BYTES = 390 << 20
"""Bytes of a process that has imported torch and Lightning and made a step; a GPU's own memory has none of it (docs/findings.md,
2026-12-01: what a process takes without the metrics that nobody asks for)."""
HEAP_GAPS = 1.08
"""Factor on the activations: the backward pass of one block, and what the allocator cannot use again (docs/findings.md, 2026-11-22: the
loss in pieces, and the memory of a step)."""
LOGITS_COPIES = 3
"""Copies of a piece's logits: as they come, as logarithms of probabilities, and as torch's scratch or in a lower precision."""
MUON_COPIES = 4
"""Copies of a stack of matrices while Muon orthogonalises it: the momentum, the stack, and the iteration's last and next value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """Bytes that a training step takes, by what takes them."""

    process: int
    """Python with its libraries."""
    weights: int
    """Bytes of all weights; twice where rounded ones stand in their places for a while."""
    optimizer_states: int
    gradients: int
    """Bytes of all parameters' gradients, at the end of a backward pass."""
    activations: int
    """Kept for the backward pass, of all executed blocks and one part of the batch."""
    loss: int
    """The gradient of the output projection, and a piece of the logits."""
    update: int
    """Scratch of the optimizer's step."""
    micro_batches: int
    """Parts that a step's batch is split into; their gradients are summed."""

    @property
    def peak(self) -> int:
        """The most that stands at once.

        The activations are gone before the last gradients and the update's scratch come, but their place in the heap is in pieces
        that seldom fit those: resident sets grow as if all stood together.
        """
        always = self.process + self.weights + self.optimizer_states + self.gradients
        return always + round(HEAP_GAPS * self.activations) + max(self.loss, self.update)


def footprint(a: Architecture, proxy: ProxySpec, *, device: str = "cpu", sequences: int | None = None) -> Footprint:
    """Memory of a step whose batch goes through in parts of at most that many sequences (by default all at once)."""
    at_once = min(sequences or proxy.batch_sequences, proxy.batch_sequences)
    tokens = at_once * proxy.context_tokens
    stored = cost.parameters(a)
    low = proxy.precision == "bfloat16"
    table = a.vocab_size * a.hidden_size
    piece = min(tokens, tokens_at_once(a.vocab_size, device)) * a.vocab_size
    muon = proxy.optimizer == "muon"
    return Footprint(
        process=PROCESS_BYTES if device == "cpu" else 0,
        weights=4 * stored * (1 if proxy.quantisation_aware is None else 2),
        optimizer_states=_optimizer_bytes(a, proxy),
        gradients=4 * stored,
        activations=activation_bytes(a, at_once, proxy.context_tokens, proxy.precision) + _rounded_bytes(a, proxy, tokens),
        loss=4 * table + (2 * table if low else 0) + 4 * LOGITS_COPIES * piece + 4 * tokens * a.hidden_size,
        update=4 * MUON_COPIES * _largest_stack(a, device) if muon else 0,
        micro_batches=-(-proxy.batch_sequences // at_once),
    )


def state_bytes(a: Architecture, proxy: ProxySpec) -> int:
    """Bytes of all that a training goes on from: the weights, and what the optimizers keep; in float32, whatever the products have."""
    return 4 * cost.parameters(a) + _optimizer_bytes(a, proxy)


def _optimizer_bytes(a: Architecture, proxy: ProxySpec) -> int:
    """AdamW keeps two values a parameter, Muon one."""
    return 8 * cost.parameters(a) - (4 * _block_matrices(a) if proxy.optimizer == "muon" else 0)


def activation_bytes(a: Architecture, sequences: int, context_tokens: int, precision: str) -> int:
    """What a forward pass keeps for the backward pass, from the embedding's output to the final norm's.

    Of each token and executed block: two values of the stream's width for each norm; rotated queries, keys,
    values and what attention gives; the MLP's inner states; and the softmax's and the norms' scales. Under autocast what feeds a
    product has two bytes, and the matrices' copies stay. Each executed block has its queries' and keys' matrices as one, besides; a block
    that slides within the context keeps its mask, blocked attention its probabilities.
    """
    low = precision == "bfloat16"
    slides = sum(window is not None and window < context_tokens for window in windows(a))
    queries, keys = a.num_attention_heads * a.head_dim, a.num_key_value_heads * a.head_dim
    inner = {"swiglu": 4, "gelu": 2, "relu": 1}[a.mlp]
    if low:
        of_token = (16 if a.mlp == "swiglu" else 14) * a.hidden_size + 4 * (queries + keys) + 2 * inner * a.intermediate_size
    else:
        of_token = 16 * a.hidden_size + 8 * (queries + keys) + 4 * inner * a.intermediate_size
    of_token += 4 * a.num_attention_heads + 8
    of_token += sum(field.attention_bytes(a) for field in OPTIONAL if field.attention_bytes is not None)
    tokens = sequences * context_tokens
    masks = slides * (2 if low else 4) * context_tokens**2
    blocked = a.num_hidden_layers - slides if not low and SHORTEST <= context_tokens <= LONGEST else 0
    chances = blocked * 2 * a.num_attention_heads * (context_tokens + BLOCK_QUERIES - 2) * tokens
    final_norm = 8 * a.hidden_size * tokens
    of_both = (queries + keys) * a.hidden_size  # the matrices of queries and keys, which each executed block puts beside each other
    beside = a.num_hidden_layers * (2 if low else 4) * of_both
    copies = 2 * (_block_matrices(a) - a.stored_attentions * of_both) if low else 0
    return a.num_hidden_layers * of_token * tokens + masks + chances + final_norm + beside + copies


def _rounded_bytes(a: Architecture, proxy: ProxySpec, tokens: int) -> int:
    """What a training that rounds activations keeps besides: values, and of a gated MLP one of two products, read copies of their own."""
    if proxy.quantisation_aware is None:
        return 0
    copies = 2 if a.mlp == "swiglu" else 1
    return tokens * 4 * a.hidden_size * (1 + copies * a.num_hidden_layers)


def fit_batch(a: Architecture, proxy: ProxySpec, available_bytes: int, *, device: str = "cpu") -> Footprint:
    """The footprint with the fewest parts of a batch, as equal as can be, that stay within the memory.

    Raises OutOfMemory where not even a single sequence does.
    """
    whole = footprint(a, proxy, device=device)
    if whole.peak <= available_bytes:
        return whole
    single = footprint(a, proxy, device=device, sequences=1)
    if single.peak > available_bytes:
        raise OutOfMemory(
            f"a training step of {a.label} must fit into {readable_bytes(available_bytes)}, found {readable_bytes(single.peak)} for one "
            f"sequence of {proxy.context_tokens:,} tokens alone; lower proxy.context_tokens or workers.count, or take a larger machine"
        )
    parts = bisect_left(range(proxy.batch_sequences), True, lo=2, key=lambda n: _parted(a, proxy, device, n).peak <= available_bytes)
    return _parted(a, proxy, device, parts)


def readable_bytes(count: int) -> str:
    """`5.3 GiB`, or `480 MiB` where it is less than one."""
    return f"{count / (1 << 30):.1f} GiB" if count >= 1 << 30 else f"{count / (1 << 20):.0f} MiB"


def _parted(a: Architecture, proxy: ProxySpec, device: str, parts: int) -> Footprint:
    return footprint(a, proxy, device=device, sequences=-(-proxy.batch_sequences // parts))


def _block_matrices(a: Architecture) -> int:
    """Weights of the stored blocks' matrices."""
    return a.stored_attentions * cost.attention_matrix_parameters(a) + a.stored_mlps * cost.mlp_matrix_parameters(a)


def _largest_stack(a: Architecture, device: str) -> int:
    """Values of the matrices that Muon moves together, where that is most: a stack is as large as allowed, or one matrix."""
    queries = a.num_attention_heads * a.head_dim
    return min(_block_matrices(a), max(STACKED_VALUES[device], a.hidden_size * max(queries, a.intermediate_size)))
