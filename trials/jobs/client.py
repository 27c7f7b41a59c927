"""The door to a Ray cluster's jobs: a client of its dashboard, and Ray's exceptions as one sentence each."""

from __future__ import annotations

import errno
import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from ray.exceptions import AuthenticationError
from ray.job_submission import JobSubmissionClient

from search_space.errors import FULL, SpecError, quoted
from trials.cluster.ray_address import TOKEN_CURE
from trials.study.files import require_url

ADDRESS_VARIABLES = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS")
"""Ray lets these override an address that was given; here what is given counts."""
OF_A_DISK = (*FULL, errno.EFBIG, errno.EIO)
"""What no network says, though Ray packs files on the way."""
SILENT_SECONDS = (10.0, 120.0)
"""Longest that a connection is waited for, and that one is silent before the next bytes of an answer come."""
SENDING_SECONDS = 3600.0
"""Longest that a package is on its way, which the time to connect bounds as well."""


class PatientClient(JobSubmissionClient):  # type: ignore[misc]
    """Ray's, which by itself waits for a silent connection without end."""

    def _do_request(self, method: str, endpoint: str, **sent: Any) -> Any:
        connecting, silent = SILENT_SECONDS
        return super()._do_request(
            method, endpoint, **{"timeout": (connecting if sent.get("data") is None else SENDING_SECONDS, silent), **sent}
        )


@contextmanager
def dashboard(address: str, job: str | None = None) -> Iterator[JobSubmissionClient]:
    """A client of the dashboard at this address, for `job` where one is meant; what Ray raises inside becomes a SpecError with the cure."""
    try:
        yield _client(address)
    except AuthenticationError:
        raise SpecError(f"the Ray cluster at {address} wants a token: {TOKEN_CURE}") from None
    except (OSError, aiohttp.ClientError) as error:
        if not _is_of_the_client(error) or getattr(error, "filename", None) is not None or getattr(error, "errno", None) in OF_A_DISK:
            raise
        raise SpecError(
            f"no Ray cluster answers at {address}; check that it is up, and the port forward (`ray dashboard ray_cluster.yaml`)"
        ) from None
    except RuntimeError as error:
        if not _is_of_the_client(error):
            raise
        if "does not exist" in str(error):
            raise SpecError(f"{address} has no job {job}; `archfront job list` shows all") from None
        raise SpecError(f"the Ray cluster at {address} refused: {str(error).strip().splitlines()[0]}") from None


def _is_of_the_client(error: Exception) -> bool:
    """Whether it was raised in a call of Ray's client, and not by what is done here with what came."""
    return any(frame.f_globals.get("__name__", "").startswith("ray.") for frame, _ in traceback.walk_tb(error.__traceback__))


def _client(address: str) -> JobSubmissionClient:
    require_url(address, "the address", "give the URL of the cluster's dashboard, such as http://127.0.0.1:8265")
    if urlsplit(address).scheme not in ("http", "https"):
        raise SpecError(
            f"the address must be the URL of the cluster's dashboard, such as http://127.0.0.1:8265, found {quoted(address)}; give that"
        )
    kept = {name: os.environ.pop(name) for name in ADDRESS_VARIABLES if name in os.environ}
    try:
        return PatientClient(address)
    finally:
        os.environ.update(kept)
