"""A long training as a job: what travels is what it reads, and the job reads it as it was named here."""

from __future__ import annotations

import dataclasses
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

import archfront
from analysis.records.record import Kind, append
from search_space.errors import SpecError
from tests.support import fakes
from tests.support.ray_head import write_study
from tests.support.sample_study import sample_records
from tests.trials.commands.test_submit import ADDRESS, orders
from tests.trials.pretraining.test_train import RECIPE, SHAPE, folder
from trials.jobs.fetch import TRAINING, fetch_from
from trials.jobs.order import Order
from trials.jobs.shipment import pack, pack_files
from trials.pretraining.kept_files import require_text_of
from trials.pretraining.statement import MODEL_LEFT, STATEMENT, TRAINED_WEIGHTS, Statement, settle
from trials.study.corpus_spec import CorpusSpec
from trials.study.load_study import BEGUN, STUDY
from trials.trial.shape_file import shape_text
from trials.trial.task import TrialTask

__all__ = ["folder", "orders"]


def submit(*words: str) -> int:
    return archfront.main(["job", "submit", "train", *words, *ADDRESS])


def sent(order: Order, shipped: Path) -> list[str]:
    """What the job's folder holds of files, once the order is packed."""
    shipped.mkdir()
    if order.files:
        pack(order.files[0], shipped, order.files[1:], order.beside)
    else:
        pack_files(order.beside, shipped, order.study)
    return sorted(file.relative_to(shipped / "study").as_posix() for file in (shipped / "study").rglob("*") if file.is_file())


def planned(order: Order, shipped: Path) -> str:
    """What the job's own command foresees, run where the package lies."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": ""}
    command = f"{order.command()} --plan"
    done = subprocess.run(command, shell=True, cwd=shipped, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_configuration_travels_with_its_text_its_tokenizer_and_its_recipe(
    folder: Path, orders: list[Order], monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (folder / "ship").mkdir()
    (folder / "ship" / "architecture.yaml").write_text(shape_text(SHAPE), encoding="utf-8")
    (folder / "ship" / "model.safetensors").write_text("not asked for")
    (folder / "recipes").mkdir()
    (folder / "recipes" / "mine.yaml").write_text(yaml.safe_dump(RECIPE), encoding="utf-8")
    (folder / "texts").mkdir()
    for number in range(2):
        (folder / "texts" / f"{number}.txt").write_text((folder / "text.txt").read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.chdir(folder)
    assert submit("ship", "--data", "texts/*.txt", "text.txt", "--recipe", "recipes/mine.yaml", "--directory", "/data/x") == 0
    [order] = orders
    shipped = tmp_path_factory.mktemp("job") / "package"
    assert sent(order, shipped) == ["recipes-of-jobs/mine.yaml", "ship/architecture.yaml", "text.txt", "texts/0.txt", "texts/1.txt"]
    said = planned(order, shipped)
    assert "mine.yaml (a test): 5,120 tokens in 40 steps" in said
    words = shlex.split(order.command())
    assert words[words.index("--output") + 1] == "/data/x"
    assert not Path("/data/x").exists()


@pytest.fixture
def winner(tmp_path: Path) -> Path:
    """A study's directory of this machine, its text named relative to its YAML."""
    directory = tmp_path / "runs" / "small"
    study, text = fakes.small_study(references=[], corpus={"name": None, "files": "text.txt"})
    directory.mkdir(parents=True)
    shutil.copy(write_study(tmp_path / "of-the-head").parent / "texts" / "0.txt", tmp_path / "text.txt")
    for path in (directory / STUDY, directory / BEGUN, tmp_path / "small.yaml"):
        path.write_text(text)
    for here in ("tracking.json", "origin.json"):
        (directory / here).write_text("{}")
    (directory / "mlflow.db").write_text("stays here")
    for number, shape in enumerate(study.search_space.sample(3, 0)):
        append(directory, fakes.answer(TrialTask(number=number, kind=Kind.SAMPLED, architecture=shape, seed=0)))
    return directory


@pytest.mark.slow
def test_a_winner_of_this_machine_travels_with_the_records_of_its_study(
    winner: Path, orders: list[Order], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert submit("runs/small", "--trial", "1", "--tokens", "40k") == 2
    assert "--data must name the YAML of small, beside which its text 'text.txt' lies" in capsys.readouterr().err
    assert submit("runs/small", "--trial", "1", "--tokens", "40k", "--data", "small.yaml") == 0
    [order] = orders
    assert (order.study, order.directory) == ("small", "~/archfront/small-0001-train")
    shipped = tmp_path / "package"
    names = ["small.yaml", "small/records.jsonl", "small/study.begun.yaml", "small/study.yaml", "text.txt"]
    assert sent(order, shipped) == names
    assert "small's own" in planned(order, shipped)


@pytest.mark.parametrize("recipe", ["own/tiny.yaml", "own/own.yaml", "own/0.txt"])
def test_a_recipe_travels_beside_files_of_its_name(
    recipe: str, tmp_path: Path, orders: list[Order], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = write_study(tmp_path, references=["shapes/own.yaml", "own.yaml"])
    shutil.copy(tmp_path / "shapes" / "own.yaml", tmp_path / "own.yaml")
    (tmp_path / "own").mkdir()
    (tmp_path / recipe).write_text(yaml.safe_dump(RECIPE), encoding="utf-8")
    there = {name: (tmp_path / name).read_bytes() for name in ("tiny.yaml", "own.yaml", "texts/0.txt")}
    monkeypatch.chdir(tmp_path)
    assert submit(str(study), "--trial", "3", "--recipe", recipe) == 0
    shipped = tmp_path / "package"
    names = sent(orders[0], shipped)
    assert {name: (shipped / "study" / name).read_bytes() for name in there} == there
    words = shlex.split(orders[0].command())
    named = words[words.index("--recipe") + 1]
    assert named in names
    assert (shipped / "study" / named).read_bytes() == (tmp_path / recipe).read_bytes()


def test_two_files_of_one_name_in_a_job_are_refused(
    winner: Path, orders: list[Order], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other" / "small").mkdir(parents=True)
    (tmp_path / "other" / "small" / "records.jsonl").write_text('{"text": "no record"}\n')
    (tmp_path / "other" / "text.yaml").write_text("files: small/*.jsonl\n")
    monkeypatch.chdir(tmp_path)
    assert submit("runs/small", "--trial", "1", "--tokens", "40k", "--data", "other/text.yaml") == 2
    said = capsys.readouterr().err
    assert said.startswith("archfront: a job must have one file of each name, found small/records.jsonl for ")
    assert said.endswith("other/small/records.jsonl; rename one of them\n")
    assert not orders


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["runs/small", "--trial", "9", "--tokens", "40k", "--data", "small.yaml"], "has no trial 9"),
        (["runs/small", "--trial", "1", "--data", "small.yaml"], "--tokens must say how long"),
        (["runs/small", "--trial", "1", "--tokens", "1k", "--study-directory", "/data"], "--study-directory must go with a study's YAML"),
        (["nothing.yaml", "--data", "text.txt"], "nothing.yaml is not a file"),
        (["runs/small", "--trial", "1", "--tokens", "40k", "--data", "../text.txt"], "--data: ../text.txt must lie below"),
        (["runs/small", "--trial", "1", "--tokens", "40k", "--data", "none.txt"], "--data: none.txt must name a file in"),
        (
            ["runs/small", "--trial", "1", "--tokens", "40k", "--data", "text.txt", "--tokenizer", "no.json"],
            "--tokenizer: no.json must name",
        ),
        (["runs/small", "--trial", "1", "--tokens", "40k", "--data", "small.yaml", "--directory", "here"], "a job's directory must be"),
    ],
)
def test_what_no_job_can_train_is_refused_before_anything_is_sent(
    more: list[str],
    said: str,
    winner: Path,
    orders: list[Order],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert submit(*more) == 2
    assert said in capsys.readouterr().err
    assert not orders


def test_a_trial_of_a_study_there_is_named_by_the_study_s_file(tmp_path: Path, orders: list[Order]) -> None:
    path = write_study(tmp_path / "studies")
    assert submit(str(path), "--trial", "3", "--tokens", "4k", "--study-directory", "~/studies/a b") == 0
    words = shlex.split(orders[0].command())
    after = words[words.index("train") :]
    assert after[:6] == ["train", "~/studies/a b", "--output", "~/archfront/tiny-0003-train", "--data", "tiny.yaml"]
    assert " ~/'studies/a b' " in orders[0].command(), "the home folder is the head's"
    assert orders[0].files == (path,)


def test_a_training_goes_on_though_its_text_lies_elsewhere_each_time(tmp_path: Path) -> None:
    def wanted(*files: str) -> Statement:
        from trials.pretraining.recipes import TrainingRecipe

        proxy = TrainingRecipe("x", "x", RECIPE).of(SHAPE).plain()
        return Statement(
            title="x",
            shape=SHAPE,
            proxy=proxy,
            recipe="x",
            recipe_source="x",
            corpus=CorpusSpec(files=files),
            seed=0,
            threads=1,
            device="cpu",
        )

    settle(tmp_path, wanted("/package-1/texts/a.txt"))
    (tmp_path / "state.safetensors").touch()
    settle(tmp_path, wanted("/package-2/texts/a.txt"))
    settle(tmp_path, wanted("texts/a.txt"))
    with pytest.raises(SpecError, match=r"corpus.files is \['a.txt'\] there and \['b.txt'\] here"):
        settle(tmp_path, wanted("/package-2/texts/b.txt"))


def test_a_training_that_is_over_is_no_other_texts_though_its_files_are_called_alike(tmp_path: Path) -> None:
    record = next(record for record in sample_records() if record.finished)
    assert record.training is not None
    training = dataclasses.replace(record.training, corpus_sha256="e" * 64)
    ours: Any = SimpleNamespace(corpus_sha256="e" * 64)
    theirs: Any = SimpleNamespace(corpus_sha256="d" * 64)
    require_text_of(tmp_path, training, ours)
    with pytest.raises(SpecError, match=r"must hold a training of this text, found one of another text .*; name another folder"):
        require_text_of(tmp_path, training, theirs)


def test_a_training_s_weights_and_model_are_fetched_with_it(tmp_path: Path) -> None:
    from tests.trials.jobs.test_fetch import HeadHere, names_in

    there = tmp_path / "there"
    files = {STATEMENT, "curve.json", TRAINED_WEIGHTS, f"{MODEL_LEFT}/config.json", f"{MODEL_LEFT}/model.safetensors", "state.safetensors"}
    for name in files:
        (there / name).parent.mkdir(parents=True, exist_ok=True)
        (there / name).write_text(name)
    assert TRAINING == STATEMENT
    for weights, left_out in (("front", {"state.safetensors"}), ("none", {name for name in files if "safetensors" in name or "/" in name})):
        here = tmp_path / weights
        fetch_from(HeadHere(), str(there), here, weights, lambda said: None)  # type: ignore[arg-type]
        assert names_in(here) - {".fetched"} == files - left_out
