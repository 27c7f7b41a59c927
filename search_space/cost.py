"""What a shape costs, in closed form: parameters count what is stored once, FLOPs and cache what is executed.

Conventions: a multiply-add is 2 FLOPs and only matrix products count (Kaplan et al., arXiv 2001.08361, table 1); a training step
is three forward passes (ibid.); attention is counted dense, every query against all keys of its sequence or its window, as PaLM
(arXiv 2204.02311, appendix B) and torch's own counter do. Embedding look-ups cost no FLOPs.
"""

from __future__ import annotations

from search_space.architecture import Architecture
from search_space.errors import SpecError, quoted
from search_space.fields import OPTIONAL

BITS_PER_WEIGHT = {"float32": 32, "bfloat16": 16, "float16": 16, "int8": 8, "int4": 4}
ROUNDED_PRECISIONS = tuple(name for name, bits in BITS_PER_WEIGHT.items() if bits < 16)
"""Precisions in which weights are rounded to few bits."""
VECTORS = tuple(field.attention_vectors for field in OPTIONAL if field.attention_vectors is not None)


def attention_matrix_parameters(a: Architecture) -> int:
    """Weights of one block's query, key, value and output projections."""
    return 2 * a.hidden_size * a.head_dim * (a.num_attention_heads + a.num_key_value_heads)


def mlp_matrix_parameters(a: Architecture) -> int:
    """Weights of one block's MLP: three matrices where it is gated, two where not."""
    return (3 if a.mlp == "swiglu" else 2) * a.hidden_size * a.intermediate_size


def attention_vector_parameters(a: Architecture) -> int:
    """Weights of one attention beside its matrices: the norm in front of it, and what fields add that have vectors."""
    return a.hidden_size + sum(count(a) for count in VECTORS)


def embedding_parameters(a: Architecture) -> int:
    """Weights of the embedding table, and of the output projection where it is a table of its own."""
    return a.vocab_size * a.hidden_size * (1 if a.tie_word_embeddings else 2)


def non_embedding_parameters(a: Architecture) -> int:
    """All stored weights but the vocabulary's tables: matrices and vectors of the stored parts, and the final norm."""
    attentions = a.stored_attentions * (attention_matrix_parameters(a) + attention_vector_parameters(a))
    mlps = a.stored_mlps * (mlp_matrix_parameters(a) + a.hidden_size)
    return attentions + mlps + a.hidden_size


def parameters(a: Architecture) -> int:
    """All stored weights; equal to ``sum(p.numel() for p in network.parameters())``."""
    return embedding_parameters(a) + non_embedding_parameters(a)


def unrolled_parameters(a: Architecture) -> int:
    """Weights of a file that knows of no sharing and has every executed block, as `hf` and `gguf` exports do."""
    attention = attention_matrix_parameters(a) + attention_vector_parameters(a)
    blocks = a.num_hidden_layers * (attention + mlp_matrix_parameters(a) + a.hidden_size)
    return embedding_parameters(a) + blocks + a.hidden_size


def executed_matrix_parameters(a: Architecture) -> int:
    """Weights that a token is multiplied with on its way: each executed block's matrices and the output projection."""
    return a.num_hidden_layers * (attention_matrix_parameters(a) + mlp_matrix_parameters(a)) + a.vocab_size * a.hidden_size


def attended_keys(a: Architecture, tokens: int) -> int:
    """Keys that one query meets, summed over the executed blocks, in a sequence (or cache) of that many tokens."""
    sliding = a.layer_types.count("sliding_attention")
    window = min(tokens, a.sliding_window) if a.sliding_window is not None else tokens
    return (a.num_hidden_layers - sliding) * tokens + sliding * window


def decode_flops(a: Architecture, cached_tokens: int) -> int:
    """Forward FLOPs of one new token with that many tokens in the cache, the new one included."""
    return 2 * executed_matrix_parameters(a) + 4 * a.num_attention_heads * a.head_dim * attended_keys(a, cached_tokens)


def forward_flops(a: Architecture, context_tokens: int) -> int:
    """FLOPs of one uncached pass over one sequence, logits at every position."""
    return context_tokens * decode_flops(a, context_tokens)


def training_flops(a: Architecture, context_tokens: int) -> int:
    """FLOPs of one training step over one sequence: forward, and twice that backward."""
    return 3 * forward_flops(a, context_tokens)


def training_flops_per_token(a: Architecture, context_tokens: int) -> int:
    """6 N + 12 layers heads head_dim context, N the executed matrices: the numerator of model FLOPs utilisation."""
    return 3 * decode_flops(a, context_tokens)


def kv_cache_bytes(a: Architecture, tokens: int, bytes_per_value: int = 2) -> int:
    """Keys and values of every executed block for one sequence; a sliding block keeps its window only."""
    return 2 * a.num_key_value_heads * a.head_dim * attended_keys(a, tokens) * bytes_per_value


def weight_bytes(a: Architecture, precision: str = "float16") -> int:
    """Bytes of the stored weights at a nominal precision, scales and file headers left out; an int4 byte holds two."""
    if precision not in BITS_PER_WEIGHT:
        raise SpecError(f"precision must be one of {', '.join(BITS_PER_WEIGHT)}, found {quoted(precision)}; choose one of them")
    return (parameters(a) * BITS_PER_WEIGHT[precision] + 7) // 8


def decode_bytes(a: Architecture, cached_tokens: int, precision: str = "float16", bytes_per_value: int = 4) -> int:
    """Bytes read for one new token: weights of each executed block and of the output at a nominal precision, and the cache.

    A shared block counts each time it runs: it is read again unless it stays in a cache. `bytes_per_value` is of the cache.
    """
    weights = (executed_matrix_parameters(a) * BITS_PER_WEIGHT[precision] + 7) // 8
    return weights + kv_cache_bytes(a, cached_tokens, bytes_per_value)
