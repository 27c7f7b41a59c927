"""A decoder that stores a block once and runs it several times, for transformers: this file goes with an export, without archfront.

transformers runs it where an export is loaded with `trust_remote_code=True`. Its config has archfront's own words. Every run of a block
has keys and values of its own in the cache, and its weights are one parameter, in training and in a file.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import DynamicCache, GenerationMixin, PreTrainedModel
from transformers.configuration_utils import PreTrainedConfig
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast

ACTIVATIONS: dict[str, Any] = {"swiglu": functional.silu, "gelu": functional.gelu, "relu": functional.relu}


class ArchfrontConfig(PreTrainedConfig):  # type: ignore[misc]
    """Sizes of a shape, and which stored attention and MLP run at each depth."""

    model_type = "archfront"
    keys_to_ignore_at_inference = ("past_key_values",)

    def __init__(
        self,
        vocab_size: int = 256,
        hidden_size: int = 64,
        num_hidden_layers: int = 1,
        num_attention_heads: int = 1,
        num_key_value_heads: int = 1,
        head_dim: int = 64,
        intermediate_size: int = 128,
        attention_schedule: tuple[int, ...] = (0,),
        mlp_schedule: tuple[int, ...] = (0,),
        mlp: str = "swiglu",
        attention_bias: str = "none",
        qk_norm: bool = False,
        layer_types: tuple[str, ...] = ("full_attention",),
        sliding_window: int | None = None,
        rope_theta: float = 10_000.0,
        rms_norm_eps: float = 1e-5,
        max_position_embeddings: int = 2048,
        initializer_range: float = 0.02,
        use_cache: bool = True,
        **others: Any,
    ) -> None:
        self.vocab_size, self.hidden_size, self.num_hidden_layers = vocab_size, hidden_size, num_hidden_layers
        self.num_attention_heads, self.num_key_value_heads, self.head_dim = num_attention_heads, num_key_value_heads, head_dim
        self.intermediate_size, self.mlp, self.attention_bias, self.qk_norm = intermediate_size, mlp, attention_bias, qk_norm
        self.attention_schedule, self.mlp_schedule = list(attention_schedule), list(mlp_schedule)
        self.layer_types, self.sliding_window = list(layer_types), sliding_window
        self.rope_theta, self.rms_norm_eps = rope_theta, rms_norm_eps
        self.max_position_embeddings, self.initializer_range, self.use_cache = max_position_embeddings, initializer_range, use_cache
        super().__init__(**others)


class ArchfrontRMSNorm(nn.Module):
    """States over the root mean square of their last dimension, times a gain."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.weight, self.epsilon = nn.Parameter(torch.ones(width)), epsilon

    def forward(self, states: Tensor) -> Tensor:
        """Normalise in float32."""
        wide = states.float()
        return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.epsilon)).to(states.dtype) * self.weight


class ArchfrontAttention(nn.Module):
    """Causal attention with grouped key-value heads; `depth` says which keys and values of the cache are its own this time."""

    def __init__(self, config: ArchfrontConfig) -> None:
        super().__init__()
        self.head_dim, has_bias = config.head_dim, config.attention_bias == "qkv"
        keys = config.num_key_value_heads * config.head_dim
        self.q_proj = nn.Linear(config.hidden_size, config.num_attention_heads * config.head_dim, bias=has_bias)
        self.k_proj = nn.Linear(config.hidden_size, keys, bias=has_bias)
        self.v_proj = nn.Linear(config.hidden_size, keys, bias=has_bias)
        self.o_proj = nn.Linear(config.num_attention_heads * config.head_dim, config.hidden_size, bias=False)
        self.q_norm = ArchfrontRMSNorm(config.head_dim, config.rms_norm_eps) if config.qk_norm else nn.Identity()
        self.k_norm = ArchfrontRMSNorm(config.head_dim, config.rms_norm_eps) if config.qk_norm else nn.Identity()

    def forward(
        self, states: Tensor, rotary: tuple[Tensor, Tensor], seen: Tensor | None, window: int | None, cache: Any, depth: int
    ) -> Tensor:
        """What the block adds to states [batch, tokens, hidden_size]; `seen` [batch, keys] is 0 where a text is padded."""
        batch, tokens, _ = states.shape
        query, key, value = (
            projection(states).view(batch, tokens, -1, self.head_dim).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        query, key = turned(self.q_norm(query), *rotary), turned(self.k_norm(key), *rotary)
        if cache is not None:
            key, value = cache.update(key, value, depth)
        visible = seen_keys(tokens, key.shape[2], window, seen, states.device)
        mixed = functional.scaled_dot_product_attention(query, key, value, visible, enable_gqa=query.shape[1] != key.shape[1])
        added: Tensor = self.o_proj(mixed.transpose(1, 2).reshape(batch, tokens, -1))
        return added


class ArchfrontMLP(nn.Module):
    """An MLP, gated where its activation is swiglu."""

    def __init__(self, config: ArchfrontConfig) -> None:
        super().__init__()
        inner = config.intermediate_size
        self.gate_proj = nn.Linear(config.hidden_size, inner, bias=False) if config.mlp == "swiglu" else None
        self.up_proj = nn.Linear(config.hidden_size, inner, bias=False)
        self.down_proj = nn.Linear(inner, config.hidden_size, bias=False)
        self.activation = ACTIVATIONS[config.mlp]

    def forward(self, states: Tensor) -> Tensor:
        """What the block adds."""
        inner = self.up_proj(states)
        inner = self.activation(inner) if self.gate_proj is None else self.activation(self.gate_proj(states)) * inner
        added: Tensor = self.down_proj(inner)
        return added


class ArchfrontLayer(nn.Module):
    """What is stored in one place: an attention, an MLP or both, each with the norm in front of it."""

    def __init__(self, config: ArchfrontConfig, has_attention: bool, has_mlp: bool) -> None:
        super().__init__()
        if has_attention:
            self.input_layernorm = ArchfrontRMSNorm(config.hidden_size, config.rms_norm_eps)
            self.self_attn = ArchfrontAttention(config)
        if has_mlp:
            self.post_attention_layernorm = ArchfrontRMSNorm(config.hidden_size, config.rms_norm_eps)
            self.mlp = ArchfrontMLP(config)


class ArchfrontPreTrainedModel(PreTrainedModel):  # type: ignore[misc]
    """What both classes below tell transformers."""

    config_class = ArchfrontConfig
    base_model_prefix = "model"
    _no_split_modules = ("ArchfrontLayer",)
    _supports_sdpa = True
    _can_compile_fullgraph = False


class ArchfrontModel(ArchfrontPreTrainedModel):
    """Tokens to hidden states."""

    def __init__(self, config: ArchfrontConfig) -> None:
        super().__init__(config)
        attentions, mlps = max(config.attention_schedule) + 1, max(config.mlp_schedule) + 1
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(ArchfrontLayer(config, place < attentions, place < mlps) for place in range(max(attentions, mlps)))
        self.norm = ArchfrontRMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        **others: Any,
    ) -> BaseModelOutputWithPast:
        """Hidden states [batch, tokens, hidden_size] of ids [batch, tokens], or of their embeddings."""
        config = self.config
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("exactly one of input_ids and inputs_embeds must be given; leave the other out")
        states = self.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds
        if past_key_values is None and (config.use_cache if use_cache is None else use_cache) and not self.training:
            past_key_values = DynamicCache(config=config)
        past = 0 if past_key_values is None else int(past_key_values.get_seq_length())
        if position_ids is None:
            position_ids = torch.arange(past, past + states.shape[1], device=states.device)[None]
        seen = attention_mask if attention_mask is not None and not bool(attention_mask.all()) else None
        rotary = rotary_angles(position_ids, config.head_dim, config.rope_theta, states.dtype)
        for depth, (attention, mlp) in enumerate(zip(config.attention_schedule, config.mlp_schedule, strict=True)):
            window = config.sliding_window if config.layer_types[depth] == "sliding_attention" else None
            first, second = self.layers[attention], self.layers[mlp]
            states = states + first.self_attn(first.input_layernorm(states), rotary, seen, window, past_key_values, depth)
            states = states + second.mlp(second.post_attention_layernorm(states))
        return BaseModelOutputWithPast(last_hidden_state=self.norm(states), past_key_values=past_key_values)


class ArchfrontForCausalLM(ArchfrontPreTrainedModel, GenerationMixin):  # type: ignore[misc]
    """Tokens to the next token's logits, and to the loss of labels."""

    _tied_weights_keys = {"lm_head.weight": "model.embed_tokens.weight"}  # noqa: RUF012

    def __init__(self, config: ArchfrontConfig) -> None:
        super().__init__(config)
        self.model = ArchfrontModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int = 0,
        **others: Any,
    ) -> CausalLMOutputWithPast:
        """Logits [batch, tokens, vocab_size], the last so many where any are to be kept, and the loss of labels."""
        found = self.model(input_ids, attention_mask, position_ids, past_key_values, inputs_embeds, use_cache)
        logits = self.lm_head(found.last_hidden_state[:, -logits_to_keep:])
        loss = None
        if labels is not None:
            loss = self.loss_function(logits=logits, labels=labels, vocab_size=self.config.vocab_size, **others)
        return CausalLMOutputWithPast(loss=loss, logits=logits, past_key_values=found.past_key_values)


def rotary_angles(positions: Tensor, head_dim: int, theta: float, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Cosines and sines of RoPE, each [batch, 1, tokens, head_dim]."""
    places = torch.arange(0, head_dim, 2, device=positions.device, dtype=torch.float32)
    angles = positions[:, None, :, None].float() * theta ** (-places / head_dim)
    both = torch.cat((angles, angles), -1)
    return both.cos().to(dtype), both.sin().to(dtype)


def turned(heads: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Heads [batch, heads, tokens, head_dim] after RoPE, the first half of each turned against the second."""
    first, second = heads.chunk(2, -1)
    return heads * cosines + torch.cat((-second, first), -1) * sines


def seen_keys(queries: int, keys: int, window: int | None, seen: Tensor | None, device: torch.device) -> Tensor:
    """Whether each of the last `queries` places sees each of `keys` places, as scaled_dot_product_attention wants it.

    A place sees itself even where it is padding: a row of nothing has no softmax.
    """
    last, places = torch.arange(keys - queries, keys, device=device)[:, None], torch.arange(keys, device=device)[None]
    visible = places <= last
    if window is not None:
        visible &= places > last - window
    if seen is None:
        return visible
    padded = seen[:, None, None, -keys:].bool()
    return (visible & padded) | (places == last)
