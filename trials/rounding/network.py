"""A network as a runtime computes it, for as long as a context lasts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from trials.network.decoder import Linear, Network
from trials.rounding.table import Rounding


@contextmanager
def rounded(network: Network, rounding: Rounding | None) -> Iterator[None]:
    """Inside, every product of the network has the runtime's weights and reads the runtime's activations; nothing changes where None.

    A stored matrix is rounded once, however often it runs. Gradients that are taken inside are those of the rounded network, and stay
    with the parameters, which are afterwards what they were: an optimizer that follows them is the straight-through estimator
    (arXiv 1308.3432, 1511.00363).
    """
    if rounding is None:
        yield
        return
    matrices = [parameter for parameter in network.parameters() if parameter.ndim == 2]
    table, tied = network.model.embed_tokens.weight, network.lm_head is None
    kept = [matrix.detach().clone() for matrix in matrices]
    with torch.no_grad():
        apart = nn.Parameter(rounding.matrix(table.detach())) if rounding.rows is not None and tied else None
        for matrix in matrices:
            rounds = rounding.rows if matrix is table and rounding.rows is not None else rounding.matrix
            matrix.copy_(rounds(matrix))
    readers: list[Network | Linear] = [network, *(module for module in network.modules() if isinstance(module, Linear))]
    for reader in readers:
        reader.as_read = rounding.activations
    network.output_apart = apart
    try:
        yield
    finally:
        network.output_apart = None
        for reader in readers:
            reader.as_read = None
        with torch.no_grad():
            for matrix, values in zip(matrices, kept, strict=True):
                matrix.copy_(values)
        if apart is not None and apart.grad is not None:
            table.grad = apart.grad if table.grad is None else table.grad + apart.grad
