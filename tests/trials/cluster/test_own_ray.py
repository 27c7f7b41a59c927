"""A Ray of our own in environments of every kind; each real start is a program of its own, in front of which another stands."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ray.exceptions import RaySystemError, RpcError, TaskCancelledError

from search_space.errors import SpecError, WorkError
from tests.support.processes import process_named, processes_with
from trials.cluster import own_ray
from trials.cluster.own_ray import answered_by, first_line, require_loopback, short_root

ROOT = Path(__file__).resolve().parents[3]
MARK = "ARCHFRONT_TEST_RAY"
"""In the environment of a driver and of all that it started."""
DRIVER = """
import sys
from argparse import Namespace
import psutil
from archfront import _run
from tests.support import fakes
from trials.commands.verbs import VERBS, Verb
from trials.cluster import ray_session
from trials.machine.supervision import supervised

def work(options):
    import ray
    study, _ = fakes.small_study()
    with ray_session.connected(study, None):
        answered = ray.get(ray.remote(lambda: 6 * 7).remote())
        here = psutil.Process()
        ends = [end for process in (here, *here.children(recursive=True)) for end in process.net_connections("inet")]
        print(answered, *sorted({end.laddr.ip.removeprefix("::ffff:") for end in ends if end.status == psutil.CONN_LISTEN}))
        lines = [" ".join(process.cmdline()) for process in here.children(recursive=True)]
        known = ("gcs_server", "raylet/raylet", "agent_stand_in.py", "ray::")
        print(*sorted(next((name for name in known if name in line.split(" --")[0]), line) for line in lines), sep=", ")
    return 0

def endless(options):
    import ray
    from trials.cluster import ray_session
    study, _ = fakes.small_study()
    with ray_session.connected(study, None):
        ray.get(ray.remote(lambda: 6 * 7).remote())
        print("up", flush=True)
        ray.get(ray.remote(lambda: __import__("time").sleep(600)).remote())

verb = Verb(globals()[sys.argv[1]], print, goes_on=True)
sys.exit(supervised(lambda: _run(verb, Namespace(), is_program=True), verb.interrupted, verb.vanished))
"""


def start(folder: Path, work: str = "work", **environment: str) -> subprocess.Popen[str]:
    """A driver that starts a Ray of its own, asks it one question and ends, or asks it a long one."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, work],
        cwd=ROOT,
        env={**kept, MARK: str(folder), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def endless(folder: Path, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A driver whose question has no answer, ended at last."""
    driver = start(folder, "endless", **environment)
    try:
        yield driver
    finally:
        driver.kill()
        driver.wait()


def require_up(driver: subprocess.Popen[str]) -> None:
    assert driver.stdout is not None
    assert driver.stdout.readline() == "up\n"


@pytest.mark.more
@pytest.mark.slow
def test_a_study_starts_ray_whatever_the_environment_on_the_loopback_alone(tmp_path: Path) -> None:
    """A long TMPDIR, a HOME that cannot be written, a token's file that is missing, a dead proxy: all at once.

    Nothing but gcs_server, a raylet with two programs in place of its agents, and workers is started.
    """
    temporary = tmp_path / ("t" * 80)
    temporary.mkdir()
    driver = start(
        tmp_path,
        TMPDIR=str(temporary),
        HOME="/proc",
        RAY_AUTH_TOKEN_PATH=str(tmp_path / "missing"),
        http_proxy="http://127.0.0.1:1",
        RAY_TMPDIR=str(tmp_path / "nowhere"),
    )
    said, complaints = driver.communicate(timeout=300)
    assert (driver.returncode, complaints) == (0, ""), complaints
    addresses, processes = said.splitlines()
    assert addresses == "42 127.0.0.1"
    assert [name for name in processes.split(", ") if name != "ray::"] == ["agent_stand_in.py"] * 2 + ["gcs_server", "raylet/raylet"]
    assert not processes_with(MARK, str(tmp_path))
    assert not list(temporary.iterdir())


@pytest.mark.parametrize("length", [1, 20, own_ray.LONGEST_ROOT, own_ray.LONGEST_ROOT + 1, 50, 200])
@pytest.mark.parametrize("kind", ["there", "missing", "a file"])
def test_the_first_short_folder_that_can_be_written_is_taken(
    length: int, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lengths count the bytes after the beginning of this test's own folder, which is no short one."""
    monkeypatch.setattr(own_ray, "LONGEST_ROOT", len(os.fsencode(tmp_path)) + 1 + own_ray.LONGEST_ROOT)
    wanted = tmp_path / ("é" * (length // 2) + "x" * (length % 2))
    if kind == "there":
        wanted.mkdir()
    elif kind == "a file":
        wanted.touch()
    fits = kind == "there" and len(os.fsencode(wanted)) <= own_ray.LONGEST_ROOT
    assert short_root([str(wanted), "relative", str(tmp_path)]) == str(wanted if fits else tmp_path)


def test_without_a_short_folder_the_cure_is_told() -> None:
    with pytest.raises(
        SpecError, match=r"need a folder that can be written .* at most 32 bytes, found none of /nowhere, /x+; set RAY_TMPDIR"
    ):
        short_root(["/nowhere", f"/{'x' * 60}", "/nowhere"])


def test_a_machine_that_cannot_reach_itself_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise OSError(101, "Network is unreachable")

    require_loopback()
    monkeypatch.setattr(socket, "create_connection", unreachable)
    with pytest.raises(SpecError, match=r"reach each other at 127\.0\.0\.1, found: Network is unreachable; bring the loopback up"):
        require_loopback()


def test_a_librarys_complaint_is_one_line_without_a_secret() -> None:
    assert first_line(RuntimeError("no http://me:secret@host\nat all")) == "no http://me:***@host"
    assert first_line(RuntimeError(), "before\nwhat C++ said\n") == "what C++ said"
    assert first_line(RuntimeError()) == "RuntimeError"


@pytest.mark.parametrize("error", [RpcError("CANCELLED"), RaySystemError("Broken pipe"), TaskCancelledError(), ValueError("ours")])
def test_rays_own_failure_is_a_sentence_and_what_it_was_asked_to_run_keeps_its_error(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_ray, "NOTICED_SECONDS", 0)
    is_rays = isinstance(error, own_ray.GONE)
    with pytest.raises(WorkError if is_rays else type(error)) as raised, answered_by("Ray"):
        raise error
    assert not is_rays or str(raised.value).startswith("Ray must answer until the end, found: ")


@pytest.mark.more
@pytest.mark.slow
@pytest.mark.parametrize("name", ["gcs_server", "raylet"])
def test_a_machine_too_busy_for_rays_own_patience_is_waited_for(name: str, tmp_path: Path) -> None:
    driver = start(tmp_path)
    late = process_named(name, MARK, str(tmp_path))
    os.kill(late.number, signal.SIGSTOP)
    time.sleep(45)
    assert driver.poll() is None
    os.kill(late.number, signal.SIGCONT)
    said, complaints = driver.communicate(timeout=300)
    assert (driver.returncode, complaints) == (0, ""), complaints
    assert said.startswith("42 ")
    assert not processes_with(MARK, str(tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("gcs_server", signal.SIGTERM),
        pytest.param("gcs_server", signal.SIGKILL, marks=pytest.mark.more),
        pytest.param("raylet", signal.SIGTERM, marks=pytest.mark.more),
        pytest.param("raylet", signal.SIGKILL, marks=pytest.mark.more),
    ],
)
def test_the_end_of_what_ray_lives_by_is_one_sentence_and_leaves_no_process(name: str, number: signal.Signals, tmp_path: Path) -> None:
    """Asked to end, gcs_server stops to listen and lives on (Ray 2.60); a raylet takes its driver along, sometimes before we can tell."""
    with endless(tmp_path) as driver:
        require_up(driver)
        os.kill(process_named(name, MARK, str(tmp_path)).number, number)
        _, complaints = driver.communicate(timeout=200)
    assert driver.returncode == 1
    (sentence,) = complaints.splitlines()
    assert re.match(rf"archfront: (Ray's {name} |the process that did the work ended with |Ray did not start on this machine)", sentence)
    assert sentence.endswith(("the same command continues", "the same command tries again"))
    assert not processes_with(MARK, str(tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("raylet", signal.SIGKILL),
        pytest.param("raylet", signal.SIGTERM, marks=pytest.mark.more),
        pytest.param("gcs_server", signal.SIGKILL, marks=pytest.mark.more),
        pytest.param("gcs_server", signal.SIGTERM, marks=pytest.mark.more),
    ],
)
def test_what_ends_before_ray_is_up_is_begun_again(name: str, number: signal.Signals, tmp_path: Path) -> None:
    """As a raylet does whose agents are late beside other work."""
    with tempfile.TemporaryDirectory(dir=own_ray.SHORT_FOLDERS[0]) as short:
        with endless(tmp_path, RAY_TMPDIR=short, TMPDIR=short) as driver:
            os.kill(process_named(name, MARK, str(tmp_path)).number, number)
            require_up(driver)
            driver.send_signal(signal.SIGINT)
            _, complaints = driver.communicate(timeout=200)
        assert not list(Path(short).iterdir()), "what the start in vain has left goes once Ray is up"
    assert driver.returncode == 130
    first, *_ = complaints.splitlines()
    assert re.match(rf"archfront: Ray's {name} .* before it was up \(its logs lie in .*\); it is begun again$", first)
    assert not processes_with(MARK, str(tmp_path))
