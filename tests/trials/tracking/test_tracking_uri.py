"""Addresses of MLflow's: which are refused before anything starts, and which file a relative one means."""

from __future__ import annotations

from pathlib import Path

import pytest

from search_space.errors import SpecError
from tests.support.ray_head import ordered
from trials.tracking.mlflow_location import location_of
from trials.tracking.tracking_uri import experiment_name, settled_uri

REFUSED = {
    "": "must name a server or a database",
    "mlruns": "must name a server or a database",
    "ftp://host/x": "must name a server or a database",
    "s3://bucket/x": "must name a server or a database",
    "azureml://workspace": "must name a server or a database",
    "http://": "must name a host",
    "https:///path": "must name a host",
    "http://:5000": "must name a host",
    "http://host:99999999": "must be an address",
    "http://host:port": "must be an address",
    "http://[::1": "must be an address",
    "https://me:hunter2@host:port": r"must be an address, found 'https://me:\*\*\*@host:port'",
    "uc": "must keep runs",
    "uc:main": "must keep runs",
    "databricks-uc": "must keep runs",
    "databricks-uc://profile": "must keep runs",
    "databricks": "must be named by an absolute path of the workspace",
    "databricks://profile": "must be named by an absolute path of the workspace",
    "sqlite:": "must keep runs in a file",
    "sqlite://": "must keep runs in a file",
    "sqlite:///": "must keep runs in a file",
    "sqlite:///:memory:": "must keep runs in a file",
    "sqlite:///file::memory:?uri=true": "must keep runs in a file",
    "sqlite:///x?mode=memory&uri=true": "must keep runs in a file",
    "sqlite+pysqlite:///:memory:": "must keep runs in a file",
    "sqlite://runs.db": "must have three slashes",
    "sqlite://host/runs.db": "must have three slashes",
    "sqlite:///file:runs.db?uri=true": "must be named by its path",
    "sqlite:///.": "must be a SQLite database, found something else",
    "sqlite:///text.db": "must be a SQLite database, found something else",
}


@pytest.mark.parametrize("uri", REFUSED)
def test_an_address_that_cannot_keep_runs_is_refused_with_the_cure(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    (tmp_path / "text.db").write_text("no database at all")
    with pytest.raises(SpecError, match=REFUSED[uri]) as refused:
        location_of(tmp_path, uri)
    assert "hunter2" not in str(refused.value)
    assert any(cure in str(refused.value) for cure in ("give ", "set MLFLOW_EXPERIMENT_NAME=/Users/", "name another with --tracking-uri"))
    assert not (tmp_path / "tracking.json").exists()


@pytest.mark.parametrize(
    "uri", ["http://host", "https://me:pw@host/mlflow/", "http://[::1]:5000", "postgresql+psycopg2://me:p/w@h/db", "mysql://h/db"]
)
def test_others_stay_as_they_are(uri: str) -> None:
    assert settled_uri(uri) == uri


def test_a_relative_file_is_made_absolute_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "one")
    given = location_of(tmp_path, "sqlite:///sub/../runs.db?timeout=30").tracking_uri
    assert given == f"sqlite:///{tmp_path}/one/runs.db?timeout=30"
    monkeypatch.chdir(tmp_path / "other")
    assert location_of(tmp_path, None).tracking_uri == given
    assert settled_uri(given) == given


def test_a_relative_file_that_was_kept_so_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    location_of(tmp_path, f"sqlite:///{tmp_path}/runs.db")
    kept = tmp_path / "tracking.json"
    kept.write_text(kept.read_text().replace(f"sqlite:///{tmp_path}/", "sqlite:///"))
    monkeypatch.chdir(tmp_path)
    assert location_of(tmp_path, None).tracking_uri == f"sqlite:///{tmp_path}/runs.db"


def test_in_databricks_an_experiment_has_the_name_that_mlflow_s_variable_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "/Users/me@example.org/small")
    assert settled_uri("databricks://profile") == "databricks://profile"
    assert experiment_name("databricks", "small") == "/Users/me@example.org/small"
    assert experiment_name("http://host", "small") == experiment_name(None, "small") == "small"


def test_a_secret_in_a_query_is_not_kept(tmp_path: Path) -> None:
    place = location_of(tmp_path, "postgresql://host/db?user=me&password=hunter2")
    assert place.shown_uri == "postgresql://host/db?user=me&password=***"
    assert "hunter2" not in (tmp_path / "tracking.json").read_text()
    with pytest.raises(SpecError, match="must be given again because its password was not kept"):
        location_of(tmp_path, None)


def test_a_job_s_file_must_be_absolute_and_its_secret_elsewhere() -> None:
    with pytest.raises(SpecError, match="a job's tracking URI must be absolute"):
        ordered("run", "study.yaml", "/runs/x", "--tracking-uri", "sqlite:///runs.db").command()
    with pytest.raises(SpecError, match="must have no password"):
        ordered("run", "study.yaml", "/runs/x", "--tracking-uri", "postgresql://host/db?password=hunter2").command()
