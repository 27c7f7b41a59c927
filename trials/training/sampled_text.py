"""What a trained network writes: a few tokens sampled after the beginning of a text that it has not seen."""

from __future__ import annotations

import torch

from trials.corpus.blocks import TokenBlocks
from trials.network.decoder import Network

BEGINNING_TOKENS, SAMPLED_TOKENS = 16, 64
"""Tokens of the test split that are given, and tokens that are written after them: a sentence or two of a small vocabulary."""
TEMPERATURE = 0.8
"""What logits are divided by: below 1, for of a short training's long tail of unlikely tokens most are noise."""
TEXT_SEED = 0


def continuation(network: Network, blocks: TokenBlocks, context_tokens: int) -> tuple[list[int], list[int]]:
    """The first tokens of the test split, and those that the network samples after them, on its own device.

    It sees no more than the `context_tokens` before each, as in its training; special tokens, which stand for no text, are not drawn.
    """
    generator = torch.Generator().manual_seed(TEXT_SEED)
    beginning = blocks.test[: min(BEGINNING_TOKENS, context_tokens)].tolist()
    silent, tokens = torch.from_numpy(blocks.bytes_per_token == 0), list(beginning)
    device = network.output_weight.device
    with torch.no_grad():
        for _ in range(SAMPLED_TOKENS):
            seen = torch.tensor([tokens[-context_tokens:]], device=device)
            logits = network(seen)[0, -1].float().cpu().masked_fill(silent, -torch.inf)
            tokens.append(int(torch.multinomial((logits / TEMPERATURE).softmax(0), 1, generator=generator)))
    return beginning, tokens[len(beginning) :]
