"""MLflow's own interface on a study's directory, on this machine alone."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from base64 import b64encode
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from analysis.records.json_text import parse_json
from analysis.text.typed import typed
from search_space.errors import SpecError
from trials.machine.native_output import person
from trials.machine.redaction import redacted
from trials.study.load_study import STUDY, parse_stored
from trials.study.own_database import damage, require_short
from trials.tracking.mlflow_location import DATABASE, PLACE, MlflowLocation, follow_move, location_of, view_paths
from trials.tracking.mlflow_store import MLFLOW_SETTINGS
from trials.tracking.mlflow_views import FIRST_VERSION, TABLE_VIEW, VIEW_TAG, view_id, view_path
from trials.tracking.tracking_uri import SQLITE_FILE, is_database

LONGEST_START_SECONDS = 120.0
"""Longest start of MLflow's interface."""
SERVER_SECONDS = 5.0
"""Longest wait for a server that is asked where a study's page is."""


def serve_ui(directory: Path, port: int = 5000, uri: str | None = None) -> None:
    """Run MLflow's own interface on 127.0.0.1 until it is interrupted; its address goes to stderr once it answers.

    Raises SpecError where nothing was tracked, the port is taken or the interface does not start. To be called in the main thread.
    """
    backend, pages = _backend(directory, uri)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise SpecError(f"port {port} is taken on this machine; choose another one with --port") from None
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    quiet = {
        **MLFLOW_SETTINGS,
        **os.environ,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }  # no helper processes for what studies do not use
    with tempfile.TemporaryFile() as talk:
        server = subprocess.Popen(
            [*command, "--backend-store-uri", backend],
            env=quiet,
            stdout=talk,
            stderr=talk,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            if not _answers(server, port):
                talk.seek(0)
                last = talk.read().decode(errors="replace").strip().splitlines()[-1:]
                raise SpecError(
                    f"MLflow's interface did not start on port {port}; it said: {redacted(' '.join(last), backend) or 'nothing'}"
                )
            here = f"http://127.0.0.1:{port}"
            print(f"MLflow is at {here}{pages.get(TABLE_VIEW, '')} (Ctrl-C ends it)", file=person(), flush=True)
            for kind, path in pages.items():
                if kind != TABLE_VIEW:
                    print(f"{kind:<10}{here}{path}", file=person(), flush=True)
            server.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGTERM)
            server.wait()


def _backend(directory: Path, uri: str | None) -> tuple[str, dict[str, str]]:
    """What MLflow's server is given, and the pages of the study by kind."""
    if uri is None and not (directory / PLACE).exists():
        raise SpecError(
            f"{directory} has no {PLACE}, so nothing was tracked there; name the directory of a study that `archfront run` has begun"
        )
    place = location_of(directory, uri)
    if place.tracking_uri is None:
        if not (directory / DATABASE).exists():
            raise SpecError(f"{directory} has no {DATABASE}; `archfront report {typed(directory)}` writes it from the records")
        if (found := damage(directory / DATABASE)) is not None:
            raise SpecError(
                f"{directory / DATABASE} must be a database of MLflow's, found that {found}; "
                f"`archfront report {typed(directory)}` writes it once more from the records"
            )
        require_short(directory / DATABASE, "move the directory to a shorter one")
        follow_move(directory)
        return place.uri(directory), view_paths(directory / DATABASE, place.study_id)
    if not is_database(place.tracking_uri):
        raise SpecError(f"the runs of {directory} are on a server of their own; open {_on_server(directory, place)} in a browser")
    file = SQLITE_FILE.fullmatch(place.tracking_uri)
    return place.uri(directory), view_paths(Path(unquote(file["path"])), place.study_id) if file else {}


def _on_server(directory: Path, place: MlflowLocation) -> str:
    """Where a server shows the study's table; its plain address where it does not answer us, or is older than saved views."""
    base = place.shown_uri.rstrip("/")
    name = place.experiment or (parse_stored((directory / STUDY).read_bytes(), STUDY).name if (directory / STUDY).is_file() else "")
    try:
        server = (place.tracking_uri or "").rstrip("/")
        version = _asked(f"{server}/version").decode()
        answer = parse_json(_asked(f"{server}/api/2.0/mlflow/experiments/get-by-name?experiment_name={quote(name)}"))
        experiment = answer["experiment"]
        known = any(tag["key"] == f"{VIEW_TAG}{view_id(place.study_id, TABLE_VIEW)}" for tag in experiment.get("tags", ()))
        new_enough = tuple(int(part) for part in version.split(".")[:2]) >= FIRST_VERSION
        return base + view_path(experiment["experiment_id"], place.study_id, TABLE_VIEW if known and new_enough else None)
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return base


def _asked(address: str) -> bytes:
    """An answer; a name and a password in the address go where the protocol has them, for urllib takes none in an address."""
    parts = urlsplit(address)
    request = urllib.request.Request(parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl())
    if parts.username is not None:
        said = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        request.add_unredirected_header("Authorization", f"Basic {b64encode(said.encode()).decode()}")
    with urllib.request.urlopen(request, timeout=SERVER_SECONDS) as answer:
        found: bytes = answer.read()
    return found


def _answers(server: subprocess.Popen[bytes], port: int) -> bool:
    """Wait until it listens, ends, or has had its time."""
    deadline = time.monotonic() + LONGEST_START_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.2)
        else:
            return True
    return False
