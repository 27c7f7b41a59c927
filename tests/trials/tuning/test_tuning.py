"""Tuning really: the loss on chats that were not seen falls, seeds decide, what is shared stays so, and nothing but answers is learned."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from analysis.tasks.answer_loss import loss_change, loss_estimate
from search_space.architecture import Architecture
from search_space.errors import WorkError
from search_space.sharing import Sharing
from tests.support.sample_network import spread_out
from trials.network.decoder import Network
from trials.tuning.examples import Example
from trials.tuning.tuning import TuningRecipe, answer_nats, padded, rate_share, steps_of, tune_network

SHAPE = Architecture(
    vocab_size=60, hidden_size=32, num_unique_layers=2, num_attention_heads=2, num_key_value_heads=1, head_dim=16, intermediate_size=64,
    sharing=Sharing("immediate", 2),
)  # fmt: skip
RECIPE = TuningRecipe(epochs=3, batch_chats=4, learning_rate=3e-3, seed=0)


def examples(count: int, seed: int = 0) -> list[Example]:
    """Questions of one id, each with the answer that is three further; what stands between is chance."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for number in range(count):
        noise = torch.randint(20, 60, (2 + number % 4,), generator=generator).tolist()
        ids = (*noise, number % 16, 16, (number + 3) % 16, 17)
        found.append(Example(ids, (*[False] * (len(noise) + 2), True, True)))
    return found


def tuned(recipe: TuningRecipe = RECIPE, shape: Architecture = SHAPE) -> tuple[Network, list[tuple[int, int, float]]]:
    network, heard = Network(shape, seed=3), list[tuple[int, int, float]]()
    network.requires_grad_(False)
    tune_network(network, examples(30), recipe, lambda *said: heard.append(said))
    return network, heard


def test_the_loss_on_chats_that_were_not_seen_falls_and_weights_stay_shared() -> None:
    network, heard = tuned(replace(RECIPE, epochs=12))
    assert [step for step, *_ in heard] == list(range(1, steps_of(replace(RECIPE, epochs=12), 30) + 1))
    held_out = examples(16, seed=9)
    before, after = answer_nats(Network(SHAPE, seed=3), held_out), answer_nats(network, held_out)
    change = loss_change(after, before)
    assert change is not None
    assert change.high < -0.5
    fresh = dict(Network(SHAPE, seed=3).named_parameters())
    assert [name for name, weight in network.named_parameters()] == [*fresh]
    assert all(not torch.equal(weight, fresh[name]) for name, weight in network.named_parameters())
    assert not any(weight.requires_grad for weight in network.parameters())


def test_a_seed_gives_the_same_weights_and_another_one_others() -> None:
    first, again, other = (tuned(replace(RECIPE, seed=seed))[0].state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(weight, again[name]) for name, weight in first.items())
    assert not all(torch.equal(weight, other[name]) for name, weight in first.items())


def test_what_is_asked_is_not_learned_and_what_pads_a_batch_changes_nothing() -> None:
    network = spread_out(SHAPE)
    several = examples(9)
    found = answer_nats(network, several)
    for example, nats in zip(several, found, strict=True):
        ids = torch.tensor([example.ids])
        with torch.inference_mode():
            alone = functional.cross_entropy(network(ids)[0, -3:-1], ids[0, -2:], reduction="sum")
        assert nats.nats == pytest.approx(float(alone), rel=1e-4)
        assert nats.tokens == 2
    ids, learned = padded(several)
    assert learned.sum() == 18
    assert ids.shape == learned.shape == (9, max(len(example.ids) for example in several))
    whole = loss_estimate(found)
    assert whole is not None
    assert whole.value == pytest.approx(sum(each.nats for each in found) / 18)
    assert whole.low < whole.value < whole.high


def test_a_loss_that_is_no_number_ends_with_a_sentence() -> None:
    network = Network(SHAPE, seed=3)
    with torch.no_grad():
        network.model.norm.weight.fill_(torch.inf)
    with pytest.raises(WorkError, match=r"the loss is (nan|inf) after \d+ of 24 steps, so nothing is written; lower --learning-rate"):
        tune_network(network, examples(30), RECIPE, lambda *said: None)


def test_the_rate_rises_and_falls_to_nothing() -> None:
    for steps in (1, 2, 7, 100, 1001):
        shares = [rate_share(step, steps) for step in range(steps)]
        assert max(shares) == 1
        assert min(shares) > 0
        assert shares[-1] <= 2 / steps or steps < 3
        top = shares.index(1)
        assert shares[: top + 1] == sorted(shares[: top + 1])
        assert shares[top:] == sorted(shares[top:], reverse=True)
