"""The best learning rate stays put over four times the width and four times the depth, where the standard one does not."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.fidelity.lr_transfer import RateRun, ShapeRates, check_rates
from search_space.architecture import Architecture
from trials.corpus.blocks import TokenBlocks
from trials.study.spec import ProxySpec
from trials.training.proxy_run import train
from trials.training.recipe import with_scaled_rates

VOCAB = 32
FACTORS = (0.125, 0.25, 0.5, 1.0)
BASE, WIDE, DEEP = (
    Architecture(
        vocab_size=VOCAB,
        hidden_size=width,
        num_unique_layers=depth,
        num_attention_heads=width // 16,
        num_key_value_heads=width // 32,
        head_dim=16,
        intermediate_size=round(8 / 3 * width),
    )
    for width, depth in ((32, 2), (128, 2), (32, 8))
)


@pytest.fixture(scope="module")
def chain() -> TokenBlocks:
    """A text in which the last token and a part of the one before leave four equally probable next ones."""
    random = np.random.default_rng(0)
    follows, choice = random.integers(0, VOCAB, (VOCAB // 4, VOCAB, 4)), random.integers(0, 4, 20_000)
    ids = [0, 1]
    for each in choice:
        ids.append(follows[ids[-2] // 4, ids[-1], each])
    text = np.array(ids, np.uint16)
    return TokenBlocks(text[:16_000], text[16_000:], text[16_000:], VOCAB, np.full(VOCAB, 2, np.int32), "made up", "0" * 64, None)


def rates(chain: TokenBlocks, parametrization: str, *shapes: Architecture) -> list[ShapeRates]:
    proxy = ProxySpec.model_validate(
        {
            "tokens": 60 * 256,
            "context_tokens": 16,
            "batch_sequences": 16,
            "optimizer": "adamw",
            "parametrization": parametrization,
            "learning_rate": 0.01,
            "evaluations": 1,
            "evaluation_tokens": 2048,
        }
    )
    runs = []
    for shape in shapes:
        for factor in FACTORS:
            _, training = train(shape, chain, with_scaled_rates(proxy, factor), seed=0)
            assert training.validation is not None
            runs.append(RateRun(architecture=shape, factor=factor, seed=0, recipe="", bits_per_byte=training.validation.bits_per_byte))
    return list(check_rates(runs, 0).shapes)


@pytest.mark.more
@pytest.mark.slow
@pytest.mark.parametrize(("parametrization", "shapes"), [("mup", (BASE, WIDE)), ("completep", (BASE, WIDE, DEEP))])
def test_the_best_rate_stays_within_a_factor_of_two(chain: TokenBlocks, parametrization: str, shapes: tuple[Architecture, ...]) -> None:
    found = rates(chain, parametrization, *shapes)
    assert not any(each.at_edge for each in found)
    best = [each.best_factor or 0.0 for each in found]
    assert max(best) < 2 * min(best)


@pytest.mark.more
@pytest.mark.slow
def test_the_standard_best_rate_moves_with_the_width(chain: TokenBlocks) -> None:
    narrow, wide = rates(chain, "standard", BASE, WIDE)
    assert (narrow.best_factor or 0.0) > 3 * (wide.best_factor or 0.0)
