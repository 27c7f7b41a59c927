"""A trained network is judged as its latency's runtime rounds it, beside float32, wherever a training comes from."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from analysis.fronts.rounding import rounding_interval
from analysis.records.latency import Activations
from analysis.records.record import TrialRecord
from analysis.records.training import Quality
from tests.support.planted_device import planted_latency
from tests.trials.trial.test_run_trial import RECIPE, TASK, blocks
from trials.corpus.blocks import TokenBlocks
from trials.network.decoder import Network
from trials.network.weights import save_weights
from trials.rounding.network import rounded
from trials.rounding.table import ROUNDINGS, rounding_as, rounding_of
from trials.study.latency_spec import LatencySpec
from trials.training.conditions import ALONE
from trials.training.evaluation import evaluate
from trials.trial.judgement import is_judged
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
    assert found.rounded.kind == ("onnxruntime", "int4", "int8")
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


@pytest.mark.parametrize("word", ["int8", "float32", None])
def test_a_trial_is_judged_by_the_word_of_the_device(word: Activations | None, blocks: TokenBlocks) -> None:
    device = lambda shape: planted_latency(shape, precision="int4", activations=word)  # noqa: E731
    record, network = run(blocks, INT4, latency=device)
    found, row = quality(record).rounded, ROUNDINGS["onnxruntime", "int4"]
    assert network is not None
    assert found is not None
    assert found.kind == ("onnxruntime", "int4", word or "int8")
    with rounded(network, replace(row, activations=None) if word == "float32" else row):
        expected = evaluate(network, blocks, "validation", RECIPE.evaluation_tokens, RECIPE.context_tokens)
    assert found.bits_per_byte == expected.bits_per_byte
    pinned, _ = run(blocks, INT4, latency=device, activations="int8")
    assert quality(pinned) == quality(run(blocks, INT4)[0]), "a directory goes on as its first trials were judged"


def test_a_training_that_was_judged_by_another_word_is_judged_anew_or_made_anew(blocks: TokenBlocks, tmp_path: Path) -> None:
    trained, network = run(blocks, INT4)
    assert network is not None
    save_weights(tmp_path / "weights.safetensors", network)
    device = lambda shape: planted_latency(shape, precision="int4", activations="float32")  # noqa: E731
    fresh, _ = run(blocks, INT4, latency=device)
    taken, none = run(blocks, INT4, latency=device, reused=trained.training, reused_weights=tmp_path / "weights.safetensors")
    again, network = run(blocks, INT4, latency=device, reused=trained.training)
    assert quality(taken) == quality(fresh) == quality(again)
    assert none is None
    assert network is not None


def test_a_record_of_before_has_the_runtime_s_usual_way(blocks: TokenBlocks) -> None:
    record, _ = run(blocks, INT4)
    values = record.as_dict()
    del values["training"]["validation"]["rounded"]["activations"]
    before = TrialRecord.from_dict(values)
    assert before.rounded_quality is not None
    assert before.rounded_quality.activations is None
    assert before.rounded_quality.kind == ("onnxruntime", "int4", "int8")
    assert before.training is not None
    assert is_judged(before.training, rounding_of(INT4))
    assert not is_judged(before.training, rounding_of(INT4, "float32"))
    assert replace(before.rounded_quality, runtime="llama.cpp").kind[2] == "float32"
    assert rounding_as(before.rounded_quality) == ROUNDINGS["onnxruntime", "int4"]


def test_where_a_directory_began_in_float32_a_trial_is_judged_so(blocks: TokenBlocks, tmp_path: Path) -> None:
    plain, _ = run(blocks, FLOAT32)
    trained, network = run(blocks, INT4)
    assert network is not None
    save_weights(tmp_path / "weights.safetensors", network)
    record, _ = run(blocks, INT4, as_deployed=False)
    taken, _ = run(blocks, INT4, as_deployed=False, reused=trained.training, reused_weights=tmp_path / "weights.safetensors")
    assert quality(record) == quality(taken) == quality(plain)


def test_pauses_while_a_network_is_judged_are_no_evaluation(blocks: TokenBlocks) -> None:
    def pause() -> float:
        time.sleep(0.02)
        return 1_000.0

    record, _ = run(blocks, INT4, conditions=replace(ALONE, pause=pause))
    assert record.training is not None
    assert record.training.evaluation_seconds is not None
    assert record.training.evaluation_seconds < 0, "more was said to be waited than the clock has"


def test_named_validation_sets_are_judged_too(blocks: TokenBlocks) -> None:
    more = replace(blocks, validations={"news": blocks.validation[:300]})
    record, _ = run(more, INT4)
    assert record.training is not None
    assert record.training.validations["news"].rounded is not None


def test_a_command_is_judged_as_the_runtime_of_its_format() -> None:
    spec = LatencySpec(runtime="command", command=("measure",), format="gguf", precision="int8")
    assert rounding_of(spec) is ROUNDINGS["llama.cpp", "int8"]
    assert rounding_of(FLOAT32) is None
