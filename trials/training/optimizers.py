"""Which optimizer moves which parameter, and at what peak rate; and how several processes make the same step.

Each process has the whole network and all states of its optimizers, and takes its part of every batch. So Muon orthogonalises the averaged
gradient of a whole matrix in each of them alike, and nothing of it needs to be sent.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn

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


def own_part(batch: Tensor, part: tuple[int, int]) -> Tensor:
    """A process' rows of a batch [sequences, tokens]."""
    place, count = part
    return batch if count == 1 else batch.chunk(count)[place]


def average(parameters: Sequence[nn.Parameter], loss: Tensor) -> None:
    """Replace gradients and loss by their means over all processes, in one message; equal parts make them those of the whole batch."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    message = torch.cat([*(gradient.flatten() for gradient in gradients), loss.reshape(1)])
    torch.distributed.all_reduce(message)
    message /= torch.distributed.get_world_size()
    for gradient, mean in zip(gradients, torch.split(message[:-1], [gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))
    loss.copy_(message[-1])
