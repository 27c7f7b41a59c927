"""What holds for every test, and what all of them share."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.browser import headless
from tests.support.needs import demanded

if TYPE_CHECKING:
    from selenium.webdriver import Chrome


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The shared Ray comes last: no test before it finds this process connected."""
    items.sort(key=lambda item: "ray_here" in getattr(item, "fixturenames", ()))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return demanded((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return demanded((yield))


@pytest.fixture(autouse=True)
def no_training_is_taken_over(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No study of a test finds a finished training, or leaves one in the cache of whoever runs it: each has an index of its own.

    Those who test the index itself put one in its place. A test that starts a driver as a program gives it a cache folder.
    """

    def another() -> Path:
        return tmp_path_factory.mktemp("trainings")

    monkeypatch.setattr("trials.trial.reuse.trainings_folder", another)


@pytest.fixture(scope="session")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One MLflow database for all studies that need one: making its tables takes seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('tracking')}/mlflow.db"


@pytest.fixture(scope="session")
def ray_here() -> Iterator[None]:
    """One Ray of our own for all tests where no cluster's life is the point; a study that runs in this process finds and uses it."""
    import ray

    from tests.support.fakes import small_study
    from trials.driver.ray_session import connected

    with connected(small_study()[0], None):
        assert ray.is_initialized()
        yield


@pytest.fixture(scope="session")
def browser() -> Iterator[Chrome]:
    """One headless Chromium for all pages."""
    with headless() as chrome:
        yield chrome
