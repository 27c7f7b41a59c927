from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.ray_head import Head, Job, started_head, write_study


@pytest.fixture(scope="session")
def head() -> Iterator[Head]:
    """One head for all tests of jobs."""
    with started_head() as started:
        yield started


@pytest.fixture(scope="session")
def ran(head: Head, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A job of Ada's that has come to its end, for tests that look at one."""
    folder = tmp_path_factory.mktemp("ran")
    study, directory = write_study(folder / "studies"), folder / "results"
    submitted = head.call("submit", "run", str(study), "--directory", str(directory), ARCHFRONT_OWNER="ada")
    assert submitted.returncode == 0, submitted.stderr
    job = submitted.stdout.strip()
    return Job(job, directory, head.call("logs", job, "--follow"))
