"""The network against transformers, and the cache against the network without one."""

from __future__ import annotations

import copy
import itertools
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from transformers import AutoConfig, AutoModelForCausalLM

from search_space import cost
from search_space.architecture import Architecture
from search_space.sharing import Sharing
from tests.support.sample_network import spread_out
from trials.catalogue.hugging_face_config import hugging_face_class, hugging_face_config
from trials.network.decoder import Network
from trials.network.kv_cache import Cache

TOKENS = 24
WINDOW = 7
"""Shorter than the text, and no divisor of it: the ring is cut in the middle."""

LLAMA = Architecture(
    vocab_size=101,
    hidden_size=48,
    num_unique_layers=3,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=12,
    intermediate_size=80,
)
MISTRAL = replace(LLAMA, num_attention_heads=5, num_key_value_heads=1, head_dim=14, tie_word_embeddings=False)
MINISTRAL = replace(LLAMA, layer_types=("sliding_attention", "full_attention", "sliding_attention"), sliding_window=WINDOW)
SLIDING = replace(LLAMA, layer_types=("sliding_attention",), sliding_window=WINDOW)
QWEN2 = replace(MISTRAL, attention_bias="qkv", rope_theta=1_000_000.0, rms_norm_eps=1e-6)
QWEN3 = replace(MISTRAL, qk_norm=True, rope_theta=1_000_000.0, rms_norm_eps=1e-6)
SHARED = {
    f"{strategy} x{repeats} {part}": replace(
        LLAMA, sharing=Sharing(strategy, repeats, part), layer_types=("sliding_attention", "full_attention"), sliding_window=WINDOW
    )
    for strategy, repeats, part in itertools.product(("immediate", "repeat_all_over", "reverse"), (2, 3), ("block", "attention", "mlp"))
}
SHAPES = {
    "LlamaForCausalLM": LLAMA,
    "LlamaForCausalLM, MHA, untied": replace(LLAMA, num_key_value_heads=4, tie_word_embeddings=False),
    "LlamaForCausalLM, MQA, head_dim free": replace(LLAMA, num_key_value_heads=1, head_dim=22),
    "MistralForCausalLM": MISTRAL,
    "MinistralForCausalLM": MINISTRAL,
    "MinistralForCausalLM, all blocks sliding": SLIDING,
    "MinistralForCausalLM, a window of one": replace(MINISTRAL, sliding_window=1),
    "MinistralForCausalLM, a window longer than the text": replace(MINISTRAL, sliding_window=TOKENS + 1),
    "ArceeForCausalLM, relu": replace(LLAMA, mlp="relu"),
    "ArceeForCausalLM, gelu": replace(LLAMA, mlp="gelu", head_dim=20),
    "ArceeForCausalLM, relu, shared": replace(LLAMA, mlp="relu", sharing=Sharing("immediate", 2)),
    "SeedOssForCausalLM": QWEN2,
    "SeedOssForCausalLM, shared attention": replace(QWEN2, sharing=Sharing("reverse", 2, "attention"), layer_types=("full_attention",)),
    "Qwen3ForCausalLM": QWEN3,
    "Qwen3ForCausalLM, some blocks sliding, another epsilon": replace(MINISTRAL, qk_norm=True, rms_norm_eps=0.1),
    "Qwen3ForCausalLM, shared attention": replace(QWEN3, sharing=Sharing("reverse", 2, "attention"), layer_types=("full_attention",)),
    "LlamaForCausalLM, other constants": replace(LLAMA, rope_theta=100.0, rms_norm_eps=0.1),
    **SHARED,
}
every_shape = pytest.mark.parametrize("architecture", SHAPES.values(), ids=SHAPES)


def text(batch: int = 2, tokens: int = TOKENS) -> Tensor:
    return torch.randint(0, LLAMA.vocab_size, (batch, tokens), generator=torch.Generator().manual_seed(0))


@every_shape
def test_logits_equal_those_of_transformers_with_the_unrolled_weights(architecture: Architecture) -> None:
    network = spread_out(architecture)
    config = hugging_face_config(architecture, context_tokens=TOKENS)
    theirs = AutoModelForCausalLM.from_config(AutoConfig.for_model(**config)).eval()
    assert type(theirs).__name__ == hugging_face_class(architecture)
    loaded = theirs.load_state_dict(network.state_dict(), strict=False)
    assert loaded.unexpected_keys == []
    assert loaded.missing_keys == (["lm_head.weight"] if architecture.tie_word_embeddings else [])
    with torch.inference_mode():
        for tokens in (1, WINDOW, WINDOW + 1, TOKENS):
            expected, logits = theirs(text(tokens=tokens)).logits, network(text(tokens=tokens))
            assert logits.std() > 0.5
            torch.testing.assert_close(logits, expected, atol=1e-4, rtol=0)


QWEN2_CONFIG = {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2"}


@pytest.mark.parametrize("architecture", [QWEN2, replace(MINISTRAL, attention_bias="qkv")], ids=["full", "sliding"])
def test_logits_with_biases_equal_those_of_qwen2(architecture: Architecture) -> None:
    without = hugging_face_config(replace(architecture, attention_bias="none"), context_tokens=TOKENS)
    theirs = AutoModelForCausalLM.from_config(AutoConfig.for_model(**without | QWEN2_CONFIG | {"use_sliding_window": True})).eval()
    network = spread_out(architecture)
    loaded = theirs.load_state_dict(network.state_dict(), strict=False)
    assert type(theirs).__name__ == "Qwen2ForCausalLM"
    assert loaded.unexpected_keys == []
    with torch.inference_mode():
        torch.testing.assert_close(network(text()), theirs(text()).logits, atol=1e-4, rtol=0)


@every_shape
def test_reading_piece_by_piece_with_a_cache_equals_reading_at_once(architecture: Architecture) -> None:
    network = spread_out(architecture)
    for pieces in [(TOKENS,), (1,) * TOKENS, (5, *(1,) * 19), (10, *(1,) * 14), (3, 4, 1, 1, 7, 8), (7, 7, 1, 9)]:
        cache = Cache(architecture, batch=2, max_tokens=TOKENS)
        with torch.inference_mode():
            logits = torch.cat([network(piece, cache) for piece in torch.split(text(), list(pieces), 1)], 1)
            torch.testing.assert_close(logits, network(text()), atol=1e-4, rtol=0)
        assert cache.length == TOKENS


@every_shape
def test_a_position_that_is_a_tensor_gives_the_same_as_one_that_is_a_number(architecture: Architecture) -> None:
    network, cache = spread_out(architecture), Cache(architecture, batch=2, max_tokens=TOKENS)
    with torch.inference_mode():
        logits = [network(text()[:, :7], cache)]
        cache.position = torch.tensor([7])
        for token in torch.split(text()[:, 7:], 1, 1):
            logits.append(network(token, cache))
            cache.position += 1
        torch.testing.assert_close(torch.cat(logits, 1), network(text()), atol=1e-4, rtol=0)


@pytest.mark.parametrize("architecture", [MINISTRAL, SHARED["reverse x2 block"]], ids=["ministral", "shared"])
def test_a_cache_that_was_reset_has_forgotten_everything(architecture: Architecture) -> None:
    network, cache = spread_out(architecture), Cache(architecture, batch=2, max_tokens=TOKENS)
    with torch.inference_mode():
        network(text().flip(1), cache)
        cache.reset()
        first = network(text()[:, :9], cache)
        then = network(text()[:, 9:10], cache)
        torch.testing.assert_close(torch.cat((first, then), 1), network(text()[:, :10]), atol=1e-4, rtol=0)


def test_a_cache_says_what_it_holds_when_it_is_full() -> None:
    network, cache = Network(LLAMA), Cache(LLAMA, batch=2, max_tokens=10)
    with torch.inference_mode():
        network(text()[:, :9], cache)
        with pytest.raises(ValueError, match="the cache holds 10 tokens, found 9 and 2 more; allocate a larger one"):
            network(text()[:, 9:11], cache)
        network(text()[:, 9:10], cache)


def test_every_executed_block_has_a_slot_of_its_own_and_a_sliding_one_keeps_its_window() -> None:
    cache = Cache(SHARED["immediate x2 block"], batch=3, max_tokens=20, dtype=torch.bfloat16)
    assert len(cache.slots) == 6
    assert [tuple(slot.keys.shape) for slot in cache.slots[:2]] == [(3, 2, WINDOW, 12), (3, 2, 20, 12)]
    assert {tensor.dtype for slot in cache.slots for tensor in (slot.keys, slot.values)} == {torch.bfloat16}


@every_shape
def test_a_stored_part_is_one_module_at_every_depth_that_runs_it(architecture: Architecture) -> None:
    network = Network(architecture)
    a = architecture
    for (i, first), (j, second) in itertools.combinations(enumerate(network.model.layers), 2):
        attention, mlp = a.attention_schedule[i] == a.attention_schedule[j], a.mlp_schedule[i] == a.mlp_schedule[j]
        assert (first.self_attn is second.self_attn, first.input_layernorm is second.input_layernorm) == (attention, attention)
        assert (first.mlp is second.mlp, first.post_attention_layernorm is second.post_attention_layernorm) == (mlp, mlp)
    assert sum(parameter.numel() for parameter in network.parameters()) == cost.parameters(a)


def test_a_shared_network_is_trained_as_its_unrolled_twin_with_summed_gradients() -> None:
    shared = spread_out(SHARED["reverse x2 block"])
    unrolled = Network(replace(shared.architecture, num_unique_layers=6, sharing=Sharing()))
    unrolled.load_state_dict(shared.state_dict())
    for network in (shared, unrolled):
        torch.autograd.backward(functional.cross_entropy(network(text()).flatten(0, 1), text().flatten()))
    of_shared, of_unrolled = (
        {name: parameter.grad for name, parameter in network.named_parameters() if parameter.grad is not None}
        for network in (shared, unrolled)
    )
    name = "model.layers.{}.self_attn.q_proj.weight"
    torch.testing.assert_close(of_shared[name.format(0)], of_unrolled[name.format(0)] + of_unrolled[name.format(5)])


def test_hidden_states_and_the_output_weight_make_the_logits() -> None:
    for architecture in (LLAMA, MISTRAL):
        network = spread_out(architecture)
        states = network.hidden_states(text())
        assert states.shape == (2, TOKENS, architecture.hidden_size)
        assert torch.equal(states @ network.output_weight.T, network(text()))


def test_weights_follow_from_the_seed_alone_and_leave_the_global_random_state() -> None:
    before = torch.get_rng_state()
    one, same, other = Network(MISTRAL, seed=3), Network(MISTRAL, seed=3), Network(MISTRAL, seed=4)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
    assert not torch.equal(one.output_weight, other.output_weight)


def test_first_weights_are_normal_and_those_that_write_to_the_stream_are_smaller() -> None:
    architecture = replace(
        LLAMA, hidden_size=256, intermediate_size=512, head_dim=64, sharing=Sharing("immediate", 2), attention_bias="qkv", qk_norm=True
    )
    for name, parameter in Network(architecture).named_parameters():
        if name.endswith(".bias"):
            assert torch.equal(parameter, torch.zeros_like(parameter)), name
        elif parameter.ndim == 1:
            assert torch.equal(parameter, torch.ones(64 if name.endswith(("q_norm.weight", "k_norm.weight")) else 256)), name
        else:
            expected = 0.02 / math.sqrt(12) if "o_proj" in name or "down_proj" in name else 0.02
            assert parameter.std().item() == pytest.approx(expected, rel=0.02), name
            assert abs(parameter.mean().item()) < expected / 50, name


def test_a_network_on_the_meta_device_costs_nothing() -> None:
    with torch.device("meta"):
        network = Network(replace(LLAMA, vocab_size=128_000, hidden_size=4096, intermediate_size=16_384))
    assert all(parameter.is_meta for parameter in network.parameters())


def test_a_network_that_was_measured_first_can_still_be_trained() -> None:
    architecture = replace(MINISTRAL, head_dim=8, sliding_window=5)
    network = Network(architecture)
    with torch.inference_mode():
        network(text())
    torch.autograd.backward(network(text()).sum())
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize(
    "architecture", [LLAMA, MINISTRAL, SHAPES["ArceeForCausalLM, gelu"], QWEN3], ids=["llama", "ministral", "arcee", "qwen3"]
)
def test_bfloat16_whole_or_by_autocast_stays_near_float32(architecture: Architecture) -> None:
    network = spread_out(architecture)
    low = copy.deepcopy(network).to(torch.bfloat16)
    cache = Cache(architecture, batch=2, max_tokens=TOKENS, dtype=torch.bfloat16)
    with torch.inference_mode():
        exact, whole = network(text()), low(text())
        cached = torch.cat((low(text()[:, :20], cache), low(text()[:, 20:], cache)), 1)
        with torch.autocast("cpu", torch.bfloat16):
            mixed = network(text())
    for logits in (whole, cached, mixed):
        assert logits.dtype is torch.bfloat16
        assert (logits.float() - exact).std() < 0.05 * exact.std()
