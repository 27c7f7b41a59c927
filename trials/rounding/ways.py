"""Ways to make a trained model smaller: fewer bits a weight, as runtimes round it, its smallest weights left out, or both."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trials.catalogue.ways import WayName
from trials.network.decoder import Network
from trials.rounding.network import rounded
from trials.rounding.storage import Storage, pruned_weights
from trials.rounding.table import ROUNDINGS, Rounding


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


HALF = Rounding(runtime="file", precision="float16", matrix=_half, stored=Storage(16))
"""A matrix as a file of 16 bits keeps it; no runtime is meant."""


def way_of(named: WayName) -> Way:
    """The way of a name."""
    if named.rounding is None:
        return Way(named.name, Storage(32), left_out=named.left_out)
    row = HALF if named.rounding == (HALF.runtime, HALF.precision) else ROUNDINGS[named.rounding]
    return Way(named.name, row.stored, row.rows_stored, row, named.left_out)
