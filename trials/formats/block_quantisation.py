"""Weights in int8 or int4 with one float32 scale per block of a row: the layout of ONNX Runtime's MatMulNBits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy
from numpy.typing import NDArray

from trials.catalogue.refusals import BLOCK_WEIGHTS


@dataclass(frozen=True, slots=True)
class Quantised:
    """One matrix [out, in], rounded."""

    codes: NDArray[numpy.uint8]
    """[out, blocks, BLOCK * bits / 8]: a code less 2**(bits - 1), times its scale, is the weight; a byte of two has the first one low."""
    scales: NDArray[numpy.float32]
    """[out, blocks]."""
    bits: int
    """8 or 4."""
    columns: int
    """Weights of a row; the last block is filled up with zeros."""

    def signed_codes(self) -> NDArray[numpy.int8]:
        """The codes less 2**(bits - 1), a byte for each, int8 [out, blocks * block]."""
        codes = self.codes
        if self.bits == 4:
            codes = numpy.stack((codes & 15, codes >> 4), axis=-1)
        signed: NDArray[numpy.int8] = (codes.astype(numpy.int16) - 2 ** (self.bits - 1)).astype(numpy.int8)
        return signed.reshape(len(codes), -1)

    def dequantised(self) -> NDArray[numpy.float32]:
        """The matrix that is really multiplied with, float32 [out, in]."""
        blocks = self.signed_codes().reshape(*self.scales.shape, -1)
        weights: NDArray[numpy.float32] = blocks.astype(numpy.float32) * self.scales[..., None]
        return weights.reshape(len(weights), -1)[:, : self.columns]


def quantise(weight: NDArray[numpy.float32], bits: int, block: int = BLOCK_WEIGHTS) -> Quantised:
    """Round a matrix [out, in] symmetrically: the largest weight of a block, sign aside, has the largest code."""
    rows, columns = weight.shape
    blocks = -(-columns // block)
    padded = numpy.zeros((rows, blocks, block), numpy.float32)
    padded.reshape(rows, -1)[:, :columns] = weight
    middle = 2 ** (bits - 1)
    scales = numpy.abs(padded).max(axis=2) / (middle - 1)
    divisors = numpy.where(scales > 0, scales, 1)[..., None]
    codes = (numpy.rint(padded / divisors) + middle).astype(numpy.uint8)
    if bits == 4:
        codes = codes[..., 0::2] | codes[..., 1::2] << 4
    return Quantised(codes, scales, bits, columns)
