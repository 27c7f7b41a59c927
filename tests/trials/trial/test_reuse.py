"""The index of finished trainings: what makes two trainings one, what is taken over, and what is not."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from analysis.fronts.front import front_of
from analysis.records.record import FinalRecord, FreshSeed, Kind, Outcome, RatePoint, TrialRecord, append, read_records
from analysis.records.summary import totals
from analysis.records.training import Quality
from analysis.report.study_page import report_page
from analysis.terminal.front_text import front_text
from tests.support import fakes
from tests.support.real_study import RealStudy
from tests.support.sample_study import sample_records, sample_summary
from trials.driver.retrainings import fresh_seed, learning_rate_bracket
from trials.study.directory import tokenizer_file, weights_file
from trials.study.load_study import STUDY, parse_study
from trials.study.spec import ProxySpec
from trials.tracking.mlflow_trial_content import trial_run
from trials.training.mode import TrainingMode
from trials.trial import training_index
from trials.trial.reuse import Reuse
from trials.trial.task import TrialTask
from trials.trial.training_index import TrainingText, training_key

pytestmark = pytest.mark.filterwarnings("default::ResourceWarning", "ignore::DeprecationWarning:ray", "ignore::FutureWarning:ray")
TEXT = TrainingText(corpus_sha256="c" * 64, tokenizer_sha256=training_index.sha256(b"tokenizer"), validations={})
TASK = TrialTask(
    number=3, kind=Kind.SAMPLED, architecture=fakes.small_study()[0].search_space.sample(1)[0], seed=0,
)  # fmt: skip
PROXY = ProxySpec(tokens=1_000)
ASKED: dict[str, Any] = {
    "architecture": TASK.architecture, "seed": 0, "proxy": PROXY, "way": TrainingMode(), "device": "cpu", "text": TEXT,
}  # fmt: skip
OTHERS: dict[str, dict[str, Any]] = {
    "seed": {"seed": 1},
    "precision": {"way": TrainingMode(precision="bfloat16")},
    "threads": {"way": TrainingMode(threads=2)},
    "compile": {"way": TrainingMode(compile=True)},
    "device": {"device": "cuda"},
    "text": {"text": dataclasses.replace(TEXT, corpus_sha256="d" * 64)},
    "tokenizer": {"text": dataclasses.replace(TEXT, tokenizer_sha256="d" * 64)},
    "validation": {"text": dataclasses.replace(TEXT, validations={"news": "d" * 64})},
    "tasks": {"text": dataclasses.replace(TEXT, tasks={"blimp": "d" * 64})},
    "tying": {"architecture": dataclasses.replace(TASK.architecture, tie_word_embeddings=False)},
    "width": {"architecture": dataclasses.replace(TASK.architecture, hidden_size=TASK.architecture.hidden_size + 8)},
}
RECIPES: dict[str, Any] = {
    "tokens": 2_000, "context_tokens": 32, "batch_sequences": 8, "optimizer": "adamw", "learning_rate": 0.02,
    "muon_learning_rate": 0.02, "parametrization": "standard", "base": {"hidden_size": 32}, "weight_decay": 0.0, "gradient_clip": 2.0,
    "schedule": "cosine", "warmup": 0.1, "decay": 0.2, "cooldowns": (0.5,), "evaluations": 2, "evaluation_tokens": 1_024,
    "quantisation_aware": {"precision": "int4"},
}  # fmt: skip


@pytest.mark.parametrize("change", OTHERS.values(), ids=OTHERS)
def test_whatever_decides_a_trainings_numbers_changes_its_key(change: dict[str, Any]) -> None:
    assert training_key(**ASKED) == training_key(**ASKED)
    assert training_key(**ASKED | change) != training_key(**ASKED)


def test_every_key_of_a_recipe_changes_the_key_of_a_training_and_a_budget_in_seconds_has_none() -> None:
    keys = {training_key(**ASKED | {"proxy": ProxySpec(**{"tokens": 1_000} | {name: value})}) for name, value in RECIPES.items()}
    assert len({*keys, training_key(**ASKED)}) == len(RECIPES) + 1
    budgets = {"tokens_per_parameter", "flops", "seconds"}
    assert {*RECIPES, *budgets, "precision", "compile"} == ProxySpec.model_fields.keys(), "a new key of the recipe is tried here"
    assert training_key(**ASKED | {"proxy": ProxySpec(seconds=5)}) is None
    assert training_key(**ASKED | {"proxy": ProxySpec(flops=1e9)}) != training_key(**ASKED | {"proxy": ProxySpec(flops=2e9)})


def test_another_meaning_of_the_same_recipe_is_another_training(monkeypatch: pytest.MonkeyPatch) -> None:
    before = training_key(**ASKED)
    monkeypatch.setattr(training_index, "MEANING", training_index.MEANING + 1)
    assert training_key(**ASKED) != before


def test_where_the_precision_is_left_open_the_way_counts_that_was_taken() -> None:
    left_open, stated = ProxySpec(tokens=1_000, precision="auto"), ProxySpec(tokens=1_000, precision="float32")
    assert training_key(**ASKED | {"proxy": left_open}) == training_key(**ASKED | {"proxy": stated})


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One index for all studies of a test."""
    monkeypatch.setattr("trials.trial.reuse.trainings_folder", lambda: tmp_path / "trainings")
    return tmp_path / "trainings"


def study_at(directory: Path, **changes: Any) -> Reuse:
    """A directory as a study has it before its first trial ends, and its use of the index."""
    study, text = fakes.small_study(**changes)
    directory.mkdir(exist_ok=True)
    (directory / STUDY).write_text(text)
    tokenizer_file(directory, 300).parent.mkdir(exist_ok=True)
    tokenizer_file(directory, 300).write_bytes(b"tokenizer")
    return Reuse(study, directory, {300: TEXT})


def finished(directory: Path, reuse: Reuse, task: TrialTask = TASK) -> TrialRecord:
    """A trial that was trained there, recorded and left to others."""
    record = fakes.answer(task)
    assert record.training is not None
    training = dataclasses.replace(
        record.training, corpus_sha256=TEXT.corpus_sha256, device="cpu", planned_tokens=task.tokens or record.training.planned_tokens
    )
    record = dataclasses.replace(record, training=training)
    weights_file(directory, task.number).parent.mkdir(exist_ok=True)
    weights_file(directory, task.number).write_bytes(b"weights")
    append(directory, record)
    reuse.leave(record)
    return record


def test_a_finished_training_is_taken_over_with_its_weights_and_says_where_it_was_made(tmp_path: Path, index: Path) -> None:
    one, two, three = (study_at(tmp_path / name) for name in ("one", "two", "three"))
    record = finished(tmp_path / "one", one)
    again = dataclasses.replace(TASK, number=7)
    assert record.training is not None
    training = two.take(again)
    assert training == dataclasses.replace(record.training, reused_from=f"{tmp_path / 'one'} #3")
    assert weights_file(tmp_path / "two", 7).read_bytes() == b"weights"
    assert two.take(dataclasses.replace(TASK, seed=1)) is None

    taken = dataclasses.replace(record, number=7, training=training)
    append(tmp_path / "two", taken)
    two.leave(taken)
    assert [len(list(key.iterdir())) for key in index.iterdir()] == [2]
    weights_file(tmp_path / "one", 3).unlink()
    assert three.take(TASK) == training, "what was taken over is found where it was made"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


SPOILED: dict[str, Callable[[Path], object]] = {
    "the records are gone": lambda directory: (directory / "records.jsonl").unlink(),
    "the record is cut short": lambda directory: cut(directory / "records.jsonl"),
    "the record is of another shape": lambda directory: swap(directory / "records.jsonl", '"seed":0', '"seed":1'),
    "the text is another": lambda directory: swap(directory / "records.jsonl", "c" * 64, "d" * 64),
    "the training did not finish": lambda directory: swap(directory / "records.jsonl", '"finished"', '"stopped"'),
    "the weights are gone": lambda directory: weights_file(directory, 3).unlink(),
    "the weights are cut short": lambda directory: cut(weights_file(directory, 3)),
    "the weights are others": lambda directory: weights_file(directory, 3).write_bytes(b"Weights"),
    "the recipe is another": lambda directory: swap(directory / STUDY, "tokens: 20000", "tokens: 30000"),
    "the study is no YAML": lambda directory: (directory / STUDY).write_text("{"),
    "the tokenizer is another": lambda directory: tokenizer_file(directory, 300).write_bytes(b"x"),
    "the tokenizer is gone": lambda directory: tokenizer_file(directory, 300).unlink(),
}


def swap(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED)
def test_what_does_not_fit_any_more_is_forgotten_and_never_an_error(spoil: Callable[[Path], object], tmp_path: Path, index: Path) -> None:
    one, two = study_at(tmp_path / "one"), study_at(tmp_path / "two")
    finished(tmp_path / "one", one)
    assert two.elsewhere(TASK) == tmp_path / "one"
    assert one.elsewhere(TASK) is None, "it is its own"
    spoil(tmp_path / "one")
    unread = spoil in (SPOILED["the weights are cut short"], SPOILED["the weights are others"])
    assert (two.elsewhere(TASK) is not None) == unread, "what only the weights themselves tell is told when they are taken"
    assert len(list(index.glob("*/*"))) == 1
    assert two.take(TASK) is None
    assert list(index.glob("*/*")) == []
    assert not weights_file(tmp_path / "two", TASK.number).exists()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"directory": 3, "number": "x", "what": 1}', b"\xff", b'{"directory": "/nowhere"}']
)
def test_a_damaged_entry_is_forgotten(content: bytes, tmp_path: Path, index: Path) -> None:
    one, two = study_at(tmp_path / "one"), study_at(tmp_path / "two")
    finished(tmp_path / "one", one)
    [entry] = index.glob("*/*")
    entry.write_bytes(content)
    assert two.elsewhere(TASK) is None
    assert two.take(TASK) is None
    assert not entry.exists()


def test_the_next_place_counts_where_the_first_does_not(tmp_path: Path, index: Path) -> None:
    names = ("one", "two", "three", "four")
    for name in names[:3]:
        finished(tmp_path / name, study_at(tmp_path / name))
    entries = sorted(index.glob("*/*"))
    for entry in entries[:2]:
        weights_file(Path(json.loads(entry.read_text())["directory"]), 3).unlink()
    assert study_at(tmp_path / "four").take(TASK) is not None
    assert sorted(index.glob("*/*")) == entries[2:]


def test_a_study_that_asks_for_it_trains_anew_and_still_leaves_its_trainings(tmp_path: Path, index: Path) -> None:
    finished(tmp_path / "one", study_at(tmp_path / "one", search={"reuse": False}))
    assert study_at(tmp_path / "two", search={"reuse": False}).take(TASK) is None
    assert study_at(tmp_path / "three").take(TASK) is not None


def test_what_did_not_finish_and_what_followed_the_clock_is_nobodys(tmp_path: Path, index: Path) -> None:
    one = study_at(tmp_path / "one")
    one.leave(fakes.answer(TASK, outcome=Outcome.STOPPED, reason="stopped"))
    finished(tmp_path / "two", study_at(tmp_path / "two", proxy={"tokens": None, "seconds": 1.0}))
    assert not index.exists()


def test_an_index_that_cannot_be_written_costs_nothing(tmp_path: Path, index: Path) -> None:
    index.write_text("a file where a folder should be")
    one = study_at(tmp_path / "one")
    finished(tmp_path / "one", one)
    assert one.take(TASK) is None


def test_trainings_after_a_search_are_taken_over_too(tmp_path: Path, index: Path) -> None:
    quality = Quality(loss=1.0, bits_per_byte=2.0, next_token_accuracy=0.4, tokens=1)
    fresh = FreshSeed(seed=2_000, validation=quality, test=quality)
    one, two = study_at(tmp_path / "one"), study_at(tmp_path / "two")
    record = finished(tmp_path / "one", one)
    trained_here: list[float] = []

    def with_seed(record: TrialRecord, seed: int) -> FreshSeed:
        trained_here.append(seed)
        return fresh

    def at_rate(record: TrialRecord, factor: float) -> RatePoint:
        trained_here.append(factor)
        return RatePoint(factor=factor, bits_per_byte=None if factor == 2 else 2.5)

    final = FinalRecord(
        number=3,
        fresh_seed=fresh_seed(record, 2_000, with_seed, one),
        learning_rate_bracket=learning_rate_bracket(record, at_rate, one),
        measured_at="2026-01-01T00:00:00+00:00",
    )
    append(tmp_path / "one", final)
    assert trained_here == [2_000, 0.5, 2.0]
    again = dataclasses.replace(record, number=5)
    assert fresh_seed(again, 2_000, with_seed, two) == fresh
    assert learning_rate_bracket(again, at_rate, two) == final.learning_rate_bracket
    assert trained_here == [2_000, 0.5, 2.0, 2.0], "one that diverged is tried again"
    assert fresh_seed(again, 2_001, with_seed, two) == fresh
    assert trained_here[-1] == 2_001


def test_a_report_does_not_count_what_was_taken_over_as_paid() -> None:
    records = sample_records()
    training = records[3].training
    assert training is not None
    taken = dataclasses.replace(records[3], training=dataclasses.replace(training, reused_from="runs/other #9"))
    with_taken = [taken if record.number == 3 else record for record in records]
    paid, less = totals(records), totals(with_taken)
    assert (less.trained, less.reused, paid.reused) == (paid.trained - 1, 1, 0)
    assert less.tokens == paid.tokens - training.tokens
    assert less.process_seconds == pytest.approx(paid.process_seconds - training.process_seconds)
    page = report_page(sample_summary(), with_taken, {})
    assert "1 training finished before, not paid again" in page
    assert "training of runs/other #9" in page
    assert "1 training had been finished before and was taken over." in front_text(with_taken, {}, front_of(with_taken))
    assert trial_run(taken).tags["archfront.reused_from"] == "runs/other #9"
    assert "archfront.reused_from" not in trial_run(records[4]).tags
    assert TrialRecord.from_dict(json.loads(json.dumps(taken.as_dict()))) == taken


@pytest.mark.more
@pytest.mark.slow
def test_a_second_study_trains_nothing_that_the_first_has_trained(tmp_path: Path, real_study: RealStudy, index: Path) -> None:
    shutil.copytree(real_study.trainings, index)
    real_study.run(tmp_path / "two", trials=3)
    first, second = read_records(real_study.directory), read_records(tmp_path / "two")
    assert len(first) == 3
    assert len(second) == 4
    for one, two in zip(first, second, strict=False):
        assert one.training is not None
        assert two.training is not None
        assert one.training.reused_from is None
        assert two.training == dataclasses.replace(one.training, reused_from=f"{real_study.directory} #{one.number}")
        assert two.latency is not None
        assert two.latency != one.latency, "it is measured again"
        assert weights_file(tmp_path / "two", two.number).read_bytes() == weights_file(real_study.directory, one.number).read_bytes()
        assert two.wall_seconds < one.wall_seconds + 60
    assert second[3].training is not None
    assert second[3].training.reused_from is None
    assert any("fresh_seed" in path.name for path in index.glob("*/*"))


def test_in_a_grid_one_shape_at_two_token_counts_is_two_trainings(tmp_path: Path, index: Path) -> None:
    grid = {"budgets": {"flops": [1e11, 2e11]}, "shapes": {"thin": {}}, "tokens": [100_000, 200_000]}
    asked = {"space": {"vocab_size": 300}, "budget": None, "search": {}, "scaling": grid}
    values = {name: value for name, value in {**fakes.VALUES, **asked}.items() if value is not None}
    values["proxy"] = {name: value for name, value in fakes.VALUES["proxy"].items() if name != "tokens"}
    study, text = parse_study(values), yaml.safe_dump(values)
    uses = []
    for name in ("one", "two"):
        study_at(tmp_path / name)
        (tmp_path / name / STUDY).write_text(text)
        uses.append(Reuse(study, tmp_path / name, {300: TEXT}))
    task = dataclasses.replace(TASK, tokens=204_800)
    finished(tmp_path / "one", uses[0], task)
    assert uses[1].take(dataclasses.replace(task, tokens=102_400)) is None
    taken = uses[1].take(dataclasses.replace(task, number=5))
    assert taken is not None
    assert taken.planned_tokens == 204_800
