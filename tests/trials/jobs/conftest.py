from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.ray_head import Head, started_head


@pytest.fixture(scope="session")
def head() -> Iterator[Head]:
    """One head for all tests of jobs."""
    with started_head() as started:
        yield started
