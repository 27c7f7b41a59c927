"""What a shape's width and depth do to its initial weights and its learning rates, so that one rate suits every shape.

No multiplier is left for the forward pass. An optimizer whose step does not depend on the size of the gradient (Adam, Muon) cannot
tell a matrix behind a multiplier c from a matrix whose initial weights and rate are c times as large (arXiv 2203.03466, lemma
J.1), so every multiplier stands in the weights from the beginning, and the network and its exports are those of `standard`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from trials.network.decoder import Network
from trials.study.spec import ProxySpec

MLP_RATIO = 8 / 3
"""MLP ratio of the base shape, whose heads span its width: what a matrix's inputs and outputs are compared with."""
FOLLOWED: dict[str, tuple[str, ...]] = {"standard": (), "mup": ("width",), "completep": ("width", "depth")}
"""What of a shape its initial weights and its rates follow, by the name in `proxy.parametrization`."""
RESIDUAL = ("o_proj", "down_proj")
"""What writes to the residual stream."""


@dataclass(frozen=True, slots=True)
class Scale:
    """What a parameter has of the standard parametrization's."""

    initial: float = 1.0
    """Initial weights, relative to the standard ones."""
    rate: float = 1.0
    """Learning rate, relative to the study's."""


def scales(network: Network, proxy: ProxySpec) -> dict[str, Scale]:
    """The scale of every stored parameter by its name; docs/method.md has the table and where it comes from."""
    names = dict(network.named_parameters())
    if not FOLLOWED[proxy.parametrization]:
        return dict.fromkeys(names, Scale())
    return {name: _scale(name, parameter, network, proxy) for name, parameter in names.items()}


@torch.no_grad()
def reparametrize(network: Network, proxy: ProxySpec) -> None:
    """Bring the initial weights of a network just built to the study's parametrization."""
    found = scales(network, proxy)
    for name, parameter in network.named_parameters():
        if found[name].initial != 1:
            parameter.mul_(found[name].initial)


def _scale(name: str, parameter: torch.Tensor, network: Network, proxy: ProxySpec) -> Scale:
    base, shape = proxy.base, network.architecture
    if name == "model.norm.weight":  # its gain is the multiplier of the logits, also where the output table is the embedding's
        output = base.hidden_size / shape.hidden_size
        return Scale(output, output)
    role = name.split(".")[-2]
    scores = "q_norm" if shape.qk_norm else "q_proj"  # what makes scores larger; a norm takes the size from what is before it
    heads = math.sqrt(base.head_dim / shape.head_dim) if role == scores else 1.0  # scores over head_dim instead of over its root
    if parameter.ndim != 2 or not role.endswith("_proj"):
        return Scale(heads, heads)
    rows, columns = parameter.shape
    is_down = role == "down_proj"
    inputs = columns / (base.hidden_size * (MLP_RATIO if is_down else 1))
    spectral = math.sqrt(min(1.0, rows / columns) * (MLP_RATIO if is_down else 1))  # Muon itself knows max(1, rows / columns)
    rate = spectral if proxy.optimizer == "muon" else 1 / inputs
    initial = 1 / math.sqrt(inputs)
    initial, rate = initial * heads, rate * heads
    if role in RESIDUAL and "depth" in FOLLOWED[proxy.parametrization]:
        depth = base.num_hidden_layers / shape.num_hidden_layers
        initial, rate = initial * math.sqrt(depth), rate * depth  # the standard ones have the other root of the depth already
    return Scale(initial, rate)
