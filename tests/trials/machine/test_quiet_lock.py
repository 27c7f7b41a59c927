"""Training pauses while latency is taken, between real processes, and whatever dies."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from search_space.errors import SpecError
from trials.machine.quiet_lock import MOMENTS, QuietLock, QuietTimeoutError, should_pause

ROOT = Path(__file__).resolve().parents[3]

TRAINER = """
import json, sys, time
from pathlib import Path
from trials.machine.quiet_lock import QuietLock
directory, work_seconds = Path(sys.argv[1]), float(sys.argv[2])
steps = []
with QuietLock(directory).training() as quiet:
    print("training", flush=True)
    while not (directory / "stop").exists():
        for _ in range(50):
            quiet.pause()
            began = time.monotonic()
            while time.monotonic() - began < work_seconds:
                pass
            steps.append((began, time.monotonic()))
print(json.dumps(steps))
"""

BUSY_TRAINER = """
import sys, time
from pathlib import Path
from trials.machine.quiet_lock import QuietLock
with QuietLock(Path(sys.argv[1])).training():
    print("in a step that does not end", flush=True)
    time.sleep(60)
"""

MEASURES = """
import sys, time
from pathlib import Path
from trials.machine.quiet_lock import QuietLock
quiet = QuietLock(Path(sys.argv[1]))
print("begins", flush=True)
while not (Path(sys.argv[1]) / "stop").exists():
    with quiet.measuring(60):
        time.sleep(0.1)
        print("measured", flush=True)
"""

MEASURER = """
import sys, time
from pathlib import Path
from trials.machine.quiet_lock import QuietLock
with QuietLock(Path(sys.argv[1])).measuring(10):
    print("measuring", flush=True)
    time.sleep(60)
"""


@contextmanager
def process(script: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A second Python process, running once its first line is there and gone afterwards."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert child.stdout is not None
    try:
        assert child.stdout.readline()
        yield child
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def test_no_training_step_overlaps_a_measurement(tmp_path: Path) -> None:
    measurements = []
    with process(TRAINER, tmp_path, 2e-4) as one, process(TRAINER, tmp_path, 1e-3) as other:
        quiet = QuietLock(tmp_path)
        for _ in range(20):
            with quiet.measuring(10):
                began = time.monotonic()
                time.sleep(0.005)
                measurements.append((began, time.monotonic()))
            time.sleep(0.01)
        quiet.close()
        (tmp_path / "stop").touch()
        for child in (one, other):
            assert child.stdout is not None
            steps = json.loads(child.stdout.read())
            assert len(steps) > 50
            assert not [(step, m) for step in steps for m in measurements if step[0] < m[1] and m[0] < step[1]]


def test_a_measurer_is_not_starved_by_two_trainers_that_do_nothing_but_ask(tmp_path: Path) -> None:
    waits = []
    with process(TRAINER, tmp_path, 0), process(TRAINER, tmp_path, 0):
        quiet = QuietLock(tmp_path)
        for _ in range(20):
            with quiet.measuring(10) as waited:
                waits.append(waited)
        quiet.close()
    assert max(waits) < 5


@pytest.mark.more
def test_studies_that_measure_all_the_time_leave_a_third_to_trainers_and_each_other_half_of_the_rest(tmp_path: Path) -> None:
    quiet = QuietLock(tmp_path)
    with process(MEASURES, tmp_path) as one, process(MEASURES, tmp_path) as other:
        with quiet.training():
            began, paused = time.monotonic(), 0.0
            while (passed := time.monotonic() - began) < 4:
                paused += quiet.pause()
                time.sleep(0.002)
        (tmp_path / "stop").touch()
        counts = [child.communicate(timeout=60)[0].count("measured") for child in (one, other)]
    quiet.close()
    assert paused < 0.75 * passed  # 0.67, and what a busy machine adds
    assert min(counts) >= 3
    assert min(counts) > 0.5 * max(counts)


def test_what_an_earlier_clock_has_left_in_the_file_means_nothing(tmp_path: Path) -> None:
    quiet = QuietLock(tmp_path)
    for left in (b"torn", MOMENTS.pack(1e12, 1e12 + 5), MOMENTS.pack(time.monotonic(), 1e12), MOMENTS.pack(float("nan"), float("inf"))):
        with quiet.measuring(10):
            pass
        (gate,) = tmp_path.glob("*.gate")
        gate.write_bytes(left)
        with QuietLock(tmp_path).training(), pytest.raises(QuietTimeoutError, match="training run"), quiet.measuring(0.1):
            pass
    quiet.close()


def test_a_measurement_that_raises_lets_go_of_both_files(tmp_path: Path) -> None:
    quiet, other = QuietLock(tmp_path), QuietLock(tmp_path)
    with pytest.raises(ValueError, match="no such shape"), quiet.measuring(1):
        raise ValueError("no such shape")
    with other.measuring(1):
        pass
    quiet.close()
    other.close()


def test_a_measurer_that_is_killed_frees_the_trainers(tmp_path: Path) -> None:
    quiet = QuietLock(tmp_path)
    with quiet.training():
        assert quiet.pause() == 0.0
    with process(MEASURER, tmp_path) as measurer:
        kill = threading.Timer(0.3, measurer.send_signal, [signal.SIGKILL])
        kill.start()
        began = time.monotonic()
        with quiet.training():
            assert 0.2 < time.monotonic() - began < 30
            assert quiet.pause() == 0.0
        kill.join()
    quiet.close()


def test_a_trainer_that_is_killed_frees_the_measurers(tmp_path: Path) -> None:
    quiet = QuietLock(tmp_path)
    with process(BUSY_TRAINER, tmp_path) as trainer:
        with pytest.raises(QuietTimeoutError, match="training run did not pause"), quiet.measuring(0.1):
            pass
        trainer.kill()
        trainer.wait()
        with quiet.measuring(10):
            pass
    quiet.close()


def test_pause_returns_the_seconds_that_a_measurement_took(tmp_path: Path) -> None:
    quiet, other = QuietLock(tmp_path), QuietLock(tmp_path)
    began, done = threading.Event(), threading.Event()

    def measure() -> None:
        with other.measuring(10):
            began.set()
            time.sleep(0.1)
        done.set()

    with quiet.training():
        thread = threading.Thread(target=measure)
        thread.start()
        blocked = 0.0
        while not done.is_set():
            blocked += quiet.pause()
        thread.join()
    assert began.is_set()
    assert 0.09 < blocked < 10
    quiet.close()
    other.close()


def test_two_measurements_exclude_each_other(tmp_path: Path) -> None:
    quiet, other = QuietLock(tmp_path), QuietLock(tmp_path)
    with quiet.measuring(1), pytest.raises(QuietTimeoutError, match="other measurements"), other.measuring(0.05):
        pass
    quiet.close()
    other.close()


def test_the_wait_for_the_trainers_turn_ends_in_the_time_allowed(tmp_path: Path) -> None:
    quiet, trainer = QuietLock(tmp_path), QuietLock(tmp_path)
    with quiet.measuring(1):
        time.sleep(2)  # the trainers have a second now
    with trainer.training():
        since = time.monotonic()
        with pytest.raises(QuietTimeoutError, match=r"training.s turns between them, did not end"), quiet.measuring(0.1):
            pass
        assert time.monotonic() - since < 0.9
    quiet.close()
    trainer.close()


def test_training_is_not_blamed_for_the_time_that_another_measurement_took(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quiet, trainer = QuietLock(tmp_path), QuietLock(tmp_path)
    monkeypatch.setattr("trials.machine.quiet_lock._take", lambda *_: time.sleep(0.2))  # the gate comes free when the time is over
    with trainer.training(), pytest.raises(QuietTimeoutError, match="other measurements"), quiet.measuring(0.1):
        pass
    quiet.close()
    trainer.close()


def test_the_files_are_private_and_links_are_not_followed(tmp_path: Path) -> None:
    QuietLock(tmp_path).close()
    files = sorted(tmp_path.iterdir())
    assert [file.suffix for file in files] == [".gate", ".lock"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    files[0].rename(tmp_path / "elsewhere")
    files[0].symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SpecError, match="must be a file that this user can lock"):
        QuietLock(tmp_path)


def test_asking_costs_a_few_microseconds(tmp_path: Path) -> None:
    quiet = QuietLock(tmp_path)
    with quiet.training():
        best = min(_seconds_of_a_thousand(quiet) for _ in range(5))
    quiet.close()
    assert best / 1000 < 50e-6


def _seconds_of_a_thousand(quiet: QuietLock) -> float:
    began = time.perf_counter()
    for _ in range(1000):
        quiet.pause()
    return time.perf_counter() - began


def test_only_small_machines_pause() -> None:
    assert should_pause(2)
    assert not should_pause(8)
