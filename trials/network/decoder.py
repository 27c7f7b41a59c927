"""The decoder: pre-RMSNorm, RoPE, biases and normalised heads where the shape has them; parameters named as Hugging Face names them.

A stored part (attention or MLP, each with the norm in front of it) that runs at several depths is one module object standing at
several places. So `named_parameters()` has every stored weight once, and `state_dict()` is already the unrolled one that an
export writes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from search_space.architecture import INITIALIZER_RANGE, Architecture
from trials.network.blocked_attention import blocked_attention, pays
from trials.network.kv_cache import Cache, Slot, windows
from trials.network.rms_norm import normalised


class Network(nn.Module):
    """A trainable decoder of one architecture.

    Equal architectures and seeds give equal weights on every device; the global random state is neither read nor moved. On the
    meta device nothing is initialised.
    """

    def __init__(self, architecture: Architecture, seed: int = 0) -> None:
        super().__init__()
        self.architecture = architecture
        self.model = Decoder(architecture)
        self.lm_head = None if architecture.tie_word_embeddings else Linear(architecture.hidden_size, architecture.vocab_size)
        self.as_read: Callable[[Tensor], Tensor] | None = None
        """How the output projection reads states, as `Linear.as_read`."""
        self.output_apart: Tensor | None = None
        """The output projection where a runtime rounds it in another way than the embedding that it is tied to."""
        _initialise(self, seed)

    @property
    def output_weight(self) -> Tensor:
        """The matrix that turns hidden states into logits, [vocab_size, hidden_size]."""
        if self.output_apart is not None:
            return self.output_apart
        return self.model.embed_tokens.weight if self.lm_head is None else self.lm_head.weight

    def hidden_states(self, tokens: Tensor, cache: Cache | None = None) -> Tensor:
        """What the output projection reads, [batch, sequence, hidden_size], final norm applied.

        With `output_weight` this is enough to compute a loss in pieces, without all logits in memory at once.
        """
        states: Tensor = self.model(tokens, cache)
        return states if self.as_read is None else self.as_read(states)

    def forward(self, tokens: Tensor, cache: Cache | None = None) -> Tensor:
        """Logits [batch, sequence, vocab_size] of int64 tokens [batch, sequence].

        With a cache the tokens continue what it holds, and it grows by them; use that without gradients.
        """
        return functional.linear(self.hidden_states(tokens, cache), self.output_weight)


class Linear(nn.Linear):
    """A matrix [out, in], and a bias [out] if asked for, that leaves its first values to `Network`: nn.Linear would move the global random
    state.
    """

    def __init__(self, inputs: int, outputs: int, bias: bool = False) -> None:
        super().__init__(inputs, outputs, bias=bias)
        self.as_read: Callable[[Tensor], Tensor] | None = None
        """How the product reads its states where a runtime rounds them; None where it reads them as they are."""

    def forward(self, states: Tensor) -> Tensor:
        """States [..., in] to [..., out]."""
        return functional.linear(states if self.as_read is None else self.as_read(states), self.weight, self.bias)

    def reset_parameters(self) -> None:
        """Leave the weights as allocated."""


class Embedding(nn.Embedding):
    """A table [vocab_size, hidden_size] that leaves its first values to `Network`, as `Linear` does."""

    def reset_parameters(self) -> None:
        """Leave the weights as allocated."""


class Norm(nn.Module):
    """RMSNorm (arXiv 1910.07467) with a gain."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, states: Tensor) -> Tensor:
        """Normalise the last dimension."""
        if states.device.type == "cpu" and torch.is_grad_enabled() and not torch.compiler.is_compiling():
            return normalised(states, self.epsilon) * self.weight
        return functional.rms_norm(states, self.weight.shape, self.weight, self.epsilon)


class Decoder(nn.Module):
    """Tokens to hidden states: the embedding, the executed blocks, the final norm."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        a = architecture
        self.embed_tokens = Embedding(a.vocab_size, a.hidden_size)
        attentions = [(Norm(a.hidden_size, a.rms_norm_eps), Attention(a)) for _ in range(a.stored_attentions)]
        mlps = [(Norm(a.hidden_size, a.rms_norm_eps), Mlp(a)) for _ in range(a.stored_mlps)]
        depths = zip(a.attention_schedule, a.mlp_schedule, windows(a), strict=True)
        self.layers = nn.ModuleList(Block(*attentions[attention], *mlps[mlp], window) for attention, mlp, window in depths)
        self.norm = Norm(a.hidden_size, a.rms_norm_eps)
        self.head_dim, self.rope_theta = a.head_dim, a.rope_theta
        self.run_block: Callable[[nn.Module, Tensor, tuple[Tensor, Tensor], Slot | None, int | Tensor], Tensor] = run_block
        """How the states get through a block; `compiled_blocks` puts another way here."""

    def forward(self, tokens: Tensor, cache: Cache | None) -> Tensor:
        """Hidden states [batch, sequence, hidden_size] of tokens [batch, sequence]."""
        sequence = tokens.shape[1]
        start: int | Tensor = 0
        if cache is not None:
            cache.require_room(sequence)
            start = cache.length if cache.position is None else cache.position
        states: Tensor = self.embed_tokens(tokens)
        tokens_in_all = sequence if cache is None else cache.max_tokens
        table = rotary_table(tokens_in_all, self.head_dim, self.rope_theta, _working_dtype(states), states.device)
        rotary = (positions(table[0], start, sequence), positions(table[1], start, sequence))
        for depth, block in enumerate(self.layers):
            states = self.run_block(block, states, rotary, None if cache is None else cache.slots[depth], start)
        if cache is not None:
            cache.length += sequence
        normed: Tensor = self.norm(states)
        return normed


class Block(nn.Module):
    """One executed block; its parts may stand in other blocks too."""

    def __init__(self, input_layernorm: Norm, self_attn: Attention, post_attention_layernorm: Norm, mlp: Mlp, window: int | None) -> None:
        super().__init__()
        self.input_layernorm = input_layernorm
        self.self_attn = self_attn
        self.post_attention_layernorm = post_attention_layernorm
        self.mlp = mlp
        self.window = window

    def forward(self, states: Tensor, rotary: tuple[Tensor, Tensor], slot: Slot | None, start: int | Tensor) -> Tensor:
        """The residual stream after this block."""
        states = states + self.self_attn(self.input_layernorm(states), rotary, self.window, slot, start)
        added: Tensor = self.mlp(self.post_attention_layernorm(states))
        return states + added


def run_block(block: nn.Module, states: Tensor, rotary: tuple[Tensor, Tensor], slot: Slot | None, start: int | Tensor) -> Tensor:
    """The residual stream after this block."""
    after: Tensor = block(states, rotary, slot, start)
    return after


class Attention(nn.Module):
    """Causal attention with grouped key-value heads (arXiv 2305.13245)."""

    def __init__(self, a: Architecture) -> None:
        super().__init__()
        self.head_dim = a.head_dim
        self.heads = [a.num_attention_heads, a.num_key_value_heads]
        self.grouped = a.num_key_value_heads != a.num_attention_heads
        bias = a.attention_bias == "qkv"
        self.q_proj = Linear(a.hidden_size, a.num_attention_heads * a.head_dim, bias)
        self.k_proj = Linear(a.hidden_size, a.num_key_value_heads * a.head_dim, bias)
        self.v_proj = Linear(a.hidden_size, a.num_key_value_heads * a.head_dim, bias)
        self.o_proj = Linear(a.num_attention_heads * a.head_dim, a.hidden_size)
        self.q_norm = Norm(a.head_dim, a.rms_norm_eps) if a.qk_norm else None
        self.k_norm = Norm(a.head_dim, a.rms_norm_eps) if a.qk_norm else None

    def forward(self, states: Tensor, rotary: tuple[Tensor, Tensor], window: int | None, slot: Slot | None, start: int | Tensor) -> Tensor:
        """What the block adds to the residual stream; `window` keys are seen, or all of them where it is None."""
        batch, sequence, _ = states.shape
        query, key = self.queries_and_keys(states, rotary)
        value = self.v_proj(states).view(batch, sequence, -1, self.head_dim).transpose(1, 2)
        if slot is not None:
            key, value = slot.extend(key, value, start)
        keys = key.shape[2]
        causal = 1 < sequence == keys and (window is None or keys <= window)
        if isinstance(start, Tensor):
            mask: Tensor | None = written_keys(keys, start)
        else:
            mask = None if causal or sequence == 1 else visible_keys(sequence, keys, window, states.device)
        if causal and pays(query, sequence):
            mixed = blocked_attention(query, key, value)
        else:
            if repeats := self.grouped and sequence > 1 and key.is_cuda and key.dtype == torch.float32:
                key, value = (heads.repeat_interleave(self.heads[0] // self.heads[1], 1) for heads in (key, value))
            grouped = self.grouped and not repeats  # of CUDA's kernels in float32 only the one that keeps all probabilities groups heads
            mixed = functional.scaled_dot_product_attention(query, key, value, mask, is_causal=causal, enable_gqa=grouped)
        added: Tensor = self.o_proj(mixed.transpose(1, 2).reshape(batch, sequence, -1))
        return added

    def queries_and_keys(self, states: Tensor, rotary: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Queries and keys after RoPE, [batch, heads, sequence, head_dim], of normalised states [batch, sequence, hidden_size]."""
        batch, sequence, _ = states.shape
        heads = self._projected(states).view(batch, sequence, -1, self.head_dim)
        if self.q_norm is not None and self.k_norm is not None:
            query, key = torch.split(heads.to(self.q_norm.weight.dtype), self.heads, 2)  # a square of bfloat16 is too coarse
            heads = torch.cat((self.q_norm(query), self.k_norm(key)), 2).to(heads.dtype)
        query, key = torch.split(rotate(heads.transpose(1, 2), rotary), self.heads, 1)
        return query, key

    def _projected(self, states: Tensor) -> Tensor:
        """Queries and keys beside each other, [batch, sequence, heads x head_dim].

        In training it is one product and one gradient of the states instead of two, for a copy of weights that is small beside a
        batch; a single new token would wait for that copy.
        """
        if torch.is_grad_enabled():
            bias = None if self.q_proj.bias is None else torch.cat((self.q_proj.bias, self.k_proj.bias))
            states = states if self.q_proj.as_read is None else self.q_proj.as_read(states)
            return functional.linear(states, torch.cat((self.q_proj.weight, self.k_proj.weight)), bias)
        return torch.cat((self.q_proj(states), self.k_proj(states)), -1)


class Mlp(nn.Module):
    """SwiGLU (arXiv 2002.05202), or an ungated MLP with exact GELU or ReLU."""

    def __init__(self, a: Architecture) -> None:
        super().__init__()
        self.gate_proj = Linear(a.hidden_size, a.intermediate_size) if a.mlp == "swiglu" else None
        self.up_proj = Linear(a.hidden_size, a.intermediate_size)
        self.down_proj = Linear(a.intermediate_size, a.hidden_size)
        self.activation = functional.relu if a.mlp == "relu" else functional.gelu

    def forward(self, states: Tensor) -> Tensor:
        """What the block adds to the residual stream."""
        up = self.up_proj(states)
        inner = self.activation(up) if self.gate_proj is None else functional.silu(self.gate_proj(states)) * up
        added: Tensor = self.down_proj(inner)
        return added


def rotate(heads: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
    """RoPE (arXiv 2104.09864) of heads [batch, heads, sequence, head_dim]: each half turns against the other, as Hugging Face has it."""
    cosine, signed_sine = rotary
    return torch.addcmul(heads * cosine, heads.roll(heads.shape[-1] // 2, -1), signed_sine)


# Tensors made in inference mode could not be used in training later, and these two outlive the mode they are asked for in.


@lru_cache(maxsize=8)
@torch.inference_mode(False)
def rotary_table(tokens: int, head_dim: int, theta: float, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosine, and sine negated in the first half, of every position: two [tokens, head_dim], computed in float32."""
    halves = torch.arange(0, head_dim, 2, dtype=torch.float32, device=device) / head_dim
    angles = torch.outer(torch.arange(tokens, dtype=torch.float32, device=device), theta**-halves)
    sine = angles.sin()
    return torch.cat((angles, angles), 1).cos().to(dtype), torch.cat((-sine, sine), 1).to(dtype)


@lru_cache(maxsize=8)
@torch.inference_mode(False)
def visible_keys(queries: int, keys: int, window: int | None, device: torch.device) -> Tensor:
    """Which of the keys each of the last queries sees, bool [queries, keys]: none that follow it, and its window of those before."""
    key = torch.arange(keys, device=device)
    query = torch.arange(keys - queries, keys, device=device)[:, None]
    return key <= query if window is None else (key <= query) & (key > query - window)


def written_keys(keys: int, position: Tensor) -> Tensor:
    """Which keys of a whole cache the token at `position`, int64 [1], sees, bool [1, keys]: a ring that was turned over is full."""
    return torch.arange(keys, device=position.device)[None] <= position


def positions(table: Tensor, start: int | Tensor, count: int) -> Tensor:
    """Rows of a table [tokens, head_dim], so many, or the one at a position that is a tensor."""
    return table.index_select(0, start) if isinstance(start, Tensor) else table[start : start + count]


def _working_dtype(states: Tensor) -> torch.dtype:
    """What matrix products of these states come out as."""
    kind = states.device.type
    autocast = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)  # asking for meta's state raises
    return torch.get_autocast_dtype(kind) if autocast else states.dtype


@torch.no_grad()
def _initialise(network: Network, seed: int) -> None:
    """Normal matrices, biases of 0; what writes to the residual stream is smaller by the square root of how often that happens.

    That is GPT-2's rule (Radford et al., 2019, section 2.3): the stream's variance then does not grow with the depth executed.
    """
    residual = INITIALIZER_RANGE / math.sqrt(2 * network.architecture.num_hidden_layers)
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in network.named_parameters():
        if parameter.ndim == 2 and not parameter.is_meta:
            scale = residual if name.endswith(("o_proj.weight", "down_proj.weight")) else INITIALIZER_RANGE
            parameter.copy_(torch.empty(parameter.shape, device="cpu").normal_(0, scale, generator=generator))
        elif name.endswith(".bias"):
            parameter.zero_()
