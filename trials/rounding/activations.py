"""What a product of rounded weights reads: activations in int8, and back in float32. Gradients go straight through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from trials.catalogue.refusals import BLOCK_WEIGHTS

RoundStates = Callable[[Tensor], Tensor]
"""States [..., in] as a product reads them."""
LOWEST, HIGHEST = -128, 127


def by_block(states: Tensor) -> Tensor:
    """One scale for 32 values, the largest of which has the code 127: ONNX Runtime's MatMulNBits at accuracy level 4 (mlas, CompInt8)."""
    return _rounded(states, _by_block)


def by_token(states: Tensor) -> Tensor:
    """A scale and a zero for each token, so that its smallest and largest value and 0 span int8: XNNPACK's qd8."""
    return _rounded(states, _by_token)


def _by_block(states: Tensor) -> Tensor:
    columns = states.shape[-1]
    blocks = functional.pad(states, (0, -columns % BLOCK_WEIGHTS)).reshape(*states.shape[:-1], -1, BLOCK_WEIGHTS)
    largest = blocks.abs().amax(-1, keepdim=True)
    codes = (blocks * torch.where(largest > 0, 127 / largest, 0.0)).round()
    return (codes * (largest / 127)).flatten(-2)[..., :columns]


def _by_token(states: Tensor) -> Tensor:
    low, high = states.amin(-1, keepdim=True).clamp_max(0), states.amax(-1, keepdim=True).clamp_min(0)
    steps = torch.where(high > low, (HIGHEST - LOWEST) / (high - low), 1.0)
    at_low, at_high = low * steps, high * steps
    zero = torch.where((LOWEST + at_low) + (HIGHEST + at_high) > 0, LOWEST - at_low, HIGHEST - at_high).clamp(LOWEST, HIGHEST).round()
    return ((states * steps).round() + zero).clamp(LOWEST, HIGHEST).sub(zero) * (1 / steps)


class _StraightThrough(torch.autograd.Function):
    """Rounding whose gradient is that of doing nothing (Bengio et al. 2013, arXiv 1308.3432)."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, how: RoundStates) -> Tensor:
        return how(states.float()).to(states.dtype)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        return upstream, None


def _rounded(states: Tensor, how: RoundStates) -> Tensor:
    found: Tensor = _StraightThrough.apply(states, how)  # type: ignore[no-untyped-call]
    return found
