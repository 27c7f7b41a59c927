"""The door to a Ray cluster's jobs: a client of its dashboard, and Ray's exceptions as one sentence each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from ray.exceptions import AuthenticationError
from ray.job_submission import JobSubmissionClient

from search_space.errors import SpecError, quoted
from trials.cluster.ray_address import TOKEN_CURE
from trials.study.files import require_url

ADDRESS_VARIABLES = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS")
"""Ray lets these override an address that was given; here what is given counts."""


@contextmanager
def dashboard(address: str, job: str | None = None) -> Iterator[JobSubmissionClient]:
    """A client of the dashboard at this address, for `job` where one is meant; what Ray raises inside becomes a SpecError with the cure."""
    try:
        yield _client(address)
    except AuthenticationError:
        raise SpecError(f"the Ray cluster at {address} wants a token: {TOKEN_CURE}") from None
    except OSError as error:
        if not _is_of_the_network(error):
            raise
        raise SpecError(
            f"no Ray cluster answers at {address}; check that it is up, and the port forward (`ray dashboard ray_cluster.yaml`)"
        ) from None
    except RuntimeError as error:
        if "does not exist" in str(error):
            raise SpecError(f"{address} has no job {job}; `archfront job list` shows all") from None
        raise SpecError(f"the Ray cluster at {address} refused: {str(error).strip().splitlines()[0]}") from None


def _is_of_the_network(error: OSError) -> bool:
    """Whether it is one of requests, aiohttp or a socket, and none of a file here."""
    return error.filename is None


def _client(address: str) -> JobSubmissionClient:
    require_url(address, "the address", "give the URL of the cluster's dashboard, such as http://127.0.0.1:8265")
    if urlsplit(address).scheme not in ("http", "https"):
        raise SpecError(
            f"the address must be the URL of the cluster's dashboard, such as http://127.0.0.1:8265, found {quoted(address)}; give that"
        )
    kept = {name: os.environ.pop(name) for name in ADDRESS_VARIABLES if name in os.environ}
    try:
        return JobSubmissionClient(address)
    finally:
        os.environ.update(kept)
