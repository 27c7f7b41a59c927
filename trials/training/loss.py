"""Cross-entropy in pieces, so that the logits of a batch never stand whole in memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

LOGITS_AT_ONCE = 1 << 22
"""Values of a piece's logits, 16 MiB in float32: larger ones leave the caches (docs/findings.md)."""
SMALLEST_PIECE = 128
"""Tokens; below that a product waits for the vocabulary's matrix to come from memory."""


def cross_entropy(states: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Mean nats per token of ``functional.cross_entropy(states @ weight.T, targets)``, for training.

    `states` [tokens, hidden_size] are what the output projection `weight` [vocab_size, hidden_size] reads, `targets` [tokens] the
    ids. Under autocast the products are in its type, as a linear layer's would be. The gradients of a piece are computed while its
    logits are there, as in Liger's loss (arXiv 2410.10989, section 3.2), so that no product is made twice; they can be asked for
    once.
    """
    loss: Tensor = _CrossEntropy.apply(states, weight, targets)  # type: ignore[no-untyped-call]
    return loss


def tokens_at_once(vocab_size: int) -> int:
    """Tokens of a piece."""
    return max(SMALLEST_PIECE, LOGITS_AT_ONCE // vocab_size)


class _CrossEntropy(torch.autograd.Function):
    """The loss and both gradients in one go; `backward` only scales them."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
        kind = states.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
        table, at_once = weight.to(dtype), tokens_at_once(len(weight))
        of_states, of_weight = torch.empty_like(states), torch.zeros_like(weight)
        nats = torch.zeros((), device=states.device)
        with torch.autocast(kind, enabled=False):
            split = (torch.split(whole, at_once) for whole in (states, targets, of_states))
            for some, wanted, of_some in zip(*split, strict=True):
                read = some.to(dtype)
                chances = functional.log_softmax(read @ table.T, -1, dtype=torch.float32)
                nats += functional.nll_loss(chances, wanted, reduction="sum")
                errors = _less_one_at(chances.exp_(), wanted).to(dtype)
                of_some.copy_(errors @ table)
                if dtype == weight.dtype:
                    of_weight.addmm_(errors.T, read)
                else:
                    of_weight += errors.T @ read
        ctx.gradients = of_states, of_weight
        ctx.tokens = len(targets)
        return nats / len(targets)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor, None]:
        of_states, of_weight = ctx.gradients
        ctx.gradients = None  # scaled in place, so they are of no use for a second time
        scale = upstream / ctx.tokens
        return of_states.mul_(scale), of_weight.mul_(scale), None


def _less_one_at(chances: Tensor, places: Tensor) -> Tensor:
    """`chances` [tokens, vocab_size] with one taken off at each token's place, in place: the gradient of its logits."""
    return chances.scatter_add_(1, places[:, None], chances.new_full((1, 1), -1.0).expand(len(places), 1))
