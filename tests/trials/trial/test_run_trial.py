"""One shape becomes one record, whatever happens on the way."""

from __future__ import annotations

import dataclasses
import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from analysis.records.latency import Latency
from analysis.records.record import Kind, Outcome, TrialRecord
from search_space import cost
from search_space.architecture import Architecture
from tests.support.fakes import answer
from trials.corpus.blocks import TokenBlocks
from trials.study.latency_spec import LatencySpec
from trials.study.spec import ProxySpec
from trials.training.conditions import Conditions
from trials.trial.run_trial import ended, trial_in_stretches
from trials.trial.task import TrialTask

ROOT = Path(__file__).resolve().parents[3]
VOCAB = 32
SHAPE = Architecture(
    vocab_size=VOCAB, hidden_size=16, num_unique_layers=2, num_attention_heads=2, num_key_value_heads=1, head_dim=8, intermediate_size=32
)
TASK = TrialTask(number=3, kind=Kind.SAMPLED, point={"num_unique_layers": 2}, architecture=SHAPE, seed=5)
WORKLOAD = LatencySpec(prompt_tokens=8, new_tokens=4)
RECIPE = ProxySpec(tokens=1_024, context_tokens=16, batch_sequences=4, evaluation_tokens=256, evaluations=2)


@pytest.fixture(scope="module")
def blocks() -> TokenBlocks:
    ids = np.resize(np.arange(0, 28, 4), 4_000).astype(np.uint16)
    return TokenBlocks(ids, ids[:600], ids[:600], VOCAB, np.full(VOCAB, 2, np.int32), "made up", "0" * 64, None)


def some_latency(shape: Architecture) -> Latency:
    measured = answer(dataclasses.replace(TASK, architecture=shape)).latency
    assert measured is not None
    return measured


def test_a_trial_is_counted_measured_trained_and_recorded(blocks: TokenBlocks) -> None:
    asked: list[Architecture] = []

    def measure(shape: Architecture) -> Latency:
        asked.append(shape)
        return some_latency(shape)

    record, network = ended(
        trial_in_stretches(TASK, blocks, RECIPE, workload=WORKLOAD, latency=measure, conditions=Conditions(deadline_seconds=60))
    )
    assert record.outcome is Outcome.FINISHED
    assert record.reason is None
    assert asked == [SHAPE]
    assert record.latency == some_latency(SHAPE)
    assert record.costs.weight_bytes == 4 * record.costs.parameters
    assert record.training is not None
    assert record.training.validation is not None
    assert record.training.tokens == RECIPE.tokens
    assert record.training.parameters == record.costs.parameters == cost.parameters(SHAPE)
    assert record.costs.kv_cache_bytes == cost.kv_cache_bytes(SHAPE, 12)
    assert record.costs.decode_flops == cost.decode_flops(SHAPE, 12)
    assert record.costs.training_flops_per_token == cost.training_flops_per_token(SHAPE, 16)
    assert (record.number, record.kind, record.point, record.seed) == (3, Kind.SAMPLED, TASK.point, 5)
    assert record.machine["torch"]
    assert network is not None
    assert TrialRecord.from_dict(json.loads(json.dumps(record.as_dict()))) == record


def test_utilisation_is_of_the_stated_peak_and_absent_where_none_is_known(blocks: TokenBlocks) -> None:
    stated, _ = ended(trial_in_stretches(TASK, blocks, RECIPE, workload=WORKLOAD, conditions=Conditions(peak_flops=1e9)))
    unknown, _ = ended(trial_in_stretches(TASK, blocks, RECIPE, workload=WORKLOAD))
    assert stated.training is not None
    assert unknown.training is not None
    assert unknown.training.model_flops_utilisation is None
    done = stated.training.tokens_per_second * stated.costs.training_flops_per_token
    assert stated.training.model_flops_utilisation == pytest.approx(done / 1e9)


def test_equal_seeds_give_equal_losses_and_a_replicate_differs(blocks: TokenBlocks) -> None:
    def loss(task: TrialTask) -> float:
        record, _ = ended(trial_in_stretches(task, blocks, RECIPE, workload=WORKLOAD))
        assert record.training is not None
        assert record.training.validation is not None
        return record.training.validation.loss

    assert loss(TASK) == loss(dataclasses.replace(TASK, number=9)) != loss(dataclasses.replace(TASK, seed=6))


def test_a_shape_that_cannot_be_measured_is_not_trained(blocks: TokenBlocks) -> None:
    def broken(shape: Architecture) -> Latency:
        raise RuntimeError("the clock has stopped")

    record, network = ended(trial_in_stretches(TASK, blocks, RECIPE, workload=WORKLOAD, latency=broken))
    assert record.outcome is Outcome.FAILED
    assert record.reason is not None
    assert record.reason.startswith("RuntimeError: the clock has stopped (in broken, test_run_trial.py:")
    assert record.latency is None
    assert record.training is None
    assert network is None


def test_a_loss_that_is_no_number_is_diverged_and_keeps_what_was_measured(blocks: TokenBlocks) -> None:
    wild = RECIPE.model_copy(update={"learning_rate": 1e30, "muon_learning_rate": 1e30, "gradient_clip": 1e30})
    record, network = ended(trial_in_stretches(TASK, blocks, wild, workload=WORKLOAD, latency=some_latency))
    assert record.outcome is Outcome.DIVERGED
    assert record.reason
    assert record.latency is not None
    assert network is None


def test_a_deadline_is_for_the_whole_trial(blocks: TokenBlocks) -> None:
    endless = ProxySpec(seconds=60, context_tokens=16, batch_sequences=4)
    record, _ = ended(
        trial_in_stretches(TASK, blocks, endless, workload=WORKLOAD, latency=some_latency, conditions=Conditions(deadline_seconds=0.2))
    )
    assert record.outcome is Outcome.TIMED_OUT
    assert record.reason
    assert record.wall_seconds < 20


def test_an_exception_in_training_is_failed_with_its_own_words(blocks: TokenBlocks) -> None:
    record, _ = ended(
        trial_in_stretches(
            dataclasses.replace(TASK, architecture=dataclasses.replace(SHAPE, vocab_size=64)), blocks, RECIPE, workload=WORKLOAD
        )
    )
    assert record.outcome is Outcome.FAILED
    assert record.reason is not None
    assert "vocab_size must be that of its token blocks" in record.reason


def test_a_task_travels_as_a_pickle_and_as_json() -> None:
    assert pickle.loads(pickle.dumps(TASK)) == TASK
    assert TrialTask.from_dict(json.loads(json.dumps(TASK.as_dict()))) == TASK


def run_alone(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.slow
def test_a_bare_machine_needs_torch_and_lightning_alone() -> None:
    code = """
import sys
from tests.trials.trial.test_run_trial import *
ids = np.resize(np.arange(0, 28, 4), 4_000).astype(np.uint16)
blocks = TokenBlocks(ids, ids[:600], ids[:600], VOCAB, np.full(VOCAB, 2, np.int32), "made up", "0" * 64, None)
record, network = ended(trial_in_stretches(TASK, blocks, RECIPE, workload=WORKLOAD))
print(record.outcome, [name for name in ("ray", "optuna", "mlflow", "plotly") if name in sys.modules])
"""
    assert run_alone(code).splitlines()[-1] == "finished []"


@pytest.mark.more
@pytest.mark.slow
def test_memory_that_runs_out_while_training_is_a_record_too() -> None:
    code = """
import resource
from tests.trials.trial.test_run_trial import *
ids = np.resize(np.arange(0, 28, 4), 400_000).astype(np.uint16)
blocks = TokenBlocks(ids, ids[:600], ids[:600], VOCAB, np.full(VOCAB, 2, np.int32), "made up", "0" * 64, None)
ended(trial_in_stretches(TASK, blocks, RECIPE, workload=WORKLOAD))
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (256 << 20), -1))
huge = RECIPE.model_copy(update={"batch_sequences": 16_000, "tokens": 1_000_000})
record, network = ended(trial_in_stretches(TASK, blocks, huge, workload=WORKLOAD))
print(record.outcome, "lower proxy.batch_sequences" in record.reason, network)
"""
    assert run_alone(code).splitlines()[-1] == "out_of_memory True None"
