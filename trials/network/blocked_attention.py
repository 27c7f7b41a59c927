"""Causal attention for training on a CPU: queries in blocks, each against the keys that it can see, probabilities kept for the gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

BLOCK_QUERIES = 32
"""Queries of a block."""
SHORTEST, LONGEST = 128, 256
"""Sequences for which it is used: there it takes 0.6 to 0.9 of torch's time, below more, and beyond the probabilities take much memory
(docs/findings.md, 2026-11-25: what a training step on a CPU is made of, and what of it could be saved)."""


def pays(query: Tensor, sequence: int) -> bool:
    """Whether a causal training step over so many tokens is faster through it."""
    return (
        SHORTEST <= sequence <= LONGEST
        and query.device.type == "cpu"
        and query.dtype == torch.float32
        and torch.is_grad_enabled()
        and not torch.compiler.is_compiling()
    )


def blocked_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """What `scaled_dot_product_attention` gives where `is_causal` and `enable_gqa`, with gradients that can be asked for once.

    `query` is [batch, heads, sequence, head_dim], `key` and `value` [batch, key_value_heads, sequence, head_dim].
    """
    mixed: Tensor = _Blocked.apply(query, key, value)  # type: ignore[no-untyped-call]
    return mixed


class _Blocked(torch.autograd.Function):
    """Query heads that share a key-value head are rows of one product; a block's diagonal is the only place that needs a mask."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        batch, heads, sequence, width = query.shape
        shared = key.shape[1]
        keys, values = (whole.reshape(batch * shared, sequence, width) for whole in (key, value))
        mixed = query.new_empty(batch, sequence, heads, width).transpose(1, 2)
        unseen = query.new_full((BLOCK_QUERIES, BLOCK_QUERIES), -torch.inf).triu_(1)
        kept = []
        for start in range(0, sequence, BLOCK_QUERIES):
            end = min(start + BLOCK_QUERIES, sequence)
            rows = query[:, :, start:end].reshape(batch * shared, -1, width)
            scores = torch.bmm(rows, keys[:, :end].mT).mul_(width**-0.5)
            scores.view(batch * shared, -1, end - start, end)[..., start:end] += unseen[: end - start, : end - start]
            chances = torch.softmax(scores, -1)
            mixed[:, :, start:end] = torch.bmm(chances, values[:, :end]).view(batch, heads, -1, width)
            kept += [rows, chances]
        ctx.save_for_backward(keys, values, *kept)
        ctx.shape = query.shape
        return mixed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        keys, values, *kept = ctx.saved_tensors
        batch, heads, sequence, width = ctx.shape
        of_query, of_keys, of_values = upstream.new_empty(ctx.shape), torch.zeros_like(keys), torch.zeros_like(values)
        for start, rows, chances in zip(range(0, sequence, BLOCK_QUERIES), kept[::2], kept[1::2], strict=True):
            end = start + rows.shape[1] * len(rows) // (batch * heads)
            of_mixed = upstream[:, :, start:end].reshape(len(keys), -1, width)
            of_values[:, :end].baddbmm_(chances.mT, of_mixed)
            of_chances = torch.bmm(of_mixed, values[:, :end].mT)
            of_scores = torch._softmax_backward_data(of_chances, chances, -1, chances.dtype)
            of_query[:, :, start:end] = torch.bmm(of_scores, keys[:, :end]).view(batch, heads, -1, width)
            of_keys[:, :end].baddbmm_(of_scores.mT, rows, alpha=width**-0.5)
        whole = (batch, len(keys) // batch, sequence, width)
        return of_query.mul_(width**-0.5), of_keys.view(whole), of_values.view(whole)
