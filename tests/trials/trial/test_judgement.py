"""A trained network is judged as its latency's runtime rounds it, beside float32, wherever a training comes from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from analysis.fronts.rounding import rounding_interval
from analysis.records.record import TrialRecord
from analysis.records.training import Quality
from tests.trials.trial.test_run_trial import RECIPE, TASK, blocks
from trials.corpus.blocks import TokenBlocks
from trials.network.decoder import Network
from trials.network.weights import save_weights
from trials.rounding.table import ROUNDINGS, rounding_of
from trials.study.latency_spec import LatencySpec
from trials.training.evaluation import evaluate
from trials.trial.run_trial import ended, trial_in_stretches

__all__ = ["blocks"]
FLOAT32, INT4 = (LatencySpec(prompt_tokens=8, new_tokens=4, precision=precision) for precision in ("float32", "int4"))


def run(blocks: TokenBlocks, workload: LatencySpec, **more: object) -> tuple[TrialRecord, Network | None]:
    record, network = ended(trial_in_stretches(TASK, blocks, RECIPE, workload=workload, **more))  # type: ignore[arg-type]
    assert record.finished, record.reason
    return record, network


def quality(record: TrialRecord) -> Quality:
    assert record.training is not None
    assert record.training.validation is not None
    return record.training.validation


def test_a_trial_is_judged_as_its_latency_is_rounded(blocks: TokenBlocks) -> None:
    plain, _ = run(blocks, FLOAT32)
    record, network = run(blocks, INT4)
    found = quality(record)
    assert network is not None
    assert quality(plain).rounded is None
    assert replace(found, rounded=None) == quality(plain), "float32 stands beside it as it was"
    assert found.rounded is not None
    assert found.rounded.kind == ("onnxruntime", "int4")
    assert found.rounding_loss not in (None, 0)
    assert found.deployed is found.rounded
    again = evaluate(network, blocks, "validation", RECIPE.evaluation_tokens, RECIPE.context_tokens)
    assert again == quality(plain), "the network comes back with the weights that were trained"
    interval = rounding_interval(found)
    assert interval is not None
    assert interval[0] < (found.rounding_loss or 0) < interval[1]
    assert TrialRecord.from_dict(record.as_dict()) == record


@pytest.mark.parametrize("workload", [FLOAT32, INT4, LatencySpec(prompt_tokens=8, new_tokens=4, precision="int8")])
def test_a_training_that_is_taken_over_is_judged_by_the_study_that_takes_it(
    workload: LatencySpec, blocks: TokenBlocks, tmp_path: Path
) -> None:
    trained, network = run(blocks, INT4)
    assert network is not None
    save_weights(tmp_path / "weights.safetensors", network)
    record, _ = run(blocks, workload, reused=trained.training, reused_weights=tmp_path / "weights.safetensors")
    fresh, _ = run(blocks, workload)
    assert quality(record) == quality(fresh)


def test_where_a_directory_began_in_float32_a_trial_is_judged_so(blocks: TokenBlocks, tmp_path: Path) -> None:
    plain, _ = run(blocks, FLOAT32)
    trained, network = run(blocks, INT4)
    assert network is not None
    save_weights(tmp_path / "weights.safetensors", network)
    record, _ = run(blocks, INT4, as_deployed=False)
    taken, _ = run(blocks, INT4, as_deployed=False, reused=trained.training, reused_weights=tmp_path / "weights.safetensors")
    assert quality(record) == quality(taken) == quality(plain)


def test_named_validation_sets_are_judged_too(blocks: TokenBlocks) -> None:
    more = replace(blocks, validations={"news": blocks.validation[:300]})
    record, _ = run(more, INT4)
    assert record.training is not None
    assert record.training.validations["news"].rounded is not None


def test_a_command_is_judged_as_the_runtime_of_its_format() -> None:
    spec = LatencySpec(runtime="command", command=("measure",), format="gguf", precision="int8")
    assert rounding_of(spec) is ROUNDINGS["llama.cpp", "int8"]
    assert rounding_of(FLOAT32) is None
