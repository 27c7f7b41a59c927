"""What a GPU must do as a processor does; on a machine without one there is nothing to test."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
import pytest
import torch

from analysis.records.record import Kind, Outcome
from search_space.architecture import Architecture
from search_space.sharing import Sharing
from tests.support.sample_network import spread_out
from trials.corpus.blocks import TokenBlocks
from trials.latency.protocol import measure_in_runtime
from trials.study.latency_spec import LatencySpec
from trials.study.spec import ProxySpec
from trials.training.conditions import Conditions
from trials.training.footprint import footprint
from trials.training.loss import cross_entropy
from trials.training.proxy_run import ProxyRun, train
from trials.trial.run_trial import ended, trial_in_stretches
from trials.trial.task import TrialTask

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")

VOCAB = 64
SHAPE = Architecture(
    vocab_size=VOCAB, hidden_size=64, num_unique_layers=3, num_attention_heads=4, num_key_value_heads=2, head_dim=16, intermediate_size=128
)
SHAPES = {
    "plain": SHAPE,
    "sliding": dataclasses.replace(SHAPE, layer_types=("sliding_attention", "full_attention", "full_attention"), sliding_window=9),
    "shared": dataclasses.replace(SHAPE, sharing=Sharing("immediate", 2)),
    "relu": dataclasses.replace(SHAPE, mlp="relu", num_key_value_heads=4),
}
RECIPE = ProxySpec(tokens=20 * 8 * 64, context_tokens=64, batch_sequences=8, evaluation_tokens=2_048, evaluations=1, precision="float32")


@pytest.fixture(scope="module")
def blocks() -> TokenBlocks:
    ids = np.resize(np.arange(0, 28, 4), 40_000).astype(np.uint16)
    return TokenBlocks(ids, ids[:6_000], ids[:6_000], VOCAB, np.full(VOCAB, 2, np.int32), "made up", "0" * 64, None)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_gpu_learns_what_a_processor_learns(blocks: TokenBlocks, shape: Architecture) -> None:
    proxy = RECIPE.model_copy(update={"optimizer": "adamw", "learning_rate": 0.001})  # Muon's products are in bfloat16 on a GPU
    (_, here), (_, there) = (train(shape, blocks, proxy, seed=0, conditions=Conditions(device=device)) for device in ("cpu", "cuda"))
    assert there.device == "cuda"
    for one, other in zip(here.curve, there.curve, strict=True):
        assert other.training_loss == pytest.approx(one.training_loss, rel=1e-3)
    assert here.validation is not None
    assert there.validation is not None
    assert there.validation.loss == pytest.approx(here.validation.loss, rel=1e-3)


@pytest.mark.parametrize("compiled", [False, True])
def test_bfloat16_and_compiled_blocks_learn_as_much(blocks: TokenBlocks, compiled: bool) -> None:
    _, exact = train(SHAPE, blocks, RECIPE, seed=0, conditions=Conditions(device="cuda"))
    _, low = train(
        SHAPE,
        blocks,
        RECIPE.model_copy(update={"precision": "bfloat16", "compile": compiled}),
        seed=0,
        conditions=Conditions(device="cuda"),
    )
    assert low.compiled is compiled
    assert exact.curve[0].training_loss == pytest.approx(low.curve[0].training_loss, rel=0.02)
    for training in (exact, low):
        first, last = training.curve[0].training_loss, training.curve[-1].training_loss
        assert first is not None
        assert last is not None
        assert last < 0.5 * first


@pytest.mark.parametrize("compiled", [False, True])
def test_the_loss_and_its_gradients_are_those_of_a_processor(compiled: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    states, weight = torch.randn(300, 24, generator=generator), torch.randn(VOCAB, 24, generator=generator)
    targets = torch.randint(VOCAB, (300,), generator=generator)
    found = []
    for device in ("cpu", "cuda"):
        mine = [tensor.detach().to(device, copy=True).requires_grad_() for tensor in (states, weight)]
        loss = cross_entropy(mine[0], mine[1], targets.to(device), compiled=compiled and device == "cuda")
        torch.autograd.backward(loss)
        found.append([loss.detach().cpu(), *(tensor.grad.cpu() for tensor in mine if tensor.grad is not None)])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_a_run_that_stops_and_goes_on_makes_the_same_steps(blocks: TokenBlocks) -> None:
    whole = ProxyRun(SHAPE, blocks, RECIPE, seed=0, conditions=Conditions(device="cuda"))
    whole.run()
    parts = ProxyRun(SHAPE, blocks, RECIPE, seed=0, conditions=Conditions(device="cuda"))
    parts.run(until_tokens=4_096)
    later = ProxyRun(SHAPE, blocks, RECIPE, seed=0, conditions=Conditions(device="cuda"))
    later.restore(parts.state())
    later.run()
    one, other = whole.result().validation, later.result().validation
    assert one is not None
    assert other is not None
    assert other.loss == pytest.approx(one.loss, rel=1e-4)


def test_memory_that_is_not_there_is_the_outcome_and_not_the_end(blocks: TokenBlocks) -> None:
    task = TrialTask(number=0, kind=Kind.SAMPLED, point={}, architecture=SHAPE, seed=0)
    record, _ = ended(
        trial_in_stretches(task, blocks, RECIPE, workload=LatencySpec(), conditions=Conditions(device="cuda", memory_bytes=1 << 20))
    )
    assert record.outcome is Outcome.OUT_OF_MEMORY
    record, network = ended(trial_in_stretches(task, blocks, RECIPE, workload=LatencySpec(), conditions=Conditions(device="cuda")))
    assert record.finished, record.reason
    assert record.training is not None
    assert record.training.peak_memory_bytes is not None
    assert network is not None
    assert not next(network.parameters()).is_cuda


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_memory_of_a_step_is_foreseen(precision: Literal["float32", "bfloat16"]) -> None:
    shape = dataclasses.replace(SHAPE, vocab_size=8_192, hidden_size=256, head_dim=64, intermediate_size=768, num_unique_layers=8)
    ids = np.random.default_rng(0).integers(0, 8_192, 1 << 17).astype(np.uint16)
    made_up = TokenBlocks(ids, ids, ids, 8_192, np.ones(8_192, np.int32), "made up", "0" * 64, None)
    proxy = ProxySpec(
        tokens=2 * 32 * 512, context_tokens=512, batch_sequences=32, evaluations=1, evaluation_tokens=512, precision=precision
    )
    _, training = train(shape, made_up, proxy, seed=0, conditions=Conditions(device="cuda"))
    assert training.peak_memory_bytes is not None
    assert footprint(shape, proxy, device="cuda").peak == pytest.approx(training.peak_memory_bytes, rel=0.2)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_protocol_times_a_gpu_by_its_name(precision: Literal["float32", "bfloat16"]) -> None:
    spec = LatencySpec(runtime="torch-cuda", precision=precision, prompt_tokens=8, new_tokens=8, repeats=2)
    taken = measure_in_runtime(spread_out(SHAPE).architecture, spec)
    assert taken.device == torch.cuda.get_device_name()
    assert taken.bandwidth_bytes_per_second is not None
    assert taken.bandwidth_bytes_per_second > 1e11
    assert 0 < taken.decode_ms_per_token.median < 50
