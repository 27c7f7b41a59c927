"""The closed forms against published figures and against the built network.

Windows: `cost` counts min(window, tokens) keys for a query of a sliding block, which is what a cached decode step computes and a
cache holds. A dense kernel with a mask computes all keys and hides some, so an uncached pass equals the closed form where the window
is at least as long as the text, and equals that of the same shape without windows in any case.
"""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from search_space import cost
from search_space.architecture import Architecture
from search_space.errors import SpecError
from search_space.families import FAMILIES
from search_space.fields import BY_NAME
from search_space.sharing import PARTS, STRATEGIES, Sharing
from trials.network.decoder import Network
from trials.network.kv_cache import Cache

PUBLISHED = [
    # name, stored layers, executed layers, heads, KV heads, hidden, intermediate, vocabulary, parameters
    ("mobilellm-125m", 30, 30, 9, 3, 576, 1536, 32_000, 124_635_456),
    ("mobilellm-ls-125m", 30, 60, 9, 3, 576, 1536, 32_000, 124_635_456),
    ("mobilellm-350m", 32, 32, 15, 5, 960, 2560, 32_000, 345_355_200),
    ("mobilellm-ls-350m", 32, 64, 15, 5, 960, 2560, 32_000, 345_355_200),
    ("mobilellm-600m", 40, 40, 18, 6, 1152, 3072, 32_000, 603_188_352),
    ("mobilellm-1b", 54, 54, 20, 5, 1280, 3584, 32_000, 1_005_461_760),
    ("mobilellm-1.5b", 54, 54, 25, 5, 1600, 4352, 32_000, 1_511_188_800),
    ("smollm2-135m", 30, 30, 9, 3, 576, 1536, 49_152, 134_515_008),
    ("smollm2-360m", 32, 32, 15, 5, 960, 2560, 49_152, 361_821_120),
    ("mobilellm-r1-140m", 15, 15, 9, 3, 576, 2048, 128_256, 140_248_512),
    ("mobilellm-pro", 30, 30, 20, 4, 1280, 6144, 202_048, 1_084_453_120),
]
EMBEDDING_ABLATION = [
    # MobileLLM's study of tied embeddings (arXiv 2402.14905): layers, tied, parameters; 512 wide, 8 heads, MLP 1536
    (30, False, 135_035_392),
    (30, True, 118_651_392),
    (32, True, 125_469_184),
]
RANDOM_SHAPES = 300
COUNTED = 5
"""One in so many of the random shapes is counted by torch in `make test`, the others by `make test-more`."""
OTHERS = [pytest.param(part, marks=[pytest.mark.slow, pytest.mark.more]) for part in range(1, COUNTED)]
EVERY_PART = pytest.mark.parametrize("part", [0, *OTHERS])


def random_shape(draw: random.Random) -> Architecture:
    """Any small shape that the search could meet."""
    groups, strategy = draw.randint(1, 4), draw.choice(STRATEGIES)
    sharing = Sharing(strategy, draw.randint(2, 3), draw.choice(PARTS)) if strategy != "none" else Sharing()
    layers = draw.randint(1, 3)
    pattern = tuple(draw.choice(("full_attention", "sliding_attention")) for _ in range(draw.randint(1, layers)))
    return Architecture(
        vocab_size=draw.randint(2, 300),
        hidden_size=draw.randint(1, 96),
        num_unique_layers=layers,
        num_attention_heads=groups * draw.randint(1, 4),
        num_key_value_heads=groups,
        head_dim=2 * draw.randint(1, 16),
        intermediate_size=draw.randint(1, 200),
        mlp=draw.choice(BY_NAME["mlp"].choices),
        tie_word_embeddings=draw.random() < 0.5,
        sharing=sharing,
        layer_types=pattern,
        sliding_window=draw.randint(1, 60) if "sliding_attention" in pattern else None,
        attention_bias=draw.choice(BY_NAME["attention_bias"].choices),
        qk_norm=draw.random() < 0.5,
    )


def shapes() -> list[Architecture]:
    draw = random.Random(0)
    return [random_shape(draw) for _ in range(RANDOM_SHAPES)]


def without_windows(architecture: Architecture) -> Architecture:
    return replace(architecture, layer_types=("full_attention",))


def built(architecture: Architecture) -> Network:
    with torch.device("meta"):
        return Network(architecture)


def counted_forward(shape: Architecture, tokens: int) -> int:
    """What torch counts for one pass over one sequence."""
    network = Network(shape)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros((1, tokens), dtype=torch.int64))
    flops: int = counter.get_total_flops()
    return flops


def counted_training(shape: Architecture, tokens: int) -> int:
    """What torch counts for forward and backward over one sequence."""
    network = Network(shape)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        torch.autograd.backward(network(torch.zeros((1, tokens), dtype=torch.int64)).sum())
    flops: int = counter.get_total_flops()
    return flops


def counted_decode(shape: Architecture, cached: int) -> int:
    """What torch counts for one more token after that many."""
    network, cache = Network(shape), Cache(shape, batch=1, max_tokens=cached + 1)
    cache.length = cached
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros((1, 1), dtype=torch.int64), cache)
    flops: int = counter.get_total_flops()
    return flops


@pytest.mark.parametrize(("name", "stored", "executed", "heads", "groups", "hidden", "inner", "vocabulary", "parameters"), PUBLISHED)
def test_published_shapes_have_their_published_parameters(
    name: str,
    stored: int,
    executed: int,
    heads: int,
    groups: int,
    hidden: int,
    inner: int,
    vocabulary: int,
    parameters: int,
) -> None:
    shape = FAMILIES[name]
    assert (shape.num_unique_layers, shape.num_hidden_layers) == (stored, executed)
    assert (shape.num_attention_heads, shape.num_key_value_heads, shape.head_dim) == (heads, groups, 64)
    assert (shape.hidden_size, shape.intermediate_size, shape.vocab_size) == (hidden, inner, vocabulary)
    assert (shape.tie_word_embeddings, shape.mlp) == (True, "swiglu")
    assert cost.parameters(shape) == parameters
    assert sum(parameter.numel() for parameter in built(shape).parameters()) == parameters


@pytest.mark.parametrize(("layers", "tied", "parameters"), EMBEDDING_ABLATION)
def test_published_embedding_ablation_has_its_parameters(layers: int, tied: bool, parameters: int) -> None:
    shape = Architecture(
        vocab_size=32_000,
        hidden_size=512,
        num_unique_layers=layers,
        num_attention_heads=8,
        num_key_value_heads=8,
        head_dim=64,
        intermediate_size=1536,
        tie_word_embeddings=tied,
    )
    assert cost.parameters(shape) == parameters


def test_a_block_that_runs_twice_is_stored_once_and_computed_and_cached_twice() -> None:
    once, twice = FAMILIES["mobilellm-125m"], FAMILIES["mobilellm-ls-125m"]
    head = 2 * 32_000 * 576
    assert cost.decode_flops(twice, 100) - head == 2 * (cost.decode_flops(once, 100) - head)
    assert cost.kv_cache_bytes(twice, 100) == 2 * cost.kv_cache_bytes(once, 100)
    assert cost.weight_bytes(twice) == cost.weight_bytes(once) == 2 * 124_635_456


def test_costs_of_a_small_shape_equal_those_counted_by_hand() -> None:
    shape = Architecture(
        vocab_size=10,
        hidden_size=4,
        num_unique_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=6,
        intermediate_size=5,
        layer_types=("full_attention", "sliding_attention"),
        sliding_window=3,
    )
    # a block: q and o 4 x 12 each, k and v 4 x 6 each, three MLP matrices 4 x 5, two norms of 4; then the final norm and 10 x 4
    matrices = 2 * 48 + 2 * 24 + 3 * 20
    assert cost.non_embedding_parameters(shape) == 2 * (matrices + 8) + 4
    assert cost.parameters(shape) == 2 * (matrices + 8) + 4 + 40
    # the eighth token meets 8 keys in the one block and 3 in the other: 2 heads x 6 wide, scores and sum, 2 FLOPs each
    assert cost.attended_keys(shape, 8) == 11
    assert cost.decode_flops(shape, 8) == 2 * (2 * matrices + 40) + 11 * (2 * 6) * 2 * 2
    assert cost.kv_cache_bytes(shape, 8, bytes_per_value=4) == 11 * (2 * 6) * 4
    assert cost.training_flops(shape, 8) == 8 * cost.training_flops_per_token(shape, 8) == 3 * cost.forward_flops(shape, 8)


def test_parameters_equal_the_built_network_for_random_shapes() -> None:
    for shape in shapes():
        assert sum(parameter.numel() for parameter in built(shape).parameters()) == cost.parameters(shape), shape


@EVERY_PART
def test_forward_flops_equal_what_torch_counts_for_random_shapes(part: int) -> None:
    draw = random.Random(1 + part)
    for shape in shapes()[part::COUNTED]:
        tokens = draw.randint(2, 40)
        flops = counted_forward(shape, tokens)
        assert flops == cost.forward_flops(without_windows(shape), tokens), (shape, tokens)
        if shape.sliding_window is None or shape.sliding_window >= tokens:
            assert flops == cost.forward_flops(shape, tokens), (shape, tokens)
        else:
            assert flops > cost.forward_flops(shape, tokens), (shape, tokens)


@EVERY_PART
def test_training_flops_equal_what_torch_counts_for_random_shapes(part: int) -> None:
    draw = random.Random(2 + part)
    for shape in shapes()[part::COUNTED][::3]:  # torch's counter needs four times as long for a backward pass
        tokens = draw.randint(2, 40)
        assert counted_training(shape, tokens) == cost.training_flops(without_windows(shape), tokens), (shape, tokens)


@EVERY_PART
def test_decode_flops_equal_what_torch_counts_for_a_cached_step_windows_included(part: int) -> None:
    draw = random.Random(3 + part)
    for shape in shapes()[part::COUNTED]:
        cached = draw.randint(0, 80)
        assert counted_decode(shape, cached) == cost.decode_flops(shape, cached + 1), (shape, cached)


def test_cache_bytes_equal_the_tensors_of_a_cache_for_random_shapes() -> None:
    draw = random.Random(4)
    for shape in shapes():
        tokens, dtype = draw.randint(1, 80), draw.choice((torch.float32, torch.bfloat16))
        cache = Cache(shape, batch=1, max_tokens=tokens, dtype=dtype, device="meta")
        held = sum(tensor.nbytes for slot in cache.slots for tensor in (slot.keys, slot.values))
        assert held == cost.kv_cache_bytes(shape, tokens, dtype.itemsize), (shape, tokens)


def test_weight_bytes_follow_the_precision_and_an_odd_nibble_takes_a_byte() -> None:
    shape = Architecture(
        vocab_size=2,
        hidden_size=1,
        num_unique_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        head_dim=2,
        intermediate_size=2,
    )
    weights = cost.parameters(shape)
    assert weights % 2 == 1
    precisions = ("float32", "bfloat16", "float16", "int8", "int4")
    assert [cost.weight_bytes(shape, name) for name in precisions] == [4 * weights, 2 * weights, 2 * weights, weights, weights // 2 + 1]
    with pytest.raises(SpecError, match="precision must be one of float32, bfloat16, float16, int8, int4, found 'fp16'"):
        cost.weight_bytes(shape, "fp16")


def test_a_decoded_token_reads_the_weights_of_every_executed_block_and_the_cache() -> None:
    once, twice = FAMILIES["mobilellm-125m"], FAMILIES["mobilellm-ls-125m"]
    norms = (2 * once.num_unique_layers + 1) * once.hidden_size
    cache = 2 * 3 * 64 * 100 * 4 * 30
    blocks = cost.non_embedding_parameters(once) - norms
    assert cost.decode_bytes(once, 100, "float32") == 4 * (cost.parameters(once) - norms) + cache
    assert cost.decode_bytes(once, 100, "int8") == cost.parameters(once) - norms + cache
    assert cost.decode_bytes(twice, 100, "float32") - cost.decode_bytes(once, 100, "float32") == 4 * blocks + cache
