"""A network that tests compare."""

from __future__ import annotations

import torch

from search_space.architecture import Architecture
from trials.network.decoder import Network


def spread_out(architecture: Architecture) -> Network:
    """A network whose logits differ much from token to token, so that a wrong part cannot hide behind small weights."""
    network = Network(architecture, seed=1).eval()
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(8) if parameter.ndim == 2 else parameter.uniform_(0.5, 1.5, generator=generator)
    return network
