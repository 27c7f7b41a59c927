"""What a study takes over is told before it runs: it costs nothing in the plan, no deadline is for it, and one notice says it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

import archfront
from analysis.records.record import Kind, append
from search_space.errors import SpecError
from tests.support import fakes
from tests.support.real_study import CHANGES, TEXT
from tests.trials.trial.test_scaling_grid import VALUES as LADDER
from trials.commands.gate import passed
from trials.corpus.prepare import prepare_corpus
from trials.driver.stage_keeping import foretell
from trials.plans.check_study import check
from trials.plans.feasible_here import Pace, infeasible_here
from trials.plans.first_trials import FirstTrials
from trials.plans.foretell import ExpectedTrials
from trials.plans.known_paces import ready_paces
from trials.study.directory import tokenizer_file, weights_file
from trials.study.load_study import STUDY, load_begun, load_study
from trials.study.spec import StudySpec
from trials.trial.reuse import Reuse
from trials.trial.task import TrialTask
from trials.trial.training_index import TrainingText

SEARCH: dict[str, Any] = {**fakes.VALUES, **CHANGES}
for section in ("proxy", "workers", "search", "latency"):
    SEARCH[section] = {**fakes.VALUES.get(section, {}), **CHANGES.get(section, {})}
GRID: dict[str, Any] = {
    **LADDER,
    "scaling": {**LADDER["scaling"], "budgets": {"parameters": [30_000, 60_000]}, "tokens": [2_048, 4_096]},
    "space": {**LADDER["space"], "vocab_size": 280},
    "workers": {"count": 2, "threads": 1},
}
NOTHING = ([False], 0.0)
KINDS = {"a search": SEARCH, "a grid": GRID}
PACE = Pace(machine="a machine", flops_per_token=(1,), flops_per_second=(1e3,), usable_bytes=1 << 34)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One index and one cache for all studies of a test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("trials.trial.reuse.trainings_folder", lambda: tmp_path / "trainings")
    monkeypatch.setattr("trials.corpus.splits.SETTLED_SECONDS", -60)  # a file that is as new as a test's is taken for settled
    return tmp_path / "trainings"


def written(values: dict[str, Any], tmp_path: Path, **workers: Any) -> Path:
    """A study of a text of its own."""
    if not (tmp_path / "text.txt").exists():
        (tmp_path / "text.txt").write_text(TEXT)
    values = {**values, "corpus": {"files": [str(tmp_path / "text.txt")]}, "workers": {**values["workers"], **workers}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(values))
    return tmp_path / "study.yaml"


def expected_of(study: StudySpec, directory: Path) -> ExpectedTrials:
    return ExpectedTrials.at(study, FirstTrials.of(study), directory)


def tasks_of(expected: ExpectedTrials) -> list[TrialTask]:
    """What it states and what stands for its proposals, numbered through."""
    proposed = [TrialTask(number=0, kind=Kind.SAMPLED, architecture=shape, seed=0) for shape in expected.sampled]
    return [replace(task, number=number) for number, task in enumerate([*expected.stated, *proposed])]


def finish(
    path: Path, directory: Path, keep: Callable[[int], bool] = lambda _: True, tasks: Callable[[ExpectedTrials], list[TrialTask]] = tasks_of
) -> int:
    """Have an earlier study's directory that trained these of its tasks, or a part of them; how many trainings it is expected to have."""
    study, _, text = load_begun(path, str(directory))
    blocks = prepare_corpus(study.corpus, 280)
    assert blocks.tokenizer_file is not None
    tokenizer_file(directory, 280).parent.mkdir(parents=True)
    shutil.copyfile(blocks.tokenizer_file, tokenizer_file(directory, 280))
    (directory / STUDY).write_text(text)
    reuse = Reuse(study, directory, {280: TrainingText.of(blocks)})
    expected = expected_of(study, directory)
    for task in tasks(expected):
        if keep(task.number):
            record = fakes.answer(task)
            assert record.training is not None
            planned = task.tokens or record.training.planned_tokens
            training = replace(record.training, corpus_sha256=blocks.corpus_sha256, device="cpu", planned_tokens=planned)
            weights_file(directory, task.number).parent.mkdir(exist_ok=True)
            weights_file(directory, task.number).write_bytes(b"weights")
            append(directory, record := replace(record, training=training))
            reuse.leave(record)
    return len(expected.stated) + expected.proposed


def least_seconds(path: Path, directory: Path) -> float:
    """Seconds of the quickest trial that is looked at, by a pace that is kept from then on."""
    expected = expected_of(load_study(path), directory)
    known = ready_paces(expected.study, expected.shapes)
    assert known is not None
    return min(trial.counted for trials in expected.seconds(known) for trial in trials)


@pytest.mark.parametrize("values", KINDS.values(), ids=KINDS)
def test_a_study_whose_trainings_are_all_taken_over_passes_its_deadline_and_costs_no_step(
    values: dict[str, Any], tmp_path: Path, index: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(values, tmp_path)
    path = written(values, tmp_path, deadline_seconds=0.5 * least_seconds(path, tmp_path / "run"))
    study = load_study(path)
    with pytest.raises(SpecError, match=r"workers\.deadline_seconds must leave a trial the time"):
        check(study, tmp_path / "run")
    assert archfront.main(["plan", str(path), "--directory", str(tmp_path / "run")]) == 2
    count = finish(path, tmp_path / "before")
    capsys.readouterr()

    first = passed(study, tmp_path / "run")
    begin, end = (
        f"all {count} trainings of this study are finished in other studies' directories",
        ": they cost neither time nor FLOPs (",
    )
    lines = [line.removeprefix("archfront: ") for line in capsys.readouterr().err.splitlines()]
    said = [line for line in lines if line.startswith(begin) and end in line]
    assert len(said) == 1
    assert archfront.main(["plan", str(path), "--directory", str(tmp_path / "run"), "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)
    assert said[0] in planned["notices"]
    assert planned["stage_seconds"]["training"] == planned["stage_seconds"]["evaluation"] == planned["training_joules"] == 0
    assert planned["stage_seconds"]["latency"] > 0, "a latency belongs to a device and a moment"
    if study.scaling is not None:
        assert {training["is_taken_over"] for training in planned["trainings"]} == {True}
    else:
        assert planned["training_flops"] == planned["training_tokens"] == 0
    (tmp_path / "run").mkdir()
    told = foretell(study, tmp_path / "run", first, [], {}, lambda *_: pytest.fail("timed"), share=1.0)
    assert told is not None
    assert (told.training_flops, told.seconds["training"]) == (0, 0)


@pytest.mark.parametrize(("values", "kept"), [(SEARCH, {0, 1}), (GRID, {0, 2})], ids=KINDS)
def test_of_a_part_that_is_taken_over_the_rest_is_priced(
    values: dict[str, Any], kept: set[int], tmp_path: Path, index: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, plans = written(values, tmp_path), []
    ask = ["plan", str(path), "--directory", str(tmp_path / "run"), "--json"]
    for step in range(2):
        if step:
            finish(path, tmp_path / "before", kept.__contains__)
        capsys.readouterr()
        assert archfront.main(ask) == 0
        plans.append(json.loads(capsys.readouterr().out))
    whole, rest = plans
    assert 0.2 * whole["training_joules"] < rest["training_joules"] < 0.8 * whole["training_joules"]
    assert 0 < rest["stage_seconds"]["evaluation"] < whole["stage_seconds"]["evaluation"]
    assert not any("taken over" in said for said in whole["notices"])
    [said] = [said for said in rest["notices"] if "taken over" in said]
    assert " of " in said.partition(" trainings")[0]


@pytest.mark.parametrize("values", KINDS.values(), ids=KINDS)
def test_one_training_that_is_taken_over_leaves_the_deadline_for_the_others(
    values: dict[str, Any], tmp_path: Path, index: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(values, tmp_path)
    path = written(values, tmp_path, deadline_seconds=0.5 * least_seconds(path, tmp_path / "run"))
    finish(path, tmp_path / "before", lambda number: number == 0)
    study = load_study(path)
    expected, first = expected_of(study, tmp_path / "run"), FirstTrials.of(study)
    assert expected.taken[0][0]
    assert 0 < expected.least_flops() == min(flops for flops in [*expected._stated_flops(), *expected._sampled_flops()] if flops), (
        "what is taken over is no trial of none"
    )
    with pytest.raises(SpecError, match=r"workers\.deadline_seconds must leave a trial the time"):
        check(study, tmp_path / "run")
    (tmp_path / "run").mkdir()
    with pytest.raises(SpecError, match=r"workers\.deadline_seconds must leave a trial the time"):
        foretell(study, tmp_path / "run", first, [], {}, lambda *_: pytest.fail("timed"), share=1.0)
    assert archfront.main(["plan", str(path), "--directory", str(tmp_path / "run")]) == 2
    assert "workers.deadline_seconds must leave a trial the time" in capsys.readouterr().err


def test_a_training_that_is_taken_over_is_never_out_of_this_machines_reach(tmp_path: Path, index: Path) -> None:
    path = written(GRID, tmp_path, deadline_seconds=1)
    study = load_study(path)
    tasks = FirstTrials.of(study).planned
    assert len(infeasible_here(study, tmp_path, tasks, lambda *_: PACE) or {}) == len(tasks)
    finish(path, tmp_path / "before", lambda number: number != 1)
    assert set(infeasible_here(study, tmp_path, tasks) or {}) == {1}


OTHERWISE: dict[str, dict[str, Any]] = {
    "another seed": {"search": {"seed": 5}},
    "another recipe": {"proxy": {"learning_rate": 0.01}},
    "nothing is to be taken over": {"search": {"reuse": False}},
    "a budget in seconds": {"proxy": {"tokens": None, "seconds": 2.0}},
    "another way of training": {"proxy": {"precision": "bfloat16"}},
}


@pytest.mark.parametrize("change", OTHERWISE.values(), ids=OTHERWISE)
def test_other_trainings_are_not_taken_over(change: dict[str, Any], tmp_path: Path, index: Path) -> None:
    path = written(SEARCH, tmp_path)
    finish(path, tmp_path / "before")
    assert expected_of(load_study(path), tmp_path / "run").taken == ([True], 1.0)
    values = yaml.safe_load(path.read_text())
    for section, keys in change.items():
        values[section] = {name: value for name, value in {**values[section], **keys}.items() if value is not None}
    path.write_text(yaml.safe_dump(values))
    assert expected_of(load_study(path), tmp_path / "run").taken == NOTHING


WIDE: dict[str, Any] = {**SEARCH, "space": {**SEARCH["space"], "hidden_size": {"from": 16, "to": 96, "step": 8}, "mlp": ["swiglu", "relu"]}}
WIDE |= {"budget": {"parameters": 40_000, "tolerance": 0.05}, "search": {**SEARCH["search"], "trials": 6}}
TWINS: dict[str, tuple[dict[str, Any], float]] = {
    "the same search": ({}, 1.0),
    "of twice as many trials": ({"search": {"trials": 12}}, 0.5),
    "another sampler": ({"search": {"sampler": "nsga2"}}, 0.0),
    "other objectives": ({"objectives": ["bits_per_byte", "peak_memory_bytes"]}, 0.0),
    "another workload": ({"latency": {"new_tokens": 4}}, 0.0),
}


@pytest.mark.parametrize(("change", "share"), TWINS.values(), ids=TWINS)
def test_a_search_that_was_run_before_takes_over_what_that_proposed(
    change: dict[str, Any], share: float, tmp_path: Path, index: Path
) -> None:
    path = written(WIDE, tmp_path)

    def proposed(expected: ExpectedTrials) -> list[TrialTask]:
        """Shapes that a sampler came to, none of which stands for proposals."""
        shapes = [shape for shape in expected.study.search_space.glimpse.shapes if shape not in expected.sampled][:6]
        assert len(shapes) == 6
        sampled = [TrialTask(number=place + 1, kind=Kind.SAMPLED, architecture=shape, seed=0) for place, shape in enumerate(shapes)]
        return [*expected.stated, *sampled]

    finish(path, tmp_path / "before", tasks=proposed)
    values = yaml.safe_load(path.read_text())
    for section, keys in change.items():
        values[section] = {**values[section], **keys} if isinstance(keys, dict) else keys
    path.write_text(yaml.safe_dump(values))
    stated, of_proposed = expected_of(load_study(path), tmp_path / "run").taken
    assert stated == [True]
    assert of_proposed == pytest.approx(share, abs=0.05)
    (tmp_path / "before" / "records.jsonl").write_bytes((tmp_path / "before" / "records.jsonl").read_bytes() + b"{nothing}\n")
    (tmp_path / "before" / STUDY).write_text("{")
    assert expected_of(load_study(path), tmp_path / "run").taken == NOTHING


def test_a_directory_takes_nothing_over_from_itself_nor_where_the_text_was_not_read(tmp_path: Path, index: Path) -> None:
    path = written(SEARCH, tmp_path)
    finish(path, tmp_path / "before")
    study = load_study(path)
    assert expected_of(study, tmp_path / "before").taken == NOTHING
    (tmp_path / "text.txt").write_text(TEXT + "more")
    assert expected_of(study, tmp_path / "run").taken == NOTHING
    shutil.rmtree(tmp_path / "cache")
    assert expected_of(study, tmp_path / "run").taken == NOTHING
