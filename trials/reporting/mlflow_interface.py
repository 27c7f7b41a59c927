"""MLflow's own interface on a study's directory, on this machine alone."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from search_space.errors import SpecError
from trials.machine.native_output import person
from trials.machine.redaction import redacted
from trials.reporting.mlflow_location import DATABASE, PLACE, follow_move, location_of, page_url
from trials.reporting.mlflow_store import MLFLOW_SETTINGS
from trials.reporting.own_database import damage
from trials.reporting.tracking_uri import is_database

LONGEST_START_SECONDS = 120.0
"""Longest start of MLflow's interface."""


def serve_ui(directory: Path, port: int = 5000, uri: str | None = None) -> None:
    """Run MLflow's own interface on 127.0.0.1 until it is interrupted; its address goes to stderr once it answers.

    Raises SpecError where nothing was tracked, the port is taken or the interface does not start. To be called in the main thread.
    """
    backend, page = _backend(directory, uri)
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
            cwd=directory,  # where the name of its database is all there is to say
            start_new_session=True,
        )
        try:
            if not _answers(server, port):
                talk.seek(0)
                last = talk.read().decode(errors="replace").strip().splitlines()[-1:]
                raise SpecError(
                    f"MLflow's interface did not start on port {port}; it said: {redacted(' '.join(last), backend) or 'nothing'}"
                )
            print(f"MLflow is at http://127.0.0.1:{port}{page} (Ctrl-C ends it)", file=person(), flush=True)
            server.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGTERM)
            server.wait()


def _backend(directory: Path, uri: str | None) -> tuple[str, str]:
    """What MLflow's server is given, and the page to open."""
    if uri is None and not (directory / PLACE).exists():
        raise SpecError(
            f"{directory} has no {PLACE}, so nothing was tracked there; name the directory of a study that `archfront run` has begun"
        )
    place = location_of(directory, uri)
    if place.tracking_uri is None:
        if not (directory / DATABASE).exists():
            raise SpecError(f"{directory} has no {DATABASE}; `archfront report {directory}` writes it from the records")
        if (found := damage(directory / DATABASE)) is not None:
            raise SpecError(
                f"{directory / DATABASE} must be a database of MLflow's, found that {found}; "
                f"`archfront report {directory}` writes it once more from the records"
            )
        follow_move(directory)
        return f"sqlite:///{DATABASE}", page_url(directory)
    if not is_database(place.tracking_uri):
        raise SpecError(f"the runs of {directory} are on a server of their own; open {place.shown_uri} in a browser")
    return place.uri(directory), ""


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
