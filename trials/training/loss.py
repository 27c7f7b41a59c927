"""Cross-entropy in pieces, so that the logits of a batch never stand whole in memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

LOGITS_AT_ONCE = {"cpu": 1 << 22, "cuda": 1 << 27}
"""Values of a piece's logits, 16 MiB in float32: larger ones leave a processor's caches (docs/findings.md, 2026-11-22: the loss in pieces,
and the memory of a step). A GPU needs long products."""
SMALLEST_PIECE = 128
"""Tokens; below that a product waits for the vocabulary's matrix to come from memory."""


def cross_entropy(states: Tensor, weight: Tensor, targets: Tensor, *, compiled: bool = False) -> Tensor:
    """Mean nats per token of ``functional.cross_entropy(states @ weight.T, targets)``, for training.

    `states` [tokens, hidden_size] are what the output projection `weight` [vocab_size, hidden_size] reads, `targets` [tokens] the
    ids. Under autocast the products are in its type, as a linear layer's would be. The gradients of a piece are computed while its
    logits are there, as in Liger's loss (arXiv 2410.10989, section 3.2), so that no product is made twice; they can be asked for
    once. `compiled` has torch make one kernel of what a GPU would otherwise read and write the logits for half a dozen times.
    """
    loss: Tensor = _CrossEntropy.apply(states, weight, targets, compiled)  # type: ignore[no-untyped-call]
    return loss


def tokens_at_once(vocab_size: int, device: str = "cpu") -> int:
    """Tokens of a piece on that kind of device."""
    return max(SMALLEST_PIECE, LOGITS_AT_ONCE[device] // vocab_size)


def nats_and_errors(logits: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """The sum of nats of logits [tokens, vocab_size] for these targets, and its gradient, in the logits' type."""
    chances = functional.log_softmax(logits, -1, dtype=torch.float32)
    nats = functional.nll_loss(chances, wanted, reduction="sum")
    return nats, _less_one_at(chances.exp_(), wanted).to(logits.dtype)


@cache
def _compiled() -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """One of a process: torch compiles it for each vocabulary and keeps that."""
    return torch.compile(_nats_and_errors_as_written, dynamic=False)


def _nats_and_errors_as_written(logits: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """What `nats_and_errors` computes, in the words from which a compiler makes two passes over the logits."""
    chances = torch.log_softmax(logits.float(), -1)
    nats = -chances.gather(1, wanted[:, None]).sum()
    places = torch.arange(logits.shape[1], device=logits.device)
    return nats, (chances.exp() - (places == wanted[:, None]).float()).to(logits.dtype)


class _CrossEntropy(torch.autograd.Function):
    """The loss and both gradients in one go; `backward` only scales them."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, weight: Tensor, targets: Tensor, compiled: bool) -> Tensor:
        kind = states.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
        table, at_once = weight.to(dtype), tokens_at_once(len(weight), kind)
        judge = _compiled() if compiled else nats_and_errors
        of_states, of_weight = torch.empty_like(states), torch.zeros_like(weight)
        nats = torch.zeros((), device=states.device)
        with torch.autocast(kind, enabled=False):
            split = (torch.split(whole, at_once) for whole in (states, targets, of_states))
            for some, wanted, of_some in zip(*split, strict=True):
                read = some.to(dtype)
                of_piece, errors = judge(read @ table.T, wanted)
                nats += of_piece
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
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor, None, None]:
        of_states, of_weight = ctx.gradients
        ctx.gradients = None  # scaled in place, so they are of no use for a second time
        scale = upstream / ctx.tokens
        return of_states.mul_(scale), of_weight.mul_(scale), None, None


def _less_one_at(chances: Tensor, places: Tensor) -> Tensor:
    """`chances` [tokens, vocab_size] with one taken off at each token's place, in place: the gradient of its logits."""
    return chances.scatter_add_(1, places[:, None], chances.new_full((1, 1), -1.0).expand(len(places), 1))
