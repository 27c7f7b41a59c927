"""Running a scaling study: what a machine can reach, going on after an interruption, and the whole way with real trainings."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import archfront as front_door
from analysis.laws.fit_law import load_runs
from analysis.laws.options import FitOptions
from analysis.records.record import Kind, read_records
from analysis.text.words import duration
from search_space.errors import SpecError
from tests.conftest import Call
from tests.support import fakes
from tests.test_journey import WORDS
from tests.trials.training.test_proxy_run import SHAPE, STEP, periodic, recipe
from tests.trials.trial.test_scaling_grid import VALUES, ladder
from trials.corpus.blocks import TokenBlocks
from trials.driver.run_study import run_study
from trials.plans import plan_scaling
from trials.plans.feasible_here import Pace, grouped, infeasible_here, infeasible_reason
from trials.plans.text_size import TextSize
from trials.study.load_study import load_study
from trials.study.spec import StudySpec
from trials.training.proxy_run import ProxyRun, train
from trials.training.schedules import ending_at
from trials.trial.scaling_grid import planned_tasks
from trials.trial.task import TrialTask

__all__ = ["periodic"]
pytestmark = pytest.mark.filterwarnings("default::ResourceWarning", "ignore::DeprecationWarning:ray", "ignore::FutureWarning:ray")
GIGABYTE = 10**9
PACE = Pace(machine="a machine", flops_per_token=(10**5, 10**6), flops_per_second=(1e9, 2e9), usable_bytes=4 * GIGABYTE)
SIZES: dict[str, Any] = {"budgets": {"parameters": [100_000, 10_000_000, 1_000_000_000]}, "shapes": {"thin": {}}}


def test_a_branch_of_a_ladder_is_the_separate_run_bit_for_bit_at_the_usual_shares(periodic: TokenBlocks) -> None:
    whole = recipe(tokens=128 * STEP, warmup=0.05, decay=0.3, cooldowns=[0.25, 0.5])
    _, training = train(SHAPE, periodic, whole, seed=3)
    for share, cooldown in zip(whole.cooldowns, training.cooldowns, strict=True):
        separate, _ = ending_at(whole, ProxyRun(SHAPE, periodic, whole, seed=3).plan, share)
        _, alone = train(SHAPE, periodic, separate, seed=3)
        assert alone.validation is not None
        assert (cooldown.tokens, cooldown.loss) == (alone.tokens, alone.validation.loss)


def test_what_a_machine_cannot_hold_or_end_in_time_is_left_out_with_the_reason() -> None:
    study = ladder(scaling=SIZES, workers={"deadline_seconds": 1_000})
    small, middle, large = planned_tasks(study)
    assert infeasible_reason(study, small, PACE) is None
    assert PACE.seconds(middle.architecture, study.proxy) > 1_000
    assert infeasible_reason(study, middle, PACE) == (
        f"it takes about {duration(PACE.seconds(middle.architecture, study.proxy))} here, more than the 16 min 40 s of "
        "workers.deadline_seconds"
    )
    assert "must fit into 3.7 GiB" in str(infeasible_reason(study, large, PACE))


def test_a_pace_says_the_slower_neighbours_speed_and_the_ends_beyond() -> None:
    proxy = ladder().proxy
    shapes = [task.architecture for task in planned_tasks(ladder(scaling=SIZES))]
    one = Pace(machine="a", flops_per_token=(1,), flops_per_second=(1e9,), usable_bytes=1)
    assert PACE.seconds(shapes[2], proxy) == pytest.approx(one.seconds(shapes[2], proxy) / 2)
    assert PACE.seconds(shapes[0], proxy) == pytest.approx(one.seconds(shapes[0], proxy))  # between the two


def test_the_pace_of_the_first_run_is_kept_so_that_a_continued_study_has_the_same_part(tmp_path: Path) -> None:
    study = ladder(scaling=SIZES, workers={"deadline_seconds": 1_000})
    tasks = planned_tasks(study)
    assert infeasible_here(study, tmp_path, tasks) is None
    calls = []

    def measure(study: StudySpec, tasks: object) -> Pace:
        calls.append(study.name)
        return PACE

    assert set(infeasible_here(study, tmp_path, tasks, measure) or {}) == {1, 2}
    assert infeasible_here(study, tmp_path, tasks) == infeasible_here(study, tmp_path, tasks, measure)
    assert calls == ["ladder"]
    (tmp_path / "pace.json").write_text("[]")
    with pytest.raises(SpecError, match=r"must hold how fast this machine trains.*delete it"):
        infeasible_here(study, tmp_path, tasks)


def test_reasons_are_said_once_for_each_kind() -> None:
    study = ladder(scaling={**SIZES, "seeds": 2}, workers={"deadline_seconds": 1_000})
    reasons = {task.number: reason for task in planned_tasks(study) if (reason := infeasible_reason(study, task, PACE)) is not None}
    assert [text.partition(":")[0] for text in grouped(reasons)] == ["2 trainings (#2, #5)", "2 trainings (#1, #4)"]
    assert grouped({4: "it takes about 3 h"}) == ["1 training (#4): it takes about 3 h"]
    assert grouped(dict.fromkeys(range(9), "it takes about 3 h")) == ["9 trainings (#0, #1, #2, ... #8): it takes about 3 h"]


def test_a_plan_costs_each_training_and_marks_what_this_machine_leaves_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_scaling, "time_pace", lambda study, tasks: PACE)
    monkeypatch.setattr("trials.plans.text_use.text_size", lambda corpus, size: TextSize(train_tokens=10_000, is_exact=True, look=None))
    hardware = {"name": "a card", "peak_flops": 1e15, "utilisation": 0.4, "memory_bytes": 8 * GIGABYTE}
    study = ladder(scaling={**SIZES, "hardware": hardware}, workers={"deadline_seconds": 1_000})
    plan = plan_scaling.plan_scaling(study)
    assert [training.left_out is None for training in plan.trainings] == [True, False, False]
    assert plan.here == [plan.trainings[0]]
    assert [training.gpus for training in plan.trainings] == [1, 1, 2]
    for training in plan.trainings:
        assert training.gpu_hours == pytest.approx(training.training_flops / 1e15 / 0.4 / 3600)
        assert training.paid_tokens < training.separate_tokens
    said = str(plan)
    assert "1 of 3 trainings" in said
    assert any("3 trainings repeat more than 4 times" in warning for warning in plan.warnings)
    assert json.loads(json.dumps(plan.as_dict()))["trainings"][2]["left_out"] == plan.trainings[2].left_out


def run(directory: Path, tracking: str, study: StudySpec, values: dict[str, Any], evaluate: Any) -> Any:
    return run_study(study, directory, study_text=yaml.safe_dump(values), tracking_uri=tracking, evaluate=evaluate)


@pytest.mark.more
@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_an_interrupted_ladder_goes_on_with_what_has_no_record(tmp_path: Path, tracking: str) -> None:
    values = {**VALUES, "scaling": {**VALUES["scaling"], "seeds": 2}}
    study = ladder(scaling={"seeds": 2})
    result = run(tmp_path / "study", tracking, study, values, fakes.slow)
    assert result.failure is None
    assert result.left_out == {}
    assert result.planned == 16
    assert [(record.number, record.architecture, record.seed) for record in result.records] == [
        (task.number, task.architecture, task.seed) for task in planned_tasks(study)
    ]
    assert {record.kind for record in result.records} == {Kind.GRID, Kind.REPLICATE}
    path = tmp_path / "study" / "records.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    kept = b"".join(lines[:5])
    path.write_bytes(kept + lines[5][:40])  # as a power cut leaves it
    again = run(tmp_path / "study", tracking, study, values, fakes.plausible)
    assert path.read_bytes().startswith(kept)
    assert [record.architecture for record in again.records] == [record.architecture for record in result.records]
    assert [record.number for record in again.records] == list(range(16))


TINY = """
name: tiny
corpus: {files: ["*.txt"]}
scaling:
  budgets: {parameters: [12_000, 24_000, 400_000_000]}
  shapes: {thin: {like: deep-thin, aspect_ratio: 16}}
  tokens: [4_096, 8_192]
space: {vocab_size: 300, head_dim: 8, intermediate_size: {solve: true, multiple_of: 4}}
latency: {prompt_tokens: 8, new_tokens: 8, repeats: 2}
proxy: {context_tokens: 32, batch_sequences: 8, evaluation_tokens: 1024, precision: float32, compile: false}
workers: {count: 2, threads: 1, deadline_seconds: 60}
"""


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_from_a_grid_to_its_losses(tmp_path: Path, archfront: Call) -> None:
    generator = torch.Generator().manual_seed(0)
    picks = torch.randint(len(WORDS), (40_000,), generator=generator).tolist()
    lines = [" ".join(WORDS[pick] for pick in picks[start : start + 12]) for start in range(0, len(picks), 12)]
    (tmp_path / "text.txt").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "tiny.yaml").write_text(TINY, encoding="utf-8")

    planned = archfront("plan", "tiny.yaml")
    assert planned.returncode == 0, planned.stderr
    assert "3 trainings, 6 losses" in planned.stdout
    assert "2 of 3 trainings" in planned.stdout
    assert "warning" in planned.stdout

    ran = archfront("run", "tiny.yaml")
    assert ran.returncode == 0, ran.stderr
    assert "left out 1 training (#2): " in ran.stderr
    assert "archfront fit runs/tiny --form chinchilla" in ran.stderr
    directory = tmp_path / "runs" / "tiny"
    records = read_records(directory)
    assert [record.number for record in records] == [0, 1]
    assert all(record.finished and record.name == "thin" for record in records)
    for record in records:
        assert record.training is not None
        assert [cooldown.tokens for cooldown in record.training.cooldowns] == [4_096]
        assert record.training.tokens == 8_192
        assert f"{record.training.cooldowns[0].loss:.4f}" in ran.stdout
        assert not record.training.reused_from
    runs = load_runs(directory, FitOptions())
    assert sorted(runs.variables["tokens"]) == [4_096, 4_096, 8_192, 8_192]
    assert (directory / "report.html").exists()

    again = archfront("run", "tiny.yaml")
    assert again.returncode == 0, again.stderr
    assert again.stdout == ran.stdout, "a finished study is not run again"
    assert "left out 1 training (#2): " in again.stderr


def test_the_front_door_plans_a_grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(plan_scaling, "time_pace", lambda study, tasks: PACE)
    (tmp_path / "ladder.yaml").write_text(yaml.safe_dump({**VALUES, "corpus": {"files": ["text.txt"]}}))
    (tmp_path / "text.txt").write_text("".join(f"line {number} of some text\n" for number in range(9_000)))
    assert front_door.main(["plan", str(tmp_path / "ladder.yaml"), "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert len(plan["trainings"]) == 8
    assert front_door.main(["plan", str(tmp_path / "ladder.yaml")]) == 0
    assert "8 trainings, 24 losses" in capsys.readouterr().out
    task = TrialTask(number=0, kind=Kind.GRID, architecture=SHAPE, seed=0, tokens=64)
    assert task.as_dict()["tokens"] == 64


def test_the_study_from_1m_to_10b_is_costed_budget_by_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    pace = replace(PACE, flops_per_second=(1.5e10, 1.5e10), usable_bytes=10 * GIGABYTE)
    monkeypatch.setattr(plan_scaling, "time_pace", lambda study, tasks: pace)
    monkeypatch.setattr("trials.plans.text_use.text_size", lambda corpus, size: TextSize(train_tokens=3_000_000, is_exact=True, look=None))
    study = load_study(Path(__file__).resolve().parents[3] / "studies" / "scale-1m-10b.yaml")
    plan = plan_scaling.plan_scaling(study)
    assert plan.resolution.warnings == ()
    assert set(plan.resolution.exponents) == {"omega", "gamma", "rho", "beta"}
    assert [(budget, len(trainings)) for budget, trainings in plan.by_budget.items()] == [(size, 6) for size in plan.budgets]
    assert (plan.budgets[0], plan.budgets[-1]) == (1e6, 1e10)
    for budget, trainings in plan.by_budget.items():
        assert [training.parameters for training in trainings] == pytest.approx([budget] * 6, rel=0.03)
    largest = plan.trainings[-1]
    assert largest.training_flops > 1e22
    assert largest.gpu_hours == pytest.approx(largest.training_flops / (989e12 * 0.4) / 3600)
    assert (largest.gpus or 0) >= 2
    assert 0 < len(plan.here) < 7
    text = str(plan).splitlines()
    assert any(line.split()[:2] == ["10B", "6"] and line.endswith("none") for line in text)
    assert any("no: memory" in line for line in text)
