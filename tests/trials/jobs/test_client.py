from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import aiohttp
import pytest

from search_space.errors import SpecError, WorkError
from trials.jobs import client as ours
from trials.jobs.client import dashboard

VERSION = b'{"version": "4", "ray_version": "2.60.0", "ray_commit": "x", "session_name": "x"}'


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        content = VERSION if self.path == "/api/version" else b"no such thing"
        self.send_response(200 if self.path == "/api/version" else 500)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        OSError(errno.EFBIG, "File too large"),
        OSError(errno.EIO, "Input/output error"),
        FileNotFoundError(2, "No such file", "x"),
        RuntimeError("a library's own, of what was read here"),
        RuntimeError("the study does not exist"),
        aiohttp.ClientError(),
        WorkError("a piece came damaged"),
        SpecError("it is another study"),
    ],
)
def test_what_fails_here_is_not_laid_to_the_cluster(error: Exception, address: str) -> None:
    with pytest.raises(type(error)) as raised, dashboard(address):
        raise error
    assert raised.value is error


def test_what_ray_refuses_is_the_clusters(address: str) -> None:
    with (
        pytest.raises(SpecError, match=r"the Ray cluster at .* refused: Request failed with status code 500"),
        dashboard(address) as client,
    ):
        client.list_jobs()


def test_a_silent_connection_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ours, "SILENT_SECONDS", (1.0, 0.2))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(SpecError, match=f"no Ray cluster answers at {address}"), dashboard(address):
            pass
