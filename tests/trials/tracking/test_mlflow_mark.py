"""A study whose MLflow runs say all that it does is answered without MLflow; whatever is lacking there is written."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from analysis.records.choice import Choice, append_choice
from analysis.records.record import FinalRecord, Kind, TrialRecord, append
from tests.support import fakes
from tests.support.mlflow_here import TrackerHere
from tests.support.sample_study import sample_finals, sample_records
from tests.trials.tracking.test_mlflow_tracker import STUDY_YAML, study
from trials.driver.run_study import run_study
from trials.plans.check_study import check
from trials.reporting.stored_study import read_study, report_study
from trials.tracking.mlflow_location import ARTIFACTS, DATABASE, location_of
from trials.tracking.mlflow_mark import is_written
from trials.trial.task import TrialTask

ROOT = Path(__file__).resolve().parents[3]
SEEN = sample_records(4)


def wrote(directory: Path, seen: list[TrialRecord], finals: dict[int, FinalRecord], text: str) -> bool:
    """Whether anything had to be written to have these runs up to date, which they are afterwards."""
    tracker = TrackerHere(directory, study(), text)
    lacked = not tracker.has_all(seen, finals)
    tracker.bring_up_to_date(seen, finals)
    assert is_written(directory, location_of(directory, None), study(), text, seen, finals)
    return lacked


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("written")
    assert wrote(directory, SEEN, sample_finals(SEEN), STUDY_YAML)
    return directory


@pytest.fixture
def copied(written: Path, tmp_path: Path) -> Path:
    """The same directory in another place; MLflow, which a study's process imports anew, keeps where each run's files are."""
    from mlflow.tracking._tracking_service.utils import _artifact_repos_cache

    _artifact_repos_cache.clear()
    return Path(shutil.copytree(written, tmp_path / "copy"))


def test_an_unchanged_study_asks_mlflow_nothing_wherever_its_directory_was_copied(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TrackerHere, "start", lambda _: pytest.fail("MLflow was asked"))
    for _ in range(2):
        assert not wrote(copied, SEEN, sample_finals(SEEN), STUDY_YAML)
    with closing(sqlite3.connect(copied / DATABASE)) as database:
        [(kept,)] = database.execute("SELECT DISTINCT artifact_location FROM experiments WHERE name = 'sample'")
    assert kept == (copied / ARTIFACTS).as_uri(), "MLflow looks for the files where the directory was"


def _changed(statement: str, *values: str) -> Callable[[Path], None]:
    def change(directory: Path) -> None:
        with closing(sqlite3.connect(directory / DATABASE)) as database, database:
            assert database.execute(statement, values).rowcount > 0

    return change


CHILD = "run_uuid = (SELECT run_uuid FROM tags WHERE key = 'archfront.number' AND value = '2')"
PARENT = "run_uuid NOT IN (SELECT run_uuid FROM tags WHERE key = 'mlflow.parentRunId')"
LOSSES: dict[str, Callable[[Path], None]] = {
    "a trial's run was deleted": _changed(f"UPDATE runs SET lifecycle_stage = 'deleted' WHERE {CHILD}"),
    "a trial's run was cut short": _changed(f"UPDATE runs SET status = 'RUNNING' WHERE {CHILD}"),
    "a trial's run is of another record": _changed(f"UPDATE tags SET value = 'other' WHERE key = 'archfront.digest' AND {CHILD}"),
    "the study's run was deleted": _changed(f"UPDATE runs SET lifecycle_stage = 'deleted' WHERE {PARENT}"),
    "the study's run was cut short": _changed(f"UPDATE runs SET status = 'RUNNING' WHERE {PARENT}"),
    "an earlier version wrote no mark": _changed("DELETE FROM tags WHERE key = 'archfront.written'"),
    "a file was removed": lambda directory: next((directory / ARTIFACTS).rglob("front.json")).unlink(),
    "the files were removed": lambda directory: shutil.rmtree(directory / ARTIFACTS),
    "the database is cut": lambda directory: os.truncate(directory / DATABASE, 5_000),
    "the database was removed": lambda directory: (directory / DATABASE).unlink(),
    "the runs are another study's": lambda directory: (directory / "tracking.json").unlink(),
}


@pytest.mark.parametrize("what", LOSSES)
def test_whatever_is_lost_in_mlflow_is_written_again(what: str, copied: Path) -> None:
    LOSSES[what](copied)
    assert wrote(copied, SEEN, sample_finals(SEEN), STUDY_YAML)


CHANGES: dict[str, tuple[list[TrialRecord], dict[int, FinalRecord], str]] = {
    "a record is another": ([*SEEN[:3], replace(SEEN[3], wall_seconds=1.5)], sample_finals(SEEN), STUDY_YAML),
    "a record came": (sample_records(5), sample_finals(SEEN), STUDY_YAML),
    "a final record is another": (SEEN, {k: replace(f, test=None) for k, f in sample_finals(SEEN).items()}, STUDY_YAML),
    "a final record went": (SEEN, {}, STUDY_YAML),
    "the study says it otherwise": (SEEN, sample_finals(SEEN), f"# again\n{STUDY_YAML}"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_whatever_changed_in_the_directory_is_written(what: str, copied: Path) -> None:
    assert wrote(copied, *CHANGES[what])


def chosen(directory: Path) -> dict[str, str]:
    """What the runs of its database say of a decision, by the trial's number; the study's own under an empty one."""
    asked = """
    SELECT ifnull(number.value, ''), said.value FROM tags AS said
    JOIN runs ON runs.run_uuid = said.run_uuid AND runs.lifecycle_stage = 'active'
    LEFT JOIN tags AS number ON number.run_uuid = said.run_uuid AND number.key = 'archfront.number' WHERE said.key = 'archfront.chosen'
    """
    with closing(sqlite3.connect(directory / DATABASE)) as database:
        return dict(database.execute(asked))


def test_a_decision_is_in_whatever_is_written_anew(copied: Path) -> None:
    number = SEEN[0].number
    append_choice(copied, Choice(trial=number, because="it fits", by="the team", chosen_at="2026-11-29T12:00:00+00:00"))
    told = {"": str(number), **{str(record.number): str(record.number == number).lower() for record in SEEN}}
    assert wrote(copied, SEEN, sample_finals(SEEN), STUDY_YAML), "it is part of what the mark stands for"
    assert chosen(copied) == told
    assert not wrote(copied, SEEN, sample_finals(SEEN), STUDY_YAML)
    for what in ("the study's run was deleted", "a trial's run was deleted"):
        LOSSES[what](copied)
    more = sample_records(5)
    assert wrote(copied, more, sample_finals(SEEN), STUDY_YAML)
    assert chosen(copied) == {**told, str(more[4].number): "false"}


@pytest.mark.parametrize("library", ["archfront", "mlflow"])
def test_another_version_of_what_writes_looks_again(library: str, copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trials.tracking.mlflow_mark.library_version", lambda name: "999" if name == library else "1")
    assert wrote(copied, SEEN, sample_finals(SEEN), STUDY_YAML)


def test_runs_that_are_half_written_are_not_marked(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed, finals = [*SEEN[:3], replace(SEEN[3], wall_seconds=1.5)], sample_finals(SEEN)
    with monkeypatch.context() as patch:
        patch.setattr("trials.tracking.mlflow_runs.StudyRuns._write_front", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            TrackerHere(copied, study(), STUDY_YAML).bring_up_to_date(changed, finals)
    for seen in (SEEN, changed):
        assert not is_written(copied, location_of(copied, None), study(), STUDY_YAML, seen, finals)


def test_runs_elsewhere_are_asked_of_mlflow(copied: Path, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'elsewhere.db'}"
    assert not TrackerHere(copied, study(), STUDY_YAML, uri).has_all(SEEN, sample_finals(SEEN))


STUDY = "fakes.small_study(search={'trials': 1}, finals={'fresh_seed': False})"
AGAIN = f"""
import sys
from pathlib import Path
from archfront import main
from tests.support import fakes
from trials.driver.run_study import run_study
from trials.tracking.mlflow_tracker import Tracker
Tracker.start = lambda _: sys.exit("MLflow was asked")
directory = Path(sys.argv[1])
spec, text = {STUDY}
result = run_study(spec, directory, study_text=text, evaluate=fakes.hopeless)
assert main(["report", str(directory)]) == 0
heavy = ("ray", "mlflow", "torch", "optuna", "scipy.stats", "sqlalchemy")
print(len(result.records), [name for name in heavy if name in sys.modules])
"""


def test_a_study_that_is_over_is_answered_without_what_takes_seconds_to_import(tmp_path: Path) -> None:
    spec, text = fakes.small_study(search={"trials": 1}, finals={"fresh_seed": False})
    (shape,) = spec.search_space.sample(1, 0)
    tasks = [
        TrialTask(number=at, kind=Kind.REFERENCE, name=named, architecture=it, seed=0)
        for at, (named, it) in enumerate(check(spec).references)
    ]
    tasks += [TrialTask(number=len(tasks), kind=Kind.SAMPLED, architecture=shape, seed=0)]
    for task in tasks:
        append(tmp_path, fakes.answer(task))
    (tmp_path / "study.yaml").write_text(text, encoding="utf-8")
    run_study(spec, tmp_path, study_text=text, evaluate=fakes.hopeless, write_page=lambda: report_study(read_study(tmp_path)))
    done = subprocess.run([sys.executable, "-c", AGAIN, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"{len(tasks)} []"
