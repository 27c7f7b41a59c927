"""Ways to make a trained model smaller: fewer bits a weight, as runtimes round it, its smallest weights left out, or both."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trials.catalogue.refusals import BLOCK_WEIGHTS
from trials.catalogue.ways import WayName
from trials.network.decoder import Network
from trials.rounding.network import rounded
from trials.rounding.table import ROUNDINGS, Rounding


@dataclass(frozen=True, slots=True)
class Storage:
    """What a matrix takes in a file."""

    bits: int
    """Bits of each weight's code."""
    block: int | None = None
    """Weights of a row that share a scale; None for the whole row."""
    scale_bytes: int = 0

    def matrix_bytes(self, rows: int, columns: int, left_out: float = 0.0) -> int:
        """Bytes of a matrix [rows, columns]; where a share is left out, of the others and of a bit a weight that says which they are."""
        blocks = -(-columns // (self.block or columns))
        held = rows * (columns if self.block is None else blocks * self.block)
        codes = held if not left_out else rows * columns - pruned_weights(rows * columns, left_out)
        mask = -(-rows * columns // 8) if left_out else 0
        return -(-codes * self.bits // 8) + rows * blocks * self.scale_bytes + mask


@dataclass(frozen=True, slots=True)
class Way:
    """One way, by its name; the model as it was trained where nothing is rounded or left out."""

    name: str
    matrices: Storage
    """How every matrix is kept."""
    rows: Storage | None = None
    """How the embedding's table is kept beside the output projection that is tied to it; None where one table serves for both."""
    rounding: Rounding | None = None
    left_out: float = 0.0
    """Share of each matrix of the blocks, those of the smallest weights, that is 0."""

    @contextmanager
    def applied(self, network: Network) -> Iterator[None]:
        """Inside, the network computes as it would when kept so; afterwards it is what it was."""
        with _pruned(network, self.left_out), rounded(network, self.rounding):
            yield

    def stored_bytes(self, network: Network) -> int:
        """Bytes of every stored weight, each once, with scales and masks; norms and biases in float32, headers left out."""
        table = network.model.embed_tokens.weight
        tied = network.lm_head is None
        total = 0
        for parameter in network.parameters():
            if parameter.ndim != 2:
                total += 4 * parameter.numel()
                continue
            size = parameter.shape[0], parameter.shape[1]
            if parameter is table and self.rows is not None:
                total += self.rows.matrix_bytes(*size) + (self.matrices.matrix_bytes(*size) if tied else 0)
            else:
                is_of_a_block = parameter is not table and (tied or parameter is not network.output_weight)
                total += self.matrices.matrix_bytes(*size, self.left_out if is_of_a_block else 0.0)
        return total


def pruned_weights(weights: int, share: float) -> int:
    """How many of so many weights a share is."""
    return int(weights * share)


@contextmanager
def _pruned(network: Network, share: float) -> Iterator[None]:
    """Inside, the smallest weights of each matrix of the blocks are 0 (Han et al. 2015, arXiv 1506.02626, each matrix by itself)."""
    if not share:
        yield
        return
    matrices = [parameter for parameter in network.model.layers.parameters() if parameter.ndim == 2]
    kept = [matrix.detach().clone() for matrix in matrices]
    with torch.no_grad():
        for matrix in matrices:
            matrix.copy_(without_smallest(matrix, share))
    try:
        yield
    finally:
        with torch.no_grad():
            for matrix, values in zip(matrices, kept, strict=True):
                matrix.copy_(values)


def without_smallest(matrix: Tensor | nn.Parameter, share: float) -> Tensor:
    """The matrix with that share of its weights, the smallest in size, at 0; of equal ones the later go first."""
    flat = matrix.detach().flatten()
    order = flat.abs().argsort(descending=True, stable=True)
    found = flat.clone()
    found[order[len(flat) - pruned_weights(len(flat), share) :]] = 0
    return found.view_as(matrix)


def _half(weight: Tensor) -> Tensor:
    return weight.half().float()


HALF = Rounding(runtime="file", precision="float16", matrix=_half)
"""A matrix as a file of 16 bits keeps it; no runtime is meant."""
_BLOCKS_FLOAT32 = {bits: Storage(bits, BLOCK_WEIGHTS, 4) for bits in (8, 4)}
_BLOCKS_FLOAT16 = {bits: Storage(bits, BLOCK_WEIGHTS, 2) for bits in (8, 4)}
STORED = {
    ("onnxruntime", "int8"): _BLOCKS_FLOAT32[8],
    ("onnxruntime", "int4"): _BLOCKS_FLOAT32[4],
    ("openvino", "int8"): _BLOCKS_FLOAT32[8],
    ("openvino", "int4"): _BLOCKS_FLOAT32[4],
    ("llama.cpp", "int8"): _BLOCKS_FLOAT16[8],
    ("llama.cpp", "int4"): _BLOCKS_FLOAT16[4],
    ("executorch", "int8"): Storage(8, None, 4),
    ("executorch", "int4"): _BLOCKS_FLOAT16[4],
}
"""How the files of each rounding keep a matrix, by runtime and precision."""
STORED_ROWS = {("executorch", "int4"): _BLOCKS_FLOAT32[4]}
"""How they keep the embedding's table where that is another one."""


def way_of(named: WayName) -> Way:
    """The way of a name."""
    if named.rounding is None:
        return Way(named.name, Storage(32), left_out=named.left_out)
    if named.rounding == (HALF.runtime, HALF.precision):
        return Way(named.name, Storage(16), rounding=HALF, left_out=named.left_out)
    return Way(named.name, STORED[named.rounding], STORED_ROWS.get(named.rounding), ROUNDINGS[named.rounding], named.left_out)
