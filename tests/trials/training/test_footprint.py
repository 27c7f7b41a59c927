"""Memory of a training step: predicted as the network keeps it, and kept within what the machine has."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.memory import CASES, STEPS
from search_space import cost
from search_space.architecture import Architecture
from search_space.families import family
from search_space.fields import OPTIONAL
from search_space.sharing import Sharing
from trials.corpus.blocks import TokenBlocks
from trials.network.decoder import Network
from trials.study.spec import ProxySpec
from trials.training.conditions import Conditions
from trials.training.failures import OutOfMemory
from trials.training.footprint import PROCESS_BYTES, activation_bytes, fit_batch, footprint
from trials.training.proxy_run import train

SHAPE = Architecture(
    vocab_size=64, hidden_size=40, num_unique_layers=3, num_attention_heads=4, num_key_value_heads=2, head_dim=12, intermediate_size=100
)
SHAPES = {
    "gated": SHAPE,
    "gelu, one head": replace(SHAPE, mlp="gelu", num_attention_heads=1, num_key_value_heads=1),
    "relu, untied": replace(SHAPE, mlp="relu", tie_word_embeddings=False),
    "sliding": replace(SHAPE, layer_types=("sliding_attention", "full_attention", "full_attention"), sliding_window=9),
    "biases": replace(SHAPE, attention_bias="qkv"),
    **{row.name: replace(SHAPE, **row.example) for row in OPTIONAL},
    "shared": replace(SHAPE, sharing=Sharing("immediate", 2)),
    "wide, few tokens": replace(SHAPE, hidden_size=256, num_attention_heads=8, head_dim=32, sharing=Sharing("immediate", 2)),
    "a window beyond the context": replace(SHAPE, layer_types=("sliding_attention",) * 3, sliding_window=999),
}
RECIPE = ProxySpec(tokens=40 * 8 * 16, context_tokens=16, batch_sequences=8, evaluations=1, evaluation_tokens=256)


def kept_for_the_backward_pass(network: Network, tokens: Tensor) -> int:
    """Bytes of the storages that autograd keeps, parameters left out."""
    own = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own and tensor.dtype != torch.int64:
            kept[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        states = network.hidden_states(tokens)
    assert states.requires_grad
    return sum(storage.nbytes() for storage in kept.values())


@pytest.mark.parametrize("context", [48, 160])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_activations_are_what_autograd_keeps(shape: Architecture, precision: str, context: int) -> None:
    sequences = 3
    tokens = torch.randint(shape.vocab_size, (sequences, context), generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16) if precision == "bfloat16" else contextlib.nullcontext():
        kept = kept_for_the_backward_pass(Network(shape), tokens)
    assert activation_bytes(shape, sequences, context, precision) == pytest.approx(kept, rel=0.05)


def test_a_batch_that_fits_stays_whole_and_a_larger_one_is_split_into_as_few_parts_as_fit() -> None:
    shape, proxy = family("mobilellm-125m"), RECIPE.model_copy(update={"batch_sequences": 12, "context_tokens": 512})
    whole = footprint(shape, proxy)
    assert fit_batch(shape, proxy, whole.peak).micro_batches == 1
    halves = fit_batch(shape, proxy, whole.peak - 1)
    assert halves.micro_batches == 2
    tight = footprint(shape, proxy, sequences=3).peak
    assert fit_batch(shape, proxy, tight).micro_batches == 4
    assert fit_batch(shape, proxy, tight).peak == tight


def test_what_fits_in_no_way_is_refused_with_the_cure() -> None:
    with pytest.raises(
        OutOfMemory, match=r"must fit into 1\.0 GiB, found \d\.\d GiB for one sequence of 16 tokens alone; lower proxy\.context_tokens"
    ):
        fit_batch(family("mobilellm-125m"), RECIPE, 1 << 30)


def test_a_batch_in_parts_learns_what_the_whole_batch_learns_and_the_record_says_so() -> None:
    ids = np.random.default_rng(0).integers(0, SHAPE.vocab_size, 4000).astype(np.uint16)
    blocks = TokenBlocks(ids, ids, ids, SHAPE.vocab_size, np.ones(SHAPE.vocab_size, np.int32), "made up", "0" * 64, None)
    whole_network, whole = train(SHAPE, blocks, RECIPE, seed=0)
    available = footprint(SHAPE, RECIPE, sequences=3).peak
    network, parts = train(SHAPE, blocks, RECIPE, seed=0, conditions=Conditions(memory_bytes=available))
    assert (whole.micro_batches, parts.micro_batches) == (1, 3)
    assert parts.tokens == whole.tokens
    for ours, theirs in zip(parts.curve, whole.curve, strict=True):
        assert ours.training_loss == pytest.approx(theirs.training_loss, rel=1e-4)
    for one, other in zip(network.parameters(), whole_network.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-3)


def test_a_run_that_cannot_fit_ends_before_its_first_step() -> None:
    ids = np.zeros(100, np.uint16)
    blocks = TokenBlocks(ids, ids, ids, SHAPE.vocab_size, np.ones(SHAPE.vocab_size, np.int32), "made up", "0" * 64, None)
    with pytest.raises(OutOfMemory, match="a training step of"):
        train(SHAPE, blocks, RECIPE, seed=0, conditions=Conditions(memory_bytes=PROCESS_BYTES))


@pytest.mark.more
@pytest.mark.slow
@pytest.mark.parametrize("name", ["1M", "5M"])
def test_the_prediction_is_within_a_fifth_of_what_a_fresh_process_takes(name: str) -> None:
    command = [sys.executable, "-m", "benchmarks.memory", "--measure", "--only", name, "--threads", "1"]
    measured = json.loads(
        subprocess.run(command, cwd=Path(__file__).resolve().parents[3], capture_output=True, text=True, check=True).stdout
    )
    case = CASES[name]
    proxy = ProxySpec(
        tokens=STEPS * case.sequences * case.context_tokens, batch_sequences=case.sequences, context_tokens=case.context_tokens
    )
    assert footprint(case.shape, proxy).peak == pytest.approx(measured["peak_bytes"], rel=0.2)
    assert cost.parameters(case.shape) >= 800_000
