"""What holds for every test, and what all of them share."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.browser import headless
from tests.support.forked import PRELOADED, run_forked
from tests.support.needs import demanded, skip_what_is_late
from tests.support.scheduling import FileScheduling, is_on_ray, place_in_order
from trials.machine.subprocesses import run_in_subprocess
from trials.tracking.mlflow_store import MLFLOW_SETTINGS

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

    from tests.support.real_study import RealStudy


RAY = ExitStack()
"""The shared Ray, while tests on it follow each other."""
TESTS = count()
"""Numbers of the tests of this process."""


def pytest_configure() -> None:
    """Have what tests start listen to Ctrl-C and to a terminal that closes, which a shell's `&` and `nohup` would keep from them.

    And have MLflow as quiet as users have it.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", MLFLOW_SETTINGS["MLFLOW_LOGGING_LEVEL"])  # read once, by whichever test imports it first


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=place_in_order)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FileScheduling:
    config.option.loadscopereorder = False
    return FileScheduling(config, log)


def pytest_runtest_setup(item: pytest.Item) -> None:
    skip_what_is_late()
    if is_on_ray(item):
        _connect()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> Generator[None, None, None]:
    """No other test finds its process connected."""
    try:
        return (yield)
    finally:
        if nextitem is None or not is_on_ray(nextitem):
            RAY.close()


def pytest_sessionfinish() -> None:
    RAY.close()


def _connect() -> None:
    import ray

    from tests.support.fakes import small_study
    from trials.cluster.ray_session import RAY_SETTINGS, connected

    if not ray.is_initialized():
        for name in RAY_SETTINGS.keys() - os.environ.keys():
            RAY.callback(os.environ.pop, name, None)
        RAY.enter_context(connected(small_study()[0], None))


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


@pytest.fixture(scope="session", autouse=True)
def plans_time_nothing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Plans find a machine at the pace of `tests.support.planted_pace`, alone, and keep what they learn in this folder.

    Those who test the timing itself call it by its own name.
    """
    from tests.support import planted_pace

    folder = tmp_path_factory.mktemp("paces")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trials.plans.pace_table.paces_folder", lambda: folder / "shared")
        patch.setattr("trials.plans.known_paces.measured_paces", planted_pace.planted_paces)
        patch.setattr("trials.plans.known_paces.measured_latency", planted_pace.planted_latency)
        patch.setattr("trials.plans.known_paces.processor_share", lambda processes: 1.0)
        yield folder


@pytest.fixture(autouse=True)
def no_pace_is_known(plans_time_nothing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test finds what another one's studies took."""
    own = plans_time_nothing / f"{next(TESTS)}"
    monkeypatch.setattr("trials.plans.pace_table.paces_folder", lambda: own)


Call = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def archfront(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """The command line as a function of its words, called in this process and in the test's folder."""
    from archfront import main

    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        capsys.readouterr()
        code = main(words)
        said = capsys.readouterr()
        return subprocess.CompletedProcess(words, code, said.out, said.err)

    return call


@pytest.fixture(scope="session", autouse=True)
def runs_are_written_here() -> Iterator[None]:
    """Studies that run in this process have it write their MLflow runs too: each process of theirs would import MLflow for seconds.

    Who imported the real tracker keeps it, and `mlflow_process` gives it back to a study.
    """
    from tests.support.mlflow_here import TrackerHere

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trials.tracking.mlflow_tracker.Tracker", TrackerHere)
        yield


@pytest.fixture(scope="session", autouse=True)
def trainings_are_forked() -> Iterator[None]:
    """Processes that train side by side come from one that has imported Lightning: each would do so for seconds.

    What they are given is pickled as ever, and they have no state of this process.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trials.machine.process_pool.get_context", lambda _: context)
        yield


@pytest.fixture(scope="session", autouse=True)
def models_are_read_in_forks(trainings_are_forked: None) -> Iterator[None]:
    """A process that reads an export has imported torch before it is asked; `a_process_of_its_own` gives a test the one that users have."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trials.export.subprocess_reading.run_in_subprocess", run_forked)
        yield


@pytest.fixture
def a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """An export is read by a program that starts from nothing, as a person's is."""
    monkeypatch.setattr("trials.export.subprocess_reading.run_in_subprocess", run_in_subprocess)


@pytest.fixture
def mlflow_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Studies have a process that writes their MLflow runs, as a person's have."""
    from tests.support.mlflow_here import TrackerHere

    monkeypatch.setattr("trials.tracking.mlflow_tracker.Tracker", TrackerHere.__base__)


@pytest.fixture(scope="session")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One MLflow database for all studies that need one."""
    return f"sqlite:///{tmp_path_factory.mktemp('tracking')}/mlflow.db"


@pytest.fixture(scope="session")
def ray_here() -> None:
    """One Ray of our own for all tests where no cluster's life is the point; a study that runs in this process finds and uses it."""
    import ray

    assert ray.is_initialized(), "it is there before a test that asks for it begins, and goes with the last of them"


@pytest.fixture(scope="session")
def real_study(tmp_path_factory: pytest.TempPathFactory, ray_here: None, tracking: str) -> RealStudy:
    """One study with real trainings, run to its end."""
    from tests.support.real_study import TEXT, RealStudy, trainings_in

    folder = tmp_path_factory.mktemp("real")
    (folder / "text.txt").write_text(TEXT)
    study = RealStudy(folder / "study", folder / "text.txt", folder / "trainings", tracking)
    with trainings_in(study.trainings):
        result = study.run(study.directory)
    assert result.failure is None
    return study


@pytest.fixture(scope="session")
def browser() -> Iterator[Chrome]:
    """One headless Chromium for all pages."""
    with headless() as chrome:
        yield chrome
