"""What a network writes: always the same, of tokens that stand for text, in sight of no more than its context."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from search_space.architecture import Architecture
from trials.corpus.blocks import TokenBlocks
from trials.network.decoder import Network
from trials.training.sampled_text import BEGINNING_TOKENS, SAMPLED_TOKENS, continuation

SHAPE = Architecture(
    vocab_size=300, hidden_size=32, num_unique_layers=2, num_attention_heads=2, num_key_value_heads=1, head_dim=16, intermediate_size=48
)
SILENT = 0


@pytest.fixture(scope="module")
def blocks() -> TokenBlocks:
    ids = np.random.default_rng(0).integers(1, 300, 4_096).astype(np.uint16)
    lengths = np.ones(300, np.int32)
    lengths[[SILENT, 299]] = 0
    return TokenBlocks(ids, ids[:1_000], ids[1_000:], 300, lengths, "made up", "0" * 64, None)


def test_it_goes_on_from_the_test_split_with_tokens_of_text_the_same_each_time(blocks: TokenBlocks) -> None:
    network = Network(SHAPE, seed=1)
    beginning, text = continuation(network, blocks, 32)
    torch.manual_seed(7)
    assert continuation(network, blocks, 32) == (beginning, text)
    assert beginning == blocks.test[:BEGINNING_TOKENS].tolist()
    assert len(text) == SAMPLED_TOKENS
    assert all(blocks.bytes_per_token[token] for token in text)
    assert continuation(Network(SHAPE, seed=2), blocks, 32)[1] != text


def test_it_sees_no_more_than_its_context(blocks: TokenBlocks) -> None:
    network, seen = Network(SHAPE, seed=1), []
    network.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape))
    beginning, _ = continuation(network, blocks, 8)
    assert beginning == blocks.test[:8].tolist()
    assert set(seen) == {(1, 8)}
