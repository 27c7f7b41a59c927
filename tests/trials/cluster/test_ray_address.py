"""Addresses of clusters: what form they have, who gave them, and what stands behind them; no Ray is started."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager

import grpc
import pytest

from search_space.errors import SpecError
from trials.cluster import ray_address
from trials.cluster.own_ray import variables_set
from trials.cluster.ray_address import ClusterAddress, answering, cluster_address, is_here

WRONG = {
    "http://127.0.0.1:8265": "form of a dashboard's address",
    "HTTPS://head": "form of a dashboard's address",
    "ray://127.0.0.1:10001": "for Ray's client",
    "redis://head:6379": "scheme 'redis'",
    "head": "no port",
    "head:": "no port",
    ":6379": "no host",
    "head:six": "cannot be read",
    "head:65536": "cannot be read",
    "[::1:6379": "cannot be read",
    "head:6379/x": "more than a host and a port",
    "me:secret@head:6379": "more than a host and a port",
    "head:6379?x=1": "more than a host and a port",
}
"""Address -> what is said of it."""


@pytest.fixture(params=["--address", "RAY_ADDRESS"])
def given(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[str, pytest.MonkeyPatch]:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    return request.param, monkeypatch


def read(text: str, given: tuple[str, pytest.MonkeyPatch]) -> ClusterAddress | None:
    """The address as it is understood, given in this way."""
    source, patch = given
    if source == "RAY_ADDRESS":
        patch.setenv(source, text)
    return cluster_address(text if source == "--address" else None)


@pytest.mark.parametrize("text", WRONG)
def test_an_address_of_another_form_is_told_with_who_gave_it_and_the_right_form(text: str, given: tuple[str, pytest.MonkeyPatch]) -> None:
    with pytest.raises(SpecError) as refused:
        read(text, given)
    said = str(refused.value)
    assert said.startswith(f"{given[0]} must be the address of a Ray cluster's head, found ")
    assert WRONG[text] in said
    assert "give HOST:PORT of its head" in said
    assert ("unset RAY_ADDRESS" in said) is (given[0] == "RAY_ADDRESS")
    assert "secret" not in said


@pytest.mark.parametrize("text", ["auto", "head:6379", "Head.example:1", "192.0.2.1:6379", "[::1]:6379"])
def test_addresses_of_the_right_form(text: str, given: tuple[str, pytest.MonkeyPatch]) -> None:
    assert read(text, given) == ClusterAddress(text, given[0])


@pytest.mark.parametrize("text", ["", " ", "local"])
def test_without_an_address_ray_is_started_here(text: str, given: tuple[str, pytest.MonkeyPatch]) -> None:
    assert read(text, given) is None


def test_what_is_given_comes_before_the_environment_and_automatic_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    assert cluster_address("other:6379") == ClusterAddress("other:6379", "--address")
    assert cluster_address("local") is None
    assert cluster_address("auto") == ClusterAddress("head:6379", "RAY_ADDRESS")


@contextmanager
def nobody() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    yield port


@contextmanager
def silent() -> Iterator[int]:
    """A port that listens and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@contextmanager
def a_web_server() -> Iterator[int]:
    def answer() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=answer, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


@contextmanager
def _serving(status: grpc.StatusCode | None) -> Iterator[int]:
    class Handler(grpc.GenericRpcHandler):  # type: ignore[misc]
        def service(self, call: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
            return None if status is None else grpc.unary_unary_rpc_method_handler(lambda _, context: context.abort(status, "no"))

    server = grpc.server(futures.ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers((Handler(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        server.stop(None)


def a_client_server() -> object:
    """Ray's client speaks gRPC, too, and knows nothing of what a head is asked."""
    return _serving(None)


def a_head_with_a_token() -> object:
    return _serving(grpc.StatusCode.UNAUTHENTICATED)


@pytest.mark.parametrize(
    ("server", "found"),
    [
        (nobody, "found: Connection refused; check that the cluster is up"),
        (silent, "found a port that listens and does not answer within 1 seconds; give HOST:PORT"),
        (a_web_server, "found a port that listens and answers otherwise than one does"),
        (a_client_server, "found a port that listens and answers otherwise than one does"),
        (a_head_with_a_token, "wants a token: set RAY_AUTH_MODE=token"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_no_cluster_is_told_soon(server: object, found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_address, "ANSWER_SECONDS", 1.0)
    monkeypatch.setattr("ray._private.services.get_node_ip_address", lambda *_: "127.0.0.1")
    with server() as port:  # type: ignore[operator]
        began = time.monotonic()
        with pytest.raises(SpecError) as refused:
            answering(ClusterAddress(f"127.0.0.1:{port}", "RAY_ADDRESS"))
    assert found in str(refused.value)
    assert f"RAY_ADDRESS='127.0.0.1:{port}'" in str(refused.value)
    assert time.monotonic() - began < 10


def test_a_tokens_file_that_is_missing_is_told_with_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": "/missing"}
    monkeypatch.setattr("ray._private.services.get_node_ip_address", lambda *_: "127.0.0.1")
    with (
        silent() as port,
        variables_set(token),
        pytest.raises(SpecError, match=r"must be there to be read, found: .*/missing; set RAY_AUTH_M"),
    ):
        answering(ClusterAddress(f"127.0.0.1:{port}", "--address"))


def test_a_name_that_no_machine_has_is_told() -> None:
    with pytest.raises(SpecError, match=r"at --address='nowhere\.invalid:6379', found: .*; check that the cluster is up and its address"):
        answering(ClusterAddress("nowhere.invalid:6379", "--address"))


@pytest.mark.parametrize("variable", [None, "", "local", " local ", "auto", "head:6379", "http://wrong"])
@pytest.mark.parametrize("said", [None, "", "local", " local", "auto", "head:6379", "http://wrong"])
def test_a_study_trains_here_where_ray_is_our_own(said: str | None, variable: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if variable is not None:
        monkeypatch.setenv("RAY_ADDRESS", variable)
    try:
        is_ours = cluster_address(said) is None
    except SpecError:
        is_ours = False
    assert is_here(said) is is_ours
