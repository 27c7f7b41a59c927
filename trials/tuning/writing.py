"""What a model writes after a prompt: the likeliest token each time, or drawn ones, to what ends an answer."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch

from trials.network.decoder import Network
from trials.network.kv_cache import Cache

LONGEST_ANSWER = 256
"""Tokens of a written answer."""


@torch.inference_mode()
def written_ids(
    network: Network,
    prompt: Sequence[int],
    ends: Collection[int],
    most: int = LONGEST_ANSWER,
    temperature: float = 0.0,
    chance: torch.Generator | None = None,
) -> list[int]:
    """Ids after a prompt, `most` at most, what ends them left out; drawn by `chance` where the temperature is above 0."""
    cache, found = Cache(network.architecture, 1, len(prompt) + most), []
    step = torch.tensor([list(prompt)])
    for _ in range(most):
        logits = network(step, cache)[0, -1]
        if temperature:
            following = int(torch.multinomial((logits.float() / temperature).softmax(-1), 1, generator=chance))
        else:
            following = int(logits.argmax())
        if following in ends:
            break
        found.append(following)
        step = torch.tensor([[following]])
    return found
