"""How well a network predicts a split: always the same tokens, always in float32."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch.nn import functional

from analysis.record import Quality
from trials.network import Network
from trials.text.blocks import TokenBlocks

LOGITS_AT_ONCE = 1 << 21
"""Values of the logits of one pass, 8 MiB in float32: larger passes were no faster on a CPU."""


@torch.no_grad()  # not inference_mode: what the network keeps for later (RoPE tables) must stay usable in training
def evaluate(
    network: Network, blocks: TokenBlocks, split: str, tokens: int, context_tokens: int, *, pause: Callable[[], object] | None = None
) -> Quality:
    """Quality on the split's evenly spread windows of `context_tokens`, `tokens` in all (rounded as `TokenBlocks.evaluation` does).

    Bits per byte are the nats of all predicted tokens over ln 2 and over the bytes of those tokens; an end of document is predicted
    and has no bytes. `pause` is called before every pass.
    """
    device = network.output_weight.device
    windows = torch.from_numpy(blocks.evaluation(split, tokens, context_tokens)).to(device)
    at_once = max(1, LOGITS_AT_ONCE // (context_tokens * blocks.vocab_size))
    nats, hits = 0.0, 0
    for rows in torch.split(windows, at_once):
        if pause is not None:
            pause()
        with torch.autocast(device.type, enabled=False):
            logits = network(rows[:, :-1]).flatten(0, 1).float()
        targets = rows[:, 1:].flatten()
        nats += functional.cross_entropy(logits, targets, reduction="sum").item()
        hits += int((logits.argmax(-1) == targets).sum().item())
    predicted = windows[:, 1:].cpu().numpy()
    size = int(blocks.bytes_per_token[predicted].sum())
    return Quality(
        loss=nats / predicted.size,
        bits_per_byte=nats / math.log(2) / size,
        next_token_accuracy=hits / predicted.size,
        tokens=predicted.size,
    )
