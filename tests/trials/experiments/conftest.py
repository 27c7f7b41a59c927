"""One trained study for all who train its shapes again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from analysis.records.record import Kind, Outcome, append
from trials.corpus.prepare import prepare_corpus
from trials.study.load_study import STUDY, load_study
from trials.trial.task import Start, TrialTask, count_costs, record_of

VALUES = {
    "name": "tiny",
    "corpus": {"files": "text.txt"},
    "budget": {"parameters": 20_000, "tolerance": 0.1},
    "space": {"vocab_size": 270, "num_unique_layers": [1, 2], "hidden_size": [16, 24], "head_dim": 8, "num_key_value_heads": [1, 2]},
    "proxy": {"tokens": 640, "context_tokens": 16, "batch_sequences": 4, "evaluation_tokens": 256},
    "search": {"trials": 4},
    "workers": {"count": 1},
}


def write_tiny_study(folder: Path) -> Path:
    """The YAML of a tiny study, its text beside it."""
    (folder / "text.txt").write_text("archfront finds shapes " * 2000, encoding="utf-8")
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(VALUES), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def _trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study in a folder, and in `study` there what `archfront run` leaves; its trainings are made here, without Ray."""
    from trials.training.proxy_run import train

    folder = tmp_path_factory.mktemp("tiny")
    path, directory = write_tiny_study(folder), folder / "study"
    study = load_study(path)
    directory.mkdir()
    (directory / STUDY).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    for number, shape in enumerate(study.search_space.sample(4)):
        task = TrialTask(number=number, kind=Kind.SAMPLED, architecture=shape, seed=0)
        _, training = train(shape, prepare_corpus(study.corpus, 270), study.proxy, seed=0)
        costs = count_costs(shape, study.latency, study.proxy)
        append(directory, record_of(task, Outcome.FINISHED, None, costs, Start.now(), training=training))
    return folder


@pytest.fixture
def trained(_trained: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A copy of that study: its YAML file, and its directory."""
    shutil.copytree(_trained, tmp_path, dirs_exist_ok=True)
    return tmp_path / "study.yaml", tmp_path / "study"
