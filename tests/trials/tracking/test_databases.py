"""MLflow's database under every name of a directory, and in every state: written, written once more, or told with the cure."""

from __future__ import annotations

import logging
import os
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from search_space.errors import SpecError
from tests.support.mlflow_here import empty_database
from tests.support.needs import rest_is_more
from tests.support.sample_study import sample_finals, sample_records
from tests.trials.tracking.test_mlflow_tracker import STUDY_YAML, study, track
from trials.study.own_database import LONGEST_DATABASE_BYTES, damage
from trials.tracking import mlflow_writer
from trials.tracking.mlflow_interface import serve_ui
from trials.tracking.mlflow_location import DATABASE, location_of
from trials.tracking.mlflow_runs import StudyRuns
from trials.tracking.mlflow_tracker import Tracker

NAMES = ["what?a=b&c 100% #1", "a%20b %(here)s", 'it\'s "it"', " ünï 日本 🙂 ", "a;b:c@d\\e+f", "-rf $HOME {x} ~ a*[b]"]
SEEN = sample_records(3)


def runs_in(database: Path) -> int:
    with closing(sqlite3.connect(database)) as opened:
        return int(opened.execute("SELECT count(*) FROM runs WHERE lifecycle_stage = 'active'").fetchone()[0])


def artifacts_in(directory: Path) -> list[str]:
    """Names of files of the runs: the study's, and those of the members of its front."""
    return sorted({path.name for path in (directory / "mlflow-artifacts").rglob("*") if path.is_file()})


def of_database_bytes(count: int, folder: Path) -> Path:
    """A new directory whose database has a path of so many bytes."""
    left = count - len(os.fsencode(folder)) - len(f"/{DATABASE}")
    while left > 0:
        part = min(200, left - 1) if left != 202 else 100  # a slash and a name at the end, never a slash alone
        folder, left = folder / ("x" * part), left - part - 1
    folder.mkdir(parents=True)
    assert len(os.fsencode(folder / DATABASE)) == count
    return folder


@pytest.mark.parametrize("name", [*NAMES, "of the longest path"])
def test_runs_are_written_into_a_directory_of_any_name(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    directory = tmp_path / name
    directory.mkdir()
    if name not in NAMES:
        directory = of_database_bytes(LONGEST_DATABASE_BYTES, directory)
    for _ in range(2):
        track(directory, SEEN)
        assert runs_in(directory / DATABASE) == 1 + len(SEEN)
    assert artifacts_in(directory) == ["README.md", "config.json", "environment.json", "front.json", "study.yaml"]
    assert [path.name for path in tmp_path.iterdir()] == [name], "something lies beside the study"
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


TOO_LONG = f"the path of a SQLite database must have at most {LONGEST_DATABASE_BYTES} bytes, found {LONGEST_DATABASE_BYTES + 1} in "


def test_a_path_too_long_for_a_database_is_told_and_a_shorter_one_has_the_runs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    directory, short = of_database_bytes(LONGEST_DATABASE_BYTES + 1, tmp_path / "far"), tmp_path / "near"
    with pytest.raises(SpecError, match=f"{TOO_LONG}.*; name another with --tracking-uri$"):
        location_of(directory, f"sqlite:///{directory / DATABASE}")
    with caplog.at_level(logging.WARNING):
        track(directory, SEEN)
    [said] = caplog.messages
    assert f"({TOO_LONG}" in said
    assert re.search(r"; move the directory to a shorter one\); .*writes them once that is mended$", said)
    directory.rename(short)
    track(short, SEEN)
    assert runs_in(short / DATABASE) == 1 + len(SEEN)
    short.rename(directory)
    with pytest.raises(SpecError, match=f"{TOO_LONG}.*; move the directory to a shorter one"):
        serve_ui(directory)


@pytest.mark.more
@pytest.mark.slow
def test_the_process_that_writes_them_does_so_under_any_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = NAMES[0]
    directory, temporary = tmp_path / name, tmp_path / "temporary"
    directory.mkdir()
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    tracker = Tracker(directory, study(), STUDY_YAML)
    tracker.start()
    tracker.finish(SEEN, sample_finals(SEEN))
    tracker.close()
    assert runs_in(directory / DATABASE) == 1 + len(SEEN)
    assert {path.name for path in tmp_path.iterdir()} == {name, "temporary"}
    assert [link.resolve() for folder in temporary.iterdir() for link in folder.iterdir()] == [directory], "more than its link was left"
    assert caplog.messages == []


def _cut(database: Path) -> None:
    database.write_bytes(database.read_bytes()[: database.stat().st_size // 3])


def _overwritten(database: Path) -> None:
    content = bytearray(database.read_bytes())
    content[4096 : 12 * 4096] = os.urandom(11 * 4096)
    database.write_bytes(content)


def _folder(database: Path) -> None:
    database.unlink()
    database.mkdir()


def _of_somebody_else(database: Path) -> None:
    database.unlink()
    with closing(sqlite3.connect(database)) as opened, opened:
        opened.execute("CREATE TABLE runs (mine TEXT)")


DAMAGE: dict[str, Callable[[Path], object]] = {
    "empty": lambda database: database.write_bytes(b""),
    "text": lambda database: database.write_text("not a database at all, but some lines of text\n" * 100),
    "zeros": lambda database: database.write_bytes(bytes(8192)),
    "cut": _cut,
    "overwritten": _overwritten,
    "of somebody else": _of_somebody_else,
    "a folder": _folder,
}


@pytest.mark.parametrize("what", rest_is_more(DAMAGE, "zeros", "empty", "a folder"))
def test_a_database_that_is_none_is_set_aside_and_written_once_more(what: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    location_of(tmp_path, None)
    database = tmp_path / DATABASE
    shutil.copyfile(empty_database(), database)
    assert damage(database) is None
    DAMAGE[what](database)
    left = database.read_bytes() if database.is_file() else None
    with pytest.raises(SpecError, match=r"must be a database of MLflow's, found that .*; `archfront report .*` writes it once more"):
        serve_ui(tmp_path)
    with caplog.at_level(logging.WARNING):
        track(tmp_path, SEEN)
    [said] = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert "was no database of MLflow's" in said
    assert "it is mlflow.db.damaged now, and the runs are written once more from the records" in said
    assert runs_in(database) == 1 + len(SEEN)
    aside = tmp_path / "mlflow.db.damaged"
    assert aside.is_dir() if left is None else aside.read_bytes() == left


def _without_experiment(database: Path) -> None:
    _change(database, "UPDATE experiments SET lifecycle_stage = 'deleted' WHERE name = 'sample'")


def _of_another_version(database: Path) -> None:
    _change(database, "UPDATE alembic_version SET version_num = 'ffffffffffff'")


def _change(database: Path, statement: str) -> None:
    with closing(sqlite3.connect(database)) as opened, opened:
        opened.execute(statement)


STATES: dict[str, tuple[Callable[[Path], None], str]] = {
    "a deleted experiment": (
        _without_experiment,
        r"experiment sample was deleted there; restore it in MLflow \(mlflow experiments restore -x ",
    ),
    "another version": (
        _of_another_version,
        "the database is of another version of MLflow: .*; install that version, or move mlflow.db away",
    ),
}


@pytest.mark.parametrize("what", STATES)
def test_what_a_person_must_mend_is_told_with_the_cure_and_no_later_catch_up_is_promised(
    what: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, (change, expected) = tmp_path / "first", STATES[what]
    first.mkdir()
    track(first, SEEN)
    change(first / DATABASE)
    moved = Path(shutil.copytree(first, tmp_path / "moved"))  # MLflow keeps what it once opened, by its address
    before = runs_in(moved / DATABASE)
    with caplog.at_level(logging.WARNING):
        track(moved, SEEN)
    [said] = caplog.messages
    assert re.search(expected, said), said
    assert said.endswith("writes them once that is mended")
    assert runs_in(moved / DATABASE) == before


def test_runs_that_were_deleted_are_written_again(tmp_path: Path) -> None:
    track(tmp_path, SEEN)
    _change(tmp_path / DATABASE, "UPDATE runs SET lifecycle_stage = 'deleted'")
    track(tmp_path, SEEN)
    assert runs_in(tmp_path / DATABASE) == 1 + len(SEEN)


def test_two_studies_of_one_name_on_one_database_keep_their_files_apart(tmp_path: Path) -> None:
    one, other, shared = tmp_path / "one", tmp_path / "other", tmp_path / "runs.db"
    shutil.copyfile(empty_database(), shared)
    for directory in (one, other, one, other):
        directory.mkdir(exist_ok=True)
        track(directory, SEEN, f"sqlite:///{shared}")
    assert runs_in(shared) == 2 * (1 + len(SEEN))
    assert artifacts_in(one) == artifacts_in(other) == ["README.md", "config.json", "environment.json", "front.json", "study.yaml"]


def _sqlite(said: str) -> Exception:
    return OperationalError("SELECT 1", {}, sqlite3.OperationalError(said))


OPENING: dict[str, tuple[Exception, int | None, bool]] = {
    "locked at first": (_sqlite("database is locked"), 3, True),
    "full at first": (_sqlite("FATAL: sorry, too many clients already"), 2, True),
    "restarting for ever": (_sqlite("could not connect to server"), None, False),
    "nothing that heals": (_sqlite("unable to open database file"), None, False),
}
"""What opening a store raises, how often (None: always), and whether a catch-up, whose end comes at once, writes the runs."""


@pytest.mark.parametrize("what", OPENING)
def test_a_catch_up_waits_a_moment_for_a_store_that_may_yet_open(
    what: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    error, times, is_written = OPENING[what]
    tried = []

    def opened(*given: Any) -> StudyRuns:
        tried.append(given)
        if times is None or len(tried) <= times:
            raise error
        return StudyRuns(*given)

    monkeypatch.setattr(mlflow_writer, "StudyRuns", opened)
    monkeypatch.setattr(mlflow_writer, "FIRST_PAUSE_SECONDS", 0.01)
    if what == "restarting for ever":
        monkeypatch.setattr(mlflow_writer, "FIRST_ANSWER_SECONDS", 0.1)
    with caplog.at_level(logging.WARNING):
        track(tmp_path, SEEN)
    assert runs_in(tmp_path / DATABASE) == (1 + len(SEEN) if is_written else 0)
    assert len(tried) == 2 if what == "nothing that heals" else len(tried) >= 3, "once before its end is known"
    assert len(caplog.messages) == 1, "it is told once"


NOBODY = {
    "http://me:hunter2hunter2@127.0.0.1:9": True,
    "http://me:hunter2hunter2@no-such-host.invalid:5000": True,
    "postgresql://me:hunter2hunter2@127.0.0.1:9/db": False,
    "mysql+pymysql://me:hunter2hunter2@127.0.0.1:9/db": False,
    "mssql+pyodbc://me:hunter2hunter2@127.0.0.1:9/db": False,
    "postgresql+nodriver://me:hunter2hunter2@127.0.0.1:9/db": False,
    "sqlite:////proc/no-such-folder/runs.db?password=hunter2hunter2": False,
    "sqlite:////proc/runs.db?password=hunter2hunter2": False,
}
"""Where nobody answers, a driver is missing, or no file can be -> whether that may heal by itself."""


@pytest.mark.parametrize("uri", NOBODY)
def test_a_database_that_cannot_be_reached_is_told_without_the_password(
    uri: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr(mlflow_writer, "FIRST_ANSWER_SECONDS", 0.1)
    monkeypatch.setattr("mlflow.store.db.utils.time", SimpleNamespace(sleep=lambda _: pytest.fail("MLflow waits by itself")))
    with caplog.at_level(logging.WARNING, logger="trials"):
        track(tmp_path, SEEN, uri)
    [said] = [record.getMessage() for record in caplog.records if record.name.startswith("trials")]
    assert "hunter2" not in said
    assert said.endswith("catches up later" if NOBODY[uri] else "writes them once that is mended"), said
