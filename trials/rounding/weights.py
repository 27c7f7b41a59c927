"""A matrix as a runtime's files hold it: rounded to few bits in blocks of a row, and back in float32; what the formats write, in torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from trials.catalogue.refusals import BLOCK_WEIGHTS

RoundMatrix = Callable[[Tensor], Tensor]
"""A matrix [out, in], float32, as it is multiplied with."""


def symmetric(bits: int, block: int | None, scales: Literal["float32", "bfloat16"] = "float32") -> RoundMatrix:
    """Codes from -(2**(bits-1) - 1) to its opposite, the largest weight of a block having the largest; a tie goes to the even code.

    A `block` of weights of a row has a scale; None stands for the whole row. It is what `trials.formats.block_quantisation.quantise`
    writes, bit for bit; with bfloat16 the scale is rounded after the codes were found, as XNNPACK keeps those of int4.
    """

    def rounded(weight: Tensor) -> Tensor:
        blocks = _blocks(weight, block or weight.shape[1])
        scale = blocks.abs().amax(-1, keepdim=True) / (2 ** (bits - 1) - 1)
        codes = (blocks / torch.where(scale > 0, scale, 1.0)).round_()
        return _joined(codes * (scale if scales == "float32" else scale.bfloat16().float()), weight)

    return rounded


def q8_0(weight: Tensor) -> Tensor:
    """llama.cpp's q8_0 (ggml-quants.c): int8 in blocks of 32, the scale kept in float16; a tie goes away from zero."""
    blocks = _blocks(weight, BLOCK_WEIGHTS)
    scale = blocks.abs().amax(-1, keepdim=True) / 127
    scaled = blocks * _inverse(scale)
    size = scaled.abs()
    whole = size.floor()
    return _joined(scaled.sign() * (whole + (2 * (size - whole)).floor()) * scale.half().float(), weight)


def q4_0(weight: Tensor) -> Tensor:
    """llama.cpp's q4_0 (ggml-quants.c): codes -8 to 7 in blocks of 32, the weight largest in size having -8; float16 scales."""
    blocks = _blocks(weight, BLOCK_WEIGHTS)
    scale = blocks.gather(-1, blocks.abs().argmax(-1, keepdim=True)) / -8
    codes = (blocks * _inverse(scale) + 8.5).trunc_().clamp_(0, 15)
    return _joined((codes - 8) * scale.half().float(), weight)


def _inverse(scale: Tensor) -> Tensor:
    return torch.where(scale == 0, 0.0, 1 / scale)


def _blocks(weight: Tensor, block: int) -> Tensor:
    """[out, blocks, block]; the last block is filled up with zeros."""
    rows, columns = weight.shape
    return functional.pad(weight.float(), (0, -columns % block)).view(rows, -1, block)


def _joined(blocks: Tensor, weight: Tensor) -> Tensor:
    """The reverse of `_blocks`."""
    return blocks.reshape(len(weight), -1)[:, : weight.shape[1]]
