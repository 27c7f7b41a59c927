"""The address of a Ray cluster: where it was given, what form it must have, and whether the head of a cluster answers there."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from search_space.errors import SpecError, complaint_of, quoted
from trials.machine.redaction import redacted

VARIABLE = "RAY_ADDRESS"
AUTOMATIC, LOCAL = "auto", "local"
"""Words in place of an address: the cluster that this machine belongs to, and a Ray of our own."""
FORM = "give HOST:PORT of its head, whose port is 6379 unless it was started with another, or auto on one of its machines"
ANSWER_SECONDS = 10.0
"""Longest wait for a cluster's first answer; Ray itself would ask for minutes, and end the process from C++ then."""
TOKEN_CURE = (
    "set RAY_AUTH_MODE=token and put the cluster's token (`ray get-auth-token` there) into RAY_AUTH_TOKEN, "
    "into a file that RAY_AUTH_TOKEN_PATH names, or into ~/.ray/auth_token"
)


@dataclass(frozen=True, slots=True)
class ClusterAddress:
    """Where a cluster is said to be."""

    text: str
    """`auto`, or HOST:PORT with the brackets of IPv6."""
    source: str
    """Who said so, as a person knows it."""

    def __str__(self) -> str:
        return f"{self.source}={quoted(self.text)}"


def is_here(given: str | None) -> bool:
    """Whether this machine trains: neither --address nor the environment, by which Ray tells a job, names a cluster."""
    return not _said(given)[0]


def cluster_address(given: str | None) -> ClusterAddress | None:
    """The address that was given by --address, else by the environment; None for a Ray of our own.

    Raises SpecError for one that no cluster can be joined by, with the form that is right.
    """
    said, source = _said(given)
    if not said:
        return None
    if said != AUTOMATIC and (wrong := _what_is_wrong(said)):
        way = "" if source == "--address" else f", or unset {VARIABLE} to have Ray started on this machine"
        raise SpecError(f"{source} must be the address of a Ray cluster's head, found {quoted(_shown(said))}, {wrong}; {FORM}{way}")
    return ClusterAddress(said, source)


def _said(given: str | None) -> tuple[str, str]:
    """What counts as the address, empty where that is a Ray of our own, and who said it."""
    said, source = (given, "--address") if given else (os.environ.get(VARIABLE, ""), VARIABLE)
    if source == "--address" and said.strip() == AUTOMATIC and os.environ.get(VARIABLE):
        said, source = os.environ[VARIABLE], VARIABLE  # Ray takes the variable for what is found automatically
    said = said.strip()
    return ("" if said == LOCAL else said), source


def _shown(said: str) -> str:
    """An address without a password, which stands before an @ even where there is no scheme."""
    before, has_user, host = said.rpartition("@")
    return redacted(said) if "://" in before or not has_user else f"***@{host}"


def _what_is_wrong(said: str) -> str:
    """Why this is no HOST:PORT; empty where it is."""
    scheme, has_scheme, _ = said.partition("://")
    if has_scheme:
        return {
            "ray": "which is for Ray's client, and a study is no client of another's driver",
            "http": "which is the form of a dashboard's address, for `archfront job`",
            "https": "which is the form of a dashboard's address, for `archfront job`",
        }.get(scheme.lower(), f"whose scheme {quoted(scheme)} Ray does not join by")
    try:
        parts = urlsplit(f"//{said}")
        host, port = parts.hostname, parts.port
    except ValueError:
        return "whose host or port cannot be read"
    if not host:
        return "which has no host"
    if port is None:
        return "which has no port"
    return "" if said.lower() in (f"{host}:{port}", f"[{host}]:{port}") else "which has more than a host and a port"


def answering(address: ClusterAddress) -> str:
    """HOST:PORT of the cluster's head, which has answered; raises SpecError where none does within `ANSWER_SECONDS`."""
    from ray._private.authentication.authentication_token_setup import maybe_enable_token_auth_if_token_available
    from ray._private.services import canonicalize_bootstrap_address
    from ray.exceptions import AuthenticationError

    if address.text == AUTOMATIC:  # where Ray sends a token unasked
        maybe_enable_token_auth_if_token_available(warn_if_disabled=False)
    try:
        there: str = canonicalize_bootstrap_address(address.text)
    except ConnectionError:
        raise SpecError(f"{address} must find a Ray cluster on this machine, found none; {_stale(address)}") from None
    host, _, port = there.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_SECONDS).close()
    except OSError as error:
        raise SpecError(f"a Ray cluster must answer at {address}, found: {_reason(error)}; {_stale(address)}") from None
    try:
        found = _asked(there)
    except AuthenticationError as error:
        missing = str(error).partition(". ")[0].rstrip(".")
        raise SpecError(f"the token for the Ray cluster at {address} must be there to be read, found: {missing}; {TOKEN_CURE}") from None
    if found == "UNAUTHENTICATED":
        raise SpecError(f"the Ray cluster at {address} wants a token: {TOKEN_CURE}")
    if found:
        raise SpecError(
            f"the head of a Ray cluster must answer at {address}, found a port that listens and {found}; "
            f"{FORM} (8265 is the dashboard's, 10001 that of Ray's client)"
        )
    return there


def _asked(address: str) -> str:
    """What a cluster's head is asked first of all, asked here with an end: empty where it answers, else in words how it does not."""
    import grpc
    from ray._private.grpc_utils import init_grpc_channel
    from ray.core.generated import gcs_service_pb2, gcs_service_pb2_grpc

    with init_grpc_channel(address) as channel:
        try:
            gcs_service_pb2_grpc.NodeInfoGcsServiceStub(channel).GetClusterId(
                gcs_service_pb2.GetClusterIdRequest(), timeout=ANSWER_SECONDS, wait_for_ready=False
            )
        except grpc.RpcError as error:
            status = error.code()
            if status is grpc.StatusCode.UNAUTHENTICATED:
                return str(status.name)
            never = status is grpc.StatusCode.DEADLINE_EXCEEDED
            return f"does not answer within {ANSWER_SECONDS:g} seconds" if never else "answers otherwise than one does"
    return ""


def _stale(address: ClusterAddress) -> str:
    """What to do about an address where nothing is."""
    if address.source == VARIABLE:
        return f"check that the cluster is up, give its present address, or unset {VARIABLE} to have Ray started on this machine"
    return "check that the cluster is up and its address, or leave --address out to have Ray started on this machine"


def _reason(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {ANSWER_SECONDS:g} seconds"
    return complaint_of(error)
