"""A trial goes on from what it left: bit for bit, with its latency, and never from what is not its own."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from analysis.objectives.observed import Observed
from analysis.objectives.problem import problem_of
from analysis.objectives.registry import USUAL
from analysis.records.latency import Latency
from analysis.records.record import Outcome, TrialRecord, read_records
from analysis.records.training import Training
from search_space.architecture import Architecture
from tests.trials.trial.test_run_trial import RECIPE, TASK, WORKLOAD, blocks, some_latency
from trials.corpus.blocks import TokenBlocks
from trials.network.decoder import Network
from trials.study.spec import ProxySpec
from trials.training.conditions import Conditions
from trials.trial.checkpoint import Checkpoint, checkpoint_key
from trials.trial.run_trial import Ended, MeasureLatency, ended, trial_in_stretches
from trials.trial.task import DeviceAway

__all__ = ["blocks"]

ROOT = Path(__file__).resolve().parents[3]
Trial = Generator[TrialRecord, None, Ended]
LOOKS = (0.25, 0.5, 0.75)
LONGER = RECIPE.model_copy(update={"tokens": 4_096, "evaluations": 4})
WITH_COOLDOWNS = LONGER.model_copy(update={"cooldowns": (0.4, 0.6)})


def place(path: Path, blocks: TokenBlocks, recipe: ProxySpec = LONGER, threads: int = 1) -> Checkpoint:
    return Checkpoint(path, checkpoint_key(TASK, recipe, blocks, Conditions(threads=threads)))


def start(blocks: TokenBlocks, checkpoint: Checkpoint | None, recipe: ProxySpec = LONGER, measure: MeasureLatency = some_latency) -> Trial:
    return trial_in_stretches(TASK, blocks, recipe, workload=WORKLOAD, latency=measure, looks=LOOKS, checkpoint=checkpoint)


def timeless(training: Training | None) -> Training:
    """What does not depend on the machine's pace."""
    assert training is not None
    curve = tuple(dataclasses.replace(point, seconds=0.0) for point in training.curve)
    return dataclasses.replace(
        training,
        curve=curve,
        peak_memory_bytes=None,
        tokens_per_second=1.0,
        wall_seconds=1.0,
        process_seconds=1.0,
        evaluation_seconds=None,
        cooldown_seconds=None,
        model_flops_utilisation=None,
    )


def same(one: tuple[TrialRecord, Network | None], other: tuple[TrialRecord, Network | None]) -> bool:
    weights = [list(network.parameters()) for _, network in (one, other) if network is not None]
    alike = all(torch.equal(a, b) for a, b in zip(*weights, strict=True))
    return alike and timeless(one[0].training) == timeless(other[0].training) and one[0].latency == other[0].latency


@pytest.mark.parametrize("recipe", [LONGER, WITH_COOLDOWNS], ids=["plain", "with cooldowns"])
@pytest.mark.parametrize("looks", [1, 2, 3])
def test_a_trial_that_was_cut_off_ends_as_if_nothing_had_been(tmp_path: Path, blocks: TokenBlocks, recipe: ProxySpec, looks: int) -> None:
    undisturbed = ended(start(blocks, None, recipe))
    measured: list[Architecture] = []

    def measure(shape: Architecture) -> Latency:
        measured.append(shape)
        return some_latency(shape)

    checkpoint = place(tmp_path / "checkpoints" / "0003.safetensors", blocks, recipe)
    first = start(blocks, checkpoint, recipe, measure)
    seen = [next(first) for _ in range(looks)]
    del first
    assert [record.outcome for record in seen] == [Outcome.STOPPED] * looks
    assert [timeless(record.training).tokens for record in seen] == [1_024 * (look + 1) for look in range(looks)]
    again = start(blocks, checkpoint, recipe, measure)
    assert timeless(next(again).training) == timeless(seen[-1].training)
    result = ended(again)
    assert same(result, undisturbed)
    assert len(measured) == 1


def test_the_looks_change_nothing_about_the_training(blocks: TokenBlocks) -> None:
    looked = ended(start(blocks, None))
    plain = ended(trial_in_stretches(TASK, blocks, LONGER, workload=WORKLOAD, latency=some_latency))
    assert all(torch.equal(a, b) for a, b in zip(*([*each[1].parameters()] for each in (looked, plain) if each[1]), strict=True))
    assert looked[0].training is not None
    assert plain[0].training is not None
    assert looked[0].training.validation == plain[0].training.validation


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-50] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [cut, flip, lambda path: path.write_bytes(b""), Path.unlink, lambda path: path.write_bytes(b"{}" * 99)])
def test_what_is_damaged_counts_as_not_there(tmp_path: Path, blocks: TokenBlocks, damage: Callable[[Path], object]) -> None:
    checkpoint = place(tmp_path / "0003.safetensors", blocks)
    next(start(blocks, checkpoint))
    assert checkpoint.read() is not None
    damage(checkpoint.path)
    assert checkpoint.read() is None
    assert same(ended(start(blocks, checkpoint)), ended(start(blocks, None)))


def test_another_recipe_text_or_thread_count_does_not_go_on_from_it(tmp_path: Path, blocks: TokenBlocks) -> None:
    path = tmp_path / "0003.safetensors"
    next(start(blocks, place(path, blocks)))
    assert place(path, blocks).read() is not None
    assert place(path, blocks, LONGER.model_copy(update={"learning_rate": 0.01})).read() is None
    assert place(path, blocks, threads=2).read() is None
    assert place(path, dataclasses.replace(blocks, corpus_sha256="1" * 64)).read() is None


def test_a_place_that_cannot_be_written_costs_the_checkpoint_alone(tmp_path: Path, blocks: TokenBlocks) -> None:
    (tmp_path / "file").write_text("no folder")
    record, _ = ended(start(blocks, place(tmp_path / "file" / "0003.safetensors", blocks)))
    assert record.finished


def test_a_state_is_left_once_a_minute_between_looks_too(tmp_path: Path, blocks: TokenBlocks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trials.trial.run_trial.INTERVAL_SECONDS", 0.0)
    monkeypatch.setattr("trials.trial.run_trial.SHARE_OF_TIME", 1e9)
    checkpoint = place(tmp_path / "0003.safetensors", blocks)
    undisturbed = ended(trial_in_stretches(TASK, blocks, LONGER, workload=WORKLOAD, checkpoint=checkpoint))
    kept = checkpoint.read()
    assert kept is not None
    assert kept.state["tally"]["steps"] == 64
    assert same(ended(trial_in_stretches(TASK, blocks, LONGER, workload=WORKLOAD, checkpoint=checkpoint)), undisturbed)


def test_a_trial_whose_latency_is_not_to_be_had_is_trained_and_judged_at_its_looks_later(tmp_path: Path, blocks: TokenBlocks) -> None:
    def away(shape: Architecture) -> Latency:
        raise DeviceAway

    undisturbed, _ = ended(start(blocks, None))
    checkpoint = place(tmp_path / "0003.safetensors", blocks)
    first = start(blocks, checkpoint, measure=away)
    seen = [next(first), next(first)]
    assert [record.latency for record in seen] == [None, None]
    del first
    kept = checkpoint.read()
    assert kept is not None
    assert list(kept.looks) == seen

    again = start(blocks, checkpoint, measure=away)
    assert [next(again), next(again)] == seen, "whoever takes the trial up is asked again"
    record, network = ended(again)
    assert record.finished
    assert record.latency is None
    assert network is not None
    assert timeless(record.training) == timeless(undisturbed.training)

    measured = start(blocks, checkpoint)  # the device is back
    looks = [next(measured) for _ in LOOKS]
    assert [look.latency for look in looks] == [undisturbed.latency] * 3
    assert timeless(looks[0].training) == timeless(seen[0].training)
    assert ended(measured)[0].latency == undisturbed.latency


def test_a_shape_over_a_limit_is_measured_and_not_trained(blocks: TokenBlocks) -> None:
    latency = some_latency(TASK.architecture)
    bounded = problem_of(USUAL, {"total_ms": latency.total_ms.median / 2})
    record, network = ended(trial_in_stretches(TASK, blocks, LONGER, workload=WORKLOAD, latency=some_latency, problem=bounded))
    assert record.outcome is Outcome.OVER_LIMIT
    assert "is above limits.total_ms" in (record.reason or "")
    assert (record.reason or "").endswith(", so it was not trained")
    assert record.latency == latency
    assert record.training is None
    assert network is None
    assert TrialRecord.from_dict(record.as_dict()) == record
    heavy = dataclasses.replace(latency, peak_memory_bytes=2_000_000)
    light = problem_of(USUAL, {"peak_memory_bytes": 1_000_000})
    said = light.passed_limit(Observed.of(dataclasses.replace(record, latency=heavy)), "device")
    assert said == "its peak memory of 2.00 MB is above limits.peak_memory_bytes, 1.00 MB"
    assert light.passed_limit(Observed.of(record), "device") is None


def test_a_shape_over_a_limit_of_a_closed_form_is_not_even_measured(blocks: TokenBlocks) -> None:
    def measure(shape: Architecture) -> Latency:
        raise AssertionError("it was measured")

    bounded = problem_of(USUAL, {"weight_bytes": 1000})
    record, network = ended(trial_in_stretches(TASK, blocks, LONGER, workload=WORKLOAD, latency=measure, problem=bounded))
    assert (record.outcome, record.latency, record.training, network) == (Outcome.OVER_LIMIT, None, None, None)
    assert "is above limits.weight_bytes, 1.00 kB, so it was not trained" in (record.reason or "")


STUDY = """
name: cut-off
corpus: {name: python-stdlib}
budget: {parameters: 100_000}
space: {vocab_size: 512, num_unique_layers: [2, 3], head_dim: 16, hidden_size: [64], intermediate_size: {solve: true, multiple_of: 8}}
references: []
proxy:
  {tokens: 400_000, context_tokens: 64, batch_sequences: 16, evaluations: 1, evaluation_tokens: 4_096, precision: float32, compile: false}
search: {trials: 1, sampler: random, replicates: 0, early_stopping: front, reuse: false}
workers: {count: 1, threads: 1}
finals: {fresh_seed: false, learning_rate_bracket: false}
"""


@pytest.mark.more
@pytest.mark.slow
def test_a_real_trial_whose_driver_and_worker_are_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    directory = tmp_path / "killed"
    command = [sys.executable, "-m", "archfront", "run", str(tmp_path / "study.yaml"), "--directory", str(directory)]

    def begin() -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True)

    killed, left = begin(), directory / "checkpoints" / "0000.safetensors"
    states: set[int] = set()
    deadline = time.monotonic() + 400
    while len(states) < 4 and killed.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
        with suppress(FileNotFoundError):
            states.add(left.stat().st_mtime_ns)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert len(states) == 4  # at a sixteenth, an eighth, a quarter and a half
    assert not read_records(directory)
    assert begin().wait(timeout=300) == 0
    [record] = read_records(directory)
    assert record.finished
    assert record.training is not None
    assert record.training.tokens == record.training.planned_tokens
    assert record.wall_seconds < record.training.wall_seconds  # the trial's own are those of what was left to do
    assert not left.exists()
