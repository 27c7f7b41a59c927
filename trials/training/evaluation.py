"""How well a network predicts a split: always the same tokens, always computed in float32, also of weights that are rounded."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from analysis.records.training import Quality, RoundedQuality
from analysis.statistics.cluster_error import ratio_error
from trials.corpus.blocks import TokenBlocks
from trials.network.decoder import Network
from trials.rounding.network import rounded
from trials.rounding.table import Rounding
from trials.training.loss import tokens_at_once

TOKENS_AT_ONCE = 4096
"""Tokens of one pass: two million logits at a vocabulary of 512, where more were no faster on a CPU (docs/findings.md, 2026-11-22: what a
training step of the quickstart's shapes is made of)."""
Pause = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Scores:
    """What a network made of the tokens of a split's windows."""

    nats: NDArray[numpy.float64]
    """Nats of each predicted token, [windows, context]."""
    sizes: NDArray[numpy.float64]
    """Bytes of each predicted token, [windows, context]."""
    units: NDArray[numpy.int64] | None
    """Document of each predicted token, [windows, context]; None where that is not known."""
    hits: int
    """Predicted tokens that are the most probable one."""

    def quality(self) -> Quality:
        """Bits per byte are the nats over ln 2 and over the bytes; an end of document is predicted and has no bytes."""
        total, count = float(self.nats.ravel().sum()), self.nats.size
        units = self.units
        documents, error = (
            (None, None) if units is None else ratio_error(self.nats.ravel() / math.log(2), self.sizes.ravel(), units.ravel())
        )
        return Quality(
            loss=total / count,
            bits_per_byte=total / math.log(2) / float(self.sizes.sum()),
            documents=documents,
            standard_error=error if error is not None and math.isfinite(error) else None,
            next_token_accuracy=self.hits / count,
            tokens=count,
        )

    def difference_error(self, other: Scores) -> float | None:
        """Standard error of the difference in bits per byte from other scores of the same tokens; None of a single document or window."""
        windows = numpy.broadcast_to(numpy.arange(len(self.nats))[:, None], self.nats.shape)
        units = windows if self.units is None else self.units
        _, error = ratio_error((self.nats - other.nats).ravel() / math.log(2), self.sizes.ravel(), units.ravel())
        return error if error is not None and math.isfinite(error) else None


@torch.no_grad()  # not inference_mode: what the network keeps for later (RoPE tables) must stay usable in training
def score(network: Network, blocks: TokenBlocks, split: str, tokens: int, context_tokens: int, *, pause: Pause | None = None) -> Scores:
    """Scores of the split's evenly spread windows of `context_tokens`, `tokens` in all (rounded as `TokenBlocks.evaluation` does).

    `pause` is called before every pass.
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
    predicted = windows[:, 1:].cpu().numpy()
    nats = torch.cat(found).double().cpu().numpy().reshape(predicted.shape)
    return Scores(nats, blocks.bytes_per_token[predicted].astype(float), blocks.evaluated_units(split, tokens, context_tokens), hits)


def evaluate(network: Network, blocks: TokenBlocks, split: str, tokens: int, context_tokens: int, *, pause: Pause | None = None) -> Quality:
    """Quality in float32 on the windows of `score`."""
    return score(network, blocks, split, tokens, context_tokens, pause=pause).quality()


def evaluate_deployed(
    network: Network,
    blocks: TokenBlocks,
    split: str,
    tokens: int,
    context_tokens: int,
    rounding: Rounding | None,
    *,
    pause: Pause | None = None,
    known: Scores | None = None,
) -> Quality:
    """Quality on the windows of `score`, in float32 and beside it as a runtime rounds the network; in float32 alone where None does.

    `known` are the scores in float32, where the caller has them already.
    """
    plain = known or score(network, blocks, split, tokens, context_tokens, pause=pause)
    quality = plain.quality()
    if rounding is None:
        return quality
    with rounded(network, rounding):
        found = score(network, blocks, split, tokens, context_tokens, pause=pause)
    seen = found.quality()
    return replace(
        quality,
        rounded=RoundedQuality(
            runtime=rounding.runtime,
            precision=rounding.precision,
            activations=rounding.reads,
            loss=seen.loss,
            bits_per_byte=seen.bits_per_byte,
            next_token_accuracy=seen.next_token_accuracy,
            difference_error=found.difference_error(plain),
        ),
    )


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
