"""Training with rounding in the forward pass over its last share: from when on, what it changes, and that it goes on bit for bit."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from search_space.errors import SpecError
from tests.support import fakes
from tests.trials.trial.test_run_trial import SHAPE, blocks
from trials.corpus.blocks import TokenBlocks
from trials.rounding.table import ROUNDINGS, trained_rounding
from trials.study.load_study import parse_study
from trials.study.spec import ProxySpec, StudySpec
from trials.training.footprint import footprint
from trials.training.proxy_run import ProxyRun

__all__ = ["blocks"]
RECIPE: dict[str, Any] = {"tokens": 1_280, "context_tokens": 16, "batch_sequences": 4, "evaluation_tokens": 256, "evaluations": 5}
PLAIN = ProxySpec(**RECIPE)


def aware(**wanted: Any) -> ProxySpec:
    return ProxySpec.model_validate(RECIPE | {"quantisation_aware": {"precision": "int4", "last": 0.3} | wanted})


AWARE = aware()


def weights(run: ProxyRun) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in run.network.parameters()]


def trained(blocks: TokenBlocks, proxy: ProxySpec, until: int | None = None) -> ProxyRun:
    run = ProxyRun(SHAPE, blocks, proxy, seed=3)
    run.run(until)
    return run


def test_it_is_another_training_from_its_last_share_on(blocks: TokenBlocks) -> None:
    begins = 14 * 64  # of 20 steps of 64 tokens
    before, after = ([weights(trained(blocks, proxy, until)) for proxy in (PLAIN, AWARE)] for until in (begins, begins + 64))
    assert all(map(torch.equal, *before))
    assert not any(torch.equal(one, other) for one, other in zip(*after, strict=True) if one.ndim == 2)


@pytest.mark.parametrize("runtime", ["onnxruntime", "executorch"])
@pytest.mark.parametrize("stop", [0.6, 0.85])
def test_it_goes_on_from_a_state_bit_for_bit(runtime: str, stop: float, blocks: TokenBlocks) -> None:
    proxy = aware(runtime=runtime)
    whole = trained(blocks, proxy)
    halted, resumed = ProxyRun(SHAPE, blocks, proxy, seed=3), ProxyRun(SHAPE, blocks, proxy, seed=3)
    next(halted.stretches([stop]))
    resumed.restore(halted.state())
    resumed.run()
    assert all(map(torch.equal, weights(whole), weights(resumed)))
    assert whole.result().validation == resumed.result().validation


def test_its_weights_stay_float32(blocks: TokenBlocks) -> None:
    run = trained(blocks, AWARE)
    row = trained_rounding(AWARE)
    assert row is ROUNDINGS["onnxruntime", "int4"]
    assert all(not torch.equal(weight, row.matrix(weight)) for weight in weights(run) if weight.ndim == 2)


def test_parts_of_a_batch_have_the_gradient_of_the_whole(blocks: TokenBlocks) -> None:
    whole, parted = (ProxyRun(SHAPE, blocks, aware(runtime="executorch"), seed=3) for _ in range(2))
    start = torch.cat([weight.flatten() for weight in weights(whole)])
    parted.micro_batches = 2
    for run in (whole, parted):
        run.run()
    one, other = (torch.cat([weight.flatten() for weight in weights(run)]) for run in (whole, parted))
    assert (one - other).norm() < 0.02 * (one - start).norm()


def study(latency: dict[str, Any], **wanted: Any) -> StudySpec:
    values = fakes.small_study()[0].model_dump(mode="json", exclude_defaults=True)
    values["proxy"] |= {"quantisation_aware": {"precision": "int4", **wanted}}
    return parse_study(values | {"latency": latency})


def test_the_runtime_is_that_of_the_latency_where_it_rounds() -> None:
    def runtime(latency: dict[str, Any], **more: Any) -> str | None:
        wanted = study(latency, **more).proxy.quantisation_aware
        assert wanted is not None
        return wanted.runtime

    assert runtime({"runtime": "executorch", "precision": "int8"}) == "executorch"
    assert runtime({"runtime": "torch"}) == "onnxruntime"
    assert runtime({"runtime": "command", "command": ["measure"], "format": "gguf", "precision": "int4"}) == "llama.cpp"
    assert runtime({"runtime": "executorch"}, runtime="openvino") == "openvino"


def test_it_is_refused_beyond_the_decay_and_for_what_does_not_round() -> None:
    with pytest.raises(SpecError, match=r"quantisation_aware.last must be the decay \(0.3\) at most, found 0.5; lower it, or raise decay"):
        study({}, last=0.5)
    with pytest.raises(SpecError, match="runtime"):
        study({}, runtime="torch")
    cosine = {"schedule": "cosine", "quantisation_aware": {"precision": "int8", "last": 0.5}}
    assert ProxySpec.model_validate(RECIPE | cosine).quantisation_aware is not None


def test_trainings_without_it_are_the_same_ones_as_before() -> None:
    assert "quantisation_aware" not in PLAIN.as_keyed()
    assert AWARE.as_keyed()["quantisation_aware"] == {"precision": "int4", "last": 0.3, "runtime": None}


def test_a_step_has_room_for_the_rounded_weights() -> None:
    plain, rounded = footprint(SHAPE, PLAIN), footprint(SHAPE, AWARE)
    assert rounded.weights == 2 * plain.weights
    assert rounded.activations > plain.activations
