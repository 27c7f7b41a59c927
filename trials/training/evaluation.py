"""How well a network predicts a split: always the same tokens, always in float32."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from analysis.records.training import Quality
from analysis.statistics.cluster_error import ratio_error
from trials.corpus.blocks import TokenBlocks
from trials.network.decoder import Network
from trials.training.loss import tokens_at_once

TOKENS_AT_ONCE = 4096
"""Tokens of one pass: two million logits at a vocabulary of 512, where more were no faster on a CPU (docs/findings.md)."""


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
    found: list[Tensor] = []
    hits = 0
    for rows in torch.split(windows, max(1, TOKENS_AT_ONCE // context_tokens)):
        if pause is not None:
            pause()
        with torch.autocast(device.type, enabled=False):
            missed, hit = _score(network.hidden_states(rows[:, :-1]).flatten(0, 1), network.output_weight, rows[:, 1:].flatten())
        found.append(missed)
        hits += hit
    nats = torch.cat(found).double().cpu().numpy()
    predicted = windows[:, 1:].cpu().numpy()
    sizes = blocks.bytes_per_token[predicted].ravel().astype(float)
    units = blocks.evaluated_units(split, tokens, context_tokens)
    documents, error = (None, None) if units is None else ratio_error(nats / math.log(2), sizes, units.ravel())
    return Quality(
        loss=float(nats.sum()) / predicted.size,
        bits_per_byte=float(nats.sum()) / math.log(2) / float(sizes.sum()),
        documents=documents,
        standard_error=error if error is not None and math.isfinite(error) else None,
        next_token_accuracy=hits / predicted.size,
        tokens=predicted.size,
    )


def evaluate_named(
    network: Network, blocks: TokenBlocks, tokens: int, context_tokens: int, *, pause: Callable[[], object] | None = None
) -> dict[str, Quality]:
    """Quality on each of the blocks' named validation sets, as `evaluate` has it."""
    return {name: evaluate(network, blocks, name, tokens, context_tokens, pause=pause) for name in blocks.validations}


def _score(states: Tensor, weight: Tensor, targets: Tensor) -> tuple[Tensor, int]:
    """Nats of each of the targets, [targets], and how many of them are the most probable token; the logits stand in memory in pieces."""
    at_once = tokens_at_once(len(weight), weight.device.type)
    nats: list[Tensor] = []
    hits = 0
    for some, wanted in zip(torch.split(states, at_once), torch.split(targets, at_once), strict=True):
        logits = functional.linear(some, weight).float()
        nats.append(functional.cross_entropy(logits, wanted, reduction="none"))
        hits += int((logits.argmax(-1) == wanted).sum().item())
    return torch.cat(nats), hits
