"""`archfront track`: a copy in another database of MLflow's, or a study of Optuna's. About 25 s, MLflow's process most of it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from analysis.records.record import append
from archfront import main
from tests.support.sample_study import sample_finals, sample_records
from tests.trials.tracking.test_mlflow_tracker import STUDY_YAML
from trials.tracking.mlflow_location import DATABASE, PLACE, location_of


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    there = tmp_path / "study"
    there.mkdir()
    (there / "study.yaml").write_text(STUDY_YAML, encoding="utf-8")
    seen = sample_records(5)
    for record in seen:
        append(there, record)
    for final in sample_finals(seen).values():
        append(there, final)
    return there


@pytest.mark.slow
def test_a_copy_elsewhere_has_every_run_and_leaves_the_directorys_own_place(directory: Path, tmp_path: Path) -> None:
    before = location_of(directory, None)
    assert main(["track", str(directory), "--tracking-uri", f"sqlite:///{tmp_path}/copy.db"]) == 0
    assert location_of(directory, None) == before
    assert "copy" not in (directory / PLACE).read_text()
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        assert copy.execute("SELECT count(*) FROM tags WHERE key = 'archfront.digest'").fetchone() == (5,)


@pytest.mark.parametrize("uri", [None, "http://user:hunter2@host:5000", "sqlite:////elsewhere/runs.db"])
def test_where_the_runs_are_is_what_the_directory_says(
    uri: str | None, directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("trials.tracking.mlflow_tracker.Tracker.bring_up_to_date", lambda *_: None)
    location_of(directory, uri and uri.replace("user:hunter2@", ""))
    given = ["--tracking-uri", uri] if uri and "hunter2" in uri else []
    assert main(["track", str(directory), *given]) == 0
    said = capsys.readouterr().err
    place = str(directory / DATABASE) if uri is None else uri.replace("hunter2", "***")
    assert f"5 trials are in MLflow at {place}\n" in said


def test_records_become_a_study_of_optunas(directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["track", str(directory), "--optuna", f"sqlite:///{tmp_path}/x.db"]) == 0
    assert "the Optuna study sample is in sqlite:///" in capsys.readouterr().err
    with closing(sqlite3.connect(tmp_path / "x.db")) as written:
        assert written.execute("SELECT count(*) FROM trials").fetchone() == (5,)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--optuna", "http://host:5000"], "--optuna must name a database"),
        (["--optuna", "sqlite:///x.db", "--tracking-uri", "sqlite:///y.db"], "one place at a time"),
        (["--tracking-uri", "mlruns"], "must name a server or a database"),
    ],
)
def test_a_wrong_place_is_one_sentence(given: list[str], said: str, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["track", str(directory), *given]) == 2
    assert said in capsys.readouterr().err
