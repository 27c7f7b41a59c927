"""The way of making training steps is timed once, kept, and the same for all shapes of a study."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from analysis.records.record import Kind, Outcome, append, read_records
from search_space.architecture import Architecture
from search_space.errors import SpecError
from search_space.sharing import Sharing
from tests.support.fakes import plausible, small_study
from trials.driver.preparation import placeable
from trials.driver.run_study import run_study
from trials.machine.processors import device_name
from trials.network.decoder import Network, run_block
from trials.study.directory import claim
from trials.study.files import cache_folder
from trials.study.spec import ProxySpec, StudySpec
from trials.training import pace
from trials.training.compilation import compiled_blocks
from trials.training.failures import OutOfMemory
from trials.training.mode import LEAST_SAVING, Calibration, TimedMode, TrainingMode, saves
from trials.trial import calibration
from trials.trial.calibration import CALIBRATION, as_settled, calibrate, settled
from trials.trial.task import TrialTask

PLAIN = TimedMode(way=TrainingMode(), seconds_per_token=1e-4, start_seconds=0.0)
LOW = TimedMode(way=TrainingMode(precision="bfloat16"), seconds_per_token=0.7e-4, start_seconds=0.0)
COMPILED = TimedMode(way=TrainingMode(compile=True), seconds_per_token=0.85e-4, start_seconds=20.0)


def open_study(**proxy: Any) -> StudySpec:
    left_open = {"precision": "auto", "compile": "auto", **proxy}
    return small_study(proxy=left_open, workers={"threads": "auto"})[0]


def test_a_way_must_save_more_than_the_timing_s_noise_in_every_timing() -> None:
    assert saves([LOW, LOW], [PLAIN, PLAIN], 1e6)
    assert not saves([LOW, PLAIN], [PLAIN, PLAIN], 1e6), "its timings disagree"
    assert not saves([LOW, LOW], [PLAIN, LOW], 1e6), "those of the present way do"
    slightly = replace(LOW, seconds_per_token=PLAIN.seconds_per_token * (1 - LEAST_SAVING / 2))
    assert not saves([slightly, slightly], [PLAIN, PLAIN], 1e6)


def test_compiling_must_win_its_own_time_back() -> None:
    assert not saves([COMPILED], [PLAIN], 1e6)  # 100 s against 20 + 85
    assert saves([COMPILED], [PLAIN], 1e7)


def test_a_calibration_survives_json() -> None:
    made = Calibration(chosen=LOW.way, machine="here", shapes=("a", "b"), tokens=1e6, timed=(PLAIN, LOW))
    assert Calibration.from_dict(json.loads(json.dumps(made.as_dict()))) == made


def faked(monkeypatch: pytest.MonkeyPatch, seconds_per_token: Callable[[TrainingMode], float]) -> list[TrainingMode]:
    """Every way that is timed from now on, in order; a timing is what the function says."""
    timed: list[TrainingMode] = []

    def time_way(proxy: ProxySpec, shapes: list[Architecture], way: TrainingMode, device: str) -> TimedMode:
        assert len(shapes) == calibration.TIMED_SHAPES
        timed.append(way)
        return TimedMode(way=way, seconds_per_token=seconds_per_token(way), start_seconds=0.0)

    monkeypatch.setattr(pace, "time_mode", time_way)
    return timed


def test_what_is_stated_is_kept_and_nothing_is_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    timed = faked(monkeypatch, lambda way: 1e-4)
    study, _ = small_study()
    assert settled(study, tmp_path) == study
    assert not (tmp_path / CALIBRATION).exists()
    monkeypatch.setattr(os, "cpu_count", lambda: 2)  # two workers: a thread each
    only_threads = small_study(workers={"threads": "auto"})[0]
    assert calibrate(only_threads, tmp_path).chosen == TrainingMode()
    assert timed == []


def test_each_rival_is_timed_between_two_of_the_present_way_and_the_choice_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 12)  # six for each of two workers
    timed = faked(monkeypatch, lambda way: 1e-4 / min(way.threads, 4) / (1 + way.compile))
    study = open_study(tokens=100_000_000)
    found = settled(study, tmp_path / "one", lambda study: calibrate(study, tmp_path / "cache"))
    one, two, four, six = (TrainingMode(threads=threads) for threads in (1, 2, 4, 6))
    low, compiled = replace(four, precision="bfloat16"), replace(four, compile=True)
    turns = [(one, two), (two, four), (four, six), (four, low), (four, compiled)]
    assert timed == [way for present, rival in turns for way in (present, rival, rival, present)]
    assert (found.proxy.precision, found.proxy.compile, found.workers.threads) == ("float32", True, 4)
    again = settled(study, tmp_path / "two", lambda study: calibrate(study, tmp_path / "cache"))
    assert (again, len(timed)) == (found, 20)
    assert settled(study, tmp_path / "one", lambda _: pytest.fail("the directory has it")) == found
    assert as_settled(study, tmp_path / "none") == study


def test_a_directory_with_trainings_goes_on_in_their_way(tmp_path: Path) -> None:
    study, text = small_study(proxy={"precision": "auto"}, search={"trials": 2}, workers={"threads": "auto"})
    with claim(tmp_path, text):
        append(tmp_path, plausible(TrialTask(number=0, kind=Kind.SAMPLED, architecture=study.search_space.sample(1, 0)[0], seed=0)))
    found = settled(study, tmp_path, lambda _: pytest.fail("its records have it"))
    assert (found.proxy.precision, found.proxy.compile, found.workers.threads) == ("float32", False, 1)


def test_threads_of_another_machine_are_no_more_than_the_largest_node_has(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [{"Alive": True, "Resources": {"CPU": 2.0}}, {"Alive": True, "Resources": {}}, {"Alive": False, "Resources": {"CPU": 64.0}}]
    monkeypatch.setattr("ray.nodes", lambda: nodes)
    study, _ = small_study(workers={"threads": 8})
    assert placeable(study).workers.threads == 2
    assert placeable(small_study(workers={"threads": 1})[0]).workers.threads == 1


def test_short_trials_are_not_worth_compiling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    timed = faked(monkeypatch, lambda way: 1e-4)
    calibrate(open_study(tokens=100_000), tmp_path)
    calibrate(open_study(tokens=None, seconds=1_000), tmp_path)
    assert timed
    assert not any(way.compile for way in timed), "nor those that last seconds, which compiling would use up"


def test_shapes_that_do_not_fit_the_memory_are_left_to_their_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def time_way(proxy: ProxySpec, shapes: list[Architecture], way: TrainingMode, device: str) -> TimedMode:
        raise OutOfMemory("no room")

    monkeypatch.setattr(pace, "time_mode", time_way)
    assert calibrate(open_study(), tmp_path) == Calibration(chosen=TrainingMode(), machine=device_name())
    assert not list(tmp_path.rglob("*.json"))


def test_a_damaged_calibration_is_named_with_its_cure(tmp_path: Path) -> None:
    (tmp_path / CALIBRATION).write_text("{}")
    with pytest.raises(SpecError, match=r"does not hold a calibration; delete it"):
        settled(open_study(), tmp_path)


def test_a_damaged_cache_is_timed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    timed = faked(monkeypatch, lambda way: 1e-4)
    calibrate(open_study(), tmp_path)
    [path] = (tmp_path / "calibrations").iterdir()
    path.write_text("{")
    before = len(timed)
    assert calibrate(open_study(), tmp_path).chosen == TrainingMode()
    assert len(timed) == 2 * before


def test_a_recipe_without_calibration_is_followed_in_the_plainest_way() -> None:
    assert ProxySpec(tokens=1).plain() == ProxySpec(tokens=1, precision="float32", compile=False)
    stated = ProxySpec(tokens=1, precision="bfloat16", compile=True)
    assert stated.plain() == stated


@pytest.mark.more
@pytest.mark.slow
def test_a_real_study_is_calibrated_where_it_runs_and_its_records_say_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known, cache = cache_folder(), tmp_path / "cache" / "archfront"
    cache.mkdir(parents=True)
    for path in known.iterdir():
        if path.name != "calibrations":  # the texts are there already, as every test finds them
            (cache / path.name).symlink_to(path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache.parent))
    study, text = small_study(
        proxy={"precision": "auto", "compile": "auto", "tokens": 4_096},
        search={"trials": 2},
        workers={"threads": "auto"},
        finals={"fresh_seed": False},
    )
    directory = tmp_path / "run"
    run_study(study, directory, study_text=text)
    found = Calibration.from_dict(json.loads((directory / CALIBRATION).read_text()))
    assert len(list((cache / "calibrations").iterdir())) == 1
    assert {each.way.precision for each in found.timed} == {"float32", "bfloat16"}
    assert all(each.seconds_per_token > 0 for each in found.timed)
    records = read_records(directory)
    assert {record.outcome for record in records} == {Outcome.FINISHED}
    ways = {(r.training.precision, r.training.threads, r.training.compiled) for r in records if r.training}
    assert ways == {(found.chosen.precision, found.chosen.threads, found.chosen.compile)}


@pytest.mark.more
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_compiled_blocks_give_the_same_gradients_and_are_compiled_once_for_all_depths(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._dynamo.utils import counters

    shape = Architecture(
        vocab_size=64,
        hidden_size=32,
        num_unique_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        intermediate_size=48,
        sharing=Sharing("immediate", 2),
    )
    network, tokens = Network(shape), torch.randint(64, (2, 16), generator=torch.Generator().manual_seed(0))

    def gradients() -> list[torch.Tensor]:
        return list(torch.autograd.grad(network(tokens).square().mean(), list(network.parameters())))

    plain = gradients()
    counters.clear()
    with compiled_blocks(network, True):
        compiled = gradients()
        assert counters["stats"]["unique_graphs"] == 1
        with torch.no_grad():
            torch.testing.assert_close(network(tokens[:1, :5]), Network(shape)(tokens[:1, :5]))  # an evaluation compiles nothing
        assert counters["stats"]["unique_graphs"] == 1
    assert network.model.run_block is run_block
    monkeypatch.setattr(torch._dynamo.config, "recompile_limit", 1)
    narrower = Network(replace(shape, hidden_size=24))
    with compiled_blocks(narrower, True):
        narrower(tokens).square().mean().backward()
    assert counters["stats"]["unique_graphs"] == 2, "a process compiles as many shapes as it trains"
    for one, other in zip(compiled, plain, strict=True):
        torch.testing.assert_close(one, other)
