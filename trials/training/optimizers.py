"""Which optimizer moves which parameter, and at what peak rate."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from trials.study import ProxySpec
from trials.training.muon import Muon

BETAS = (0.9, 0.95)
EPSILON = 1e-8


def make_optimizers(network: nn.Module, proxy: ProxySpec) -> list[torch.optim.Optimizer]:
    """The recipe's optimizers; every stored parameter belongs to exactly one group, a shared one too.

    With `muon` the matrices of the blocks are Muon's and AdamW has the rest; with `adamw` it has everything. Weight decay works on
    the matrices of the blocks alone: norms, the embedding table and an untied output table have none. Each group keeps its peak
    rate as `initial_lr`.
    """
    matrices = [p for name, p in network.named_parameters() if is_block_matrix(name, p)]
    rest = [p for name, p in network.named_parameters() if not is_block_matrix(name, p)]
    if proxy.optimizer == "muon":
        optimizers = [
            _adamw([{"params": rest, "weight_decay": 0.0}], proxy),
            Muon(matrices, lr=proxy.muon_learning_rate, weight_decay=proxy.weight_decay),
        ]
    else:
        optimizers = [_adamw([{"params": rest, "weight_decay": 0.0}, {"params": matrices, "weight_decay": proxy.weight_decay}], proxy)]
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
    return optimizers


def is_block_matrix(name: str, parameter: nn.Parameter) -> bool:
    """Whether a parameter is one of a block's projections, as opposed to a norm or a table of the vocabulary."""
    return name.startswith("model.layers.") and parameter.ndim == 2


def set_rates(optimizers: Iterable[torch.optim.Optimizer], factor: float) -> None:
    """Bring every group to that share of its peak rate."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor


def _adamw(groups: list[dict[str, object]], proxy: ProxySpec) -> torch.optim.AdamW:
    return torch.optim.AdamW(groups, lr=proxy.learning_rate, betas=BETAS, eps=EPSILON, fused=True)
