"""Which optimizer moves which parameter, and at what peak rate."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

from trials.network.decoder import Network
from trials.study.spec import ProxySpec
from trials.training.muon import Muon
from trials.training.parametrization import scales

BETAS = (0.9, 0.95)
EPSILON = 1e-8
Parameters = list[nn.Parameter]
ByRate = Mapping[float, Parameters]
"""Parameters by their peak rate, relative to the recipe's."""


def make_optimizers(network: Network, proxy: ProxySpec) -> list[torch.optim.Optimizer]:
    """The recipe's optimizers; every stored parameter belongs to exactly one group, a shared one too.

    With `muon` the matrices of the blocks are Muon's and AdamW has the rest; with `adamw` it has everything. Weight decay works on
    the matrices of the blocks alone: norms, the embedding table and an untied output table have none. Each group keeps its peak
    rate as `initial_lr`; rates that the parametrization sets apart are groups of their own, and decay as fast as the others do.
    """
    found = scales(network, proxy)
    rest, matrices = defaultdict[float, Parameters](list), defaultdict[float, Parameters](list)
    for name, parameter in network.named_parameters():
        (matrices if is_block_matrix(name, parameter) else rest)[found[name].rate].append(parameter)
    optimizers = OPTIMIZERS[proxy.optimizer](rest, matrices, proxy)
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


def _muon_and_adamw(rest: ByRate, matrices: ByRate, proxy: ProxySpec) -> list[torch.optim.Optimizer]:
    return [_adamw(_groups(rest, proxy.learning_rate, 0.0)), Muon(_groups(matrices, proxy.muon_learning_rate, proxy.weight_decay))]


def _adamw_alone(rest: ByRate, matrices: ByRate, proxy: ProxySpec) -> list[torch.optim.Optimizer]:
    return [_adamw([*_groups(rest, proxy.learning_rate, 0.0), *_groups(matrices, proxy.learning_rate, proxy.weight_decay)])]


OPTIMIZERS = {"muon": _muon_and_adamw, "adamw": _adamw_alone}
"""Optimizers of the blocks' matrices and of the rest, each by its relative rate, by the name in `proxy.optimizer`."""


def _groups(parameters: ByRate, rate: float, decay: float) -> list[dict[str, Any]]:
    """A group for each relative rate; a step takes lr x weight_decay of a weight, which is the same for all."""
    return [{"params": several, "lr": rate * relative, "weight_decay": decay / relative} for relative, several in parameters.items()]


def _adamw(groups: list[dict[str, Any]]) -> torch.optim.AdamW:
    return torch.optim.AdamW(groups, betas=BETAS, eps=EPSILON, fused=True)
