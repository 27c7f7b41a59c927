"""What `archfront ui` asks before it starts anything: servers behind a password, and databases that are not there yet."""

from __future__ import annotations

import json
import sqlite3
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from search_space.errors import SpecError
from tests.trials.tracking.test_mlflow_tracker import STUDY_YAML
from trials.tracking.mlflow_interface import serve_ui
from trials.tracking.mlflow_location import location_of, view_paths
from trials.tracking.mlflow_views import TABLE_VIEW, VIEW_TAG, view_id

USER, PASSWORD = "a user", "s3cret:of us/"
IN_ADDRESS = "a%20user:s3cret%3Aof%20us%2F"


class _Mlflow(BaseHTTPRequestHandler):
    """An MLflow behind a proxy that asks for a password."""

    study_id = ""

    def do_GET(self) -> None:
        """Answer as MLflow does at the addresses that it has."""
        wanted = f"Basic {b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"
        tags = [{"key": f"{VIEW_TAG}{view_id(self.study_id, TABLE_VIEW)}", "value": "{}"}]
        experiment = {"experiment": {"experiment_id": "7", "tags": tags}}
        known = {
            "/mlflow/version": b"3.17.2",
            "/mlflow/api/2.0/mlflow/experiments/get-by-name?experiment_name=sample": json.dumps(experiment).encode(),
        }
        allowed = self.headers["Authorization"] == wanted
        self.send_response(200 if allowed and self.path in known else 404 if allowed else 401)
        self.end_headers()
        self.wfile.write(known.get(self.path, b"") if allowed else b"")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Other(BaseHTTPRequestHandler):
    """A service that does not speak HTTP."""

    def handle(self) -> None:
        """Answer at once."""
        self.rfile.readline()
        self.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")


@contextmanager
def served(handler: type[BaseHTTPRequestHandler]) -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_server_that_asks_for_a_password_is_given_it_and_nobody_else_is(slash: str, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY_YAML, encoding="utf-8")
    with served(_Mlflow) as port:
        uri = f"http://{IN_ADDRESS}@127.0.0.1:{port}/mlflow{slash}"
        _Mlflow.study_id = location_of(tmp_path, uri).study_id
        with pytest.raises(SpecError, match="viewStateShareKey=") as refused:
            serve_ui(tmp_path, uri=uri)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("end", ["", "/", "/a folder"])
def test_a_server_that_answers_otherwise_is_named_all_the_same(end: str, tmp_path: Path) -> None:
    with served(_Other) as port, pytest.raises(SpecError, match=r"open http://\S+:\*\*\*@127.0.0.1:") as refused:
        serve_ui(tmp_path, uri=f"http://user:secret@127.0.0.1:{port}{end}")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("what", ["absent", "empty", "another program's", "no database"])
def test_a_database_without_runs_has_no_pages_and_stays_as_it_is(what: str, tmp_path: Path) -> None:
    database = tmp_path / "of 100%? runs.db"
    if what == "another program's":
        with sqlite3.connect(database) as opened:
            opened.execute("CREATE TABLE words (word)")
        opened.close()
    elif what != "absent":
        database.write_bytes(b"" if what == "empty" else b"text" * 1000)
    before = database.read_bytes() if database.exists() else None
    assert view_paths(database, "study") == {}
    assert (database.read_bytes() if database.exists() else None) == before
