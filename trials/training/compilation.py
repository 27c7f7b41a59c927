"""A network's blocks as torch compiles them: one compilation for all blocks of a shape, for its training steps alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch._dynamo import config

from trials.network.decoder import Network, run_block
from trials.network.kv_cache import Slot

SHAPES_OF_A_PROCESS = 1 << 16
"""Shapes that may be compiled; after 8, torch would run the blocks as they are and say so nowhere that a record could tell."""


@contextmanager
def compiled_blocks(network: Network, compiled: bool) -> Iterator[None]:
    """Inside, steps with gradients go through compiled blocks where `compiled`; evaluations and hooks elsewhere see the plain ones.

    All blocks run the same code with their weights as its arguments, so that torch compiles it once for each kind of block and each
    size of a batch, however deep the shape is. That takes a C++ compiler, and seconds to minutes.
    """
    if not compiled:
        yield
        return
    through = torch.compile(run_block, dynamic=False)

    def run(block: nn.Module, states: Tensor, rotary: tuple[Tensor, Tensor], slot: Slot | None, start: int | Tensor) -> Tensor:
        return (through if torch.is_grad_enabled() else run_block)(block, states, rotary, slot, start)

    network.model.run_block = run
    try:
        with config.patch(recompile_limit=SHAPES_OF_A_PROCESS, accumulated_recompile_limit=SHAPES_OF_A_PROCESS):
            yield
    finally:
        network.model.run_block = run_block
