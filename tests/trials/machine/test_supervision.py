"""A process in front of the work: whatever ends it, one sentence, one exit code, and no process left; all with real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.processes import processes_with

ROOT = Path(__file__).resolve().parents[3]
MARK = "ARCHFRONT_TEST_SUPERVISED"
PROGRAM = """
import os, signal, subprocess, sys, threading, time
from trials.machine import supervision

def ready():
    print("ready", flush=True)

def patient():
    ready()
    time.sleep(600)

def stubborn():
    while True:
        try:
            patient()
        except BaseException:
            pass

def shrugging():
    stubborn()

def crying():
    try:
        patient()
    except KeyboardInterrupt:
        os.write(2, b"*** SIGTERM received\\n")
        os.abort()

def raising():
    try:
        patient()
    except KeyboardInterrupt:
        raise RuntimeError("a library was in the way")

def with_a_family():
    subprocess.Popen([sys.executable, "-c", "import subprocess, sys; subprocess.Popen(['sleep', '600'])"], start_new_session=True).wait()
    patient()

def fine():
    return 0

def as_another_process_ended():
    return 143

def in_vain():
    print("begun", flush=True)
    supervision.give_up("nothing is up", in_vain=True)

def with_orphans():
    subprocess.Popen(["sleep", "600"], start_new_session=True)
    return 2

def gone():
    os._exit(7)

def aborted():
    os.abort()

def taken_over():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(15))
    patient()

def failing_late():
    import atexit
    atexit.register(os.abort)
    return 2

if sys.argv[1] == "shrugging":
    supervision.UNWIND_SECONDS = 0.5
code = supervision.supervised(
    globals()[sys.argv[1]], lambda number: f"interrupted by {signal.Signals(number).name}", lambda what: what
)
sys.exit(code)
"""


def begin(work: str, folder: Path, before: tuple[str, ...] = (), ignored: tuple[signal.Signals, ...] = ()) -> subprocess.Popen[str]:
    def ignore() -> None:
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)

    return subprocess.Popen(
        [*before, sys.executable, "-c", PROGRAM, work],
        cwd=ROOT,
        env={**os.environ, MARK: str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=ignore,
    )


def ended(process: subprocess.Popen[str], folder: Path) -> tuple[int, list[str]]:
    """The exit code and the lines said; nobody is left then."""
    _, said = process.communicate(timeout=60)
    assert not processes_with(MARK, str(folder))
    return process.returncode, said.splitlines()


def is_ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"


def to_the_front(process: subprocess.Popen[str], number: signal.Signals) -> None:
    process.send_signal(number)


def to_every_process(process: subprocess.Popen[str], number: signal.Signals) -> None:
    os.killpg(process.pid, number)


def to_the_work(process: subprocess.Popen[str], number: signal.Signals) -> None:
    child, *_ = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()  # orphans come behind it
    os.kill(int(child), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
@pytest.mark.parametrize("send", [to_the_front, to_every_process, to_the_work], ids=lambda send: send.__name__)
@pytest.mark.parametrize("work", ["patient", "crying", "raising"])
def test_a_signal_is_one_sentence_and_its_code(
    work: str, send: Callable[[subprocess.Popen[str], signal.Signals], None], number: signal.Signals, tmp_path: Path
) -> None:
    process = begin(work, tmp_path)
    is_ready(process)
    send(process, number)
    assert ended(process, tmp_path) == (128 + number, [f"interrupted by {number.name}"])


def test_what_the_work_has_started_ends_with_it(tmp_path: Path) -> None:
    process = begin("with_a_family", tmp_path)
    is_ready(process)
    assert len(processes_with(MARK, str(tmp_path))) == 3
    process.send_signal(signal.SIGTERM)
    assert ended(process, tmp_path) == (143, ["interrupted by SIGTERM"])


def test_a_library_that_takes_sigterm_for_its_own_exits_as_interrupted(tmp_path: Path) -> None:
    for send in (to_the_front, to_the_work):
        process = begin("taken_over", tmp_path)
        is_ready(process)
        send(process, signal.SIGTERM)
        assert ended(process, tmp_path) == (143, ["interrupted by SIGTERM"])


def test_a_second_signal_ends_at_once_and_any_number_of_ctrl_c_is_130(tmp_path: Path) -> None:
    process = begin("stubborn", tmp_path)
    is_ready(process)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    began = time.monotonic()
    for _ in range(3):
        process.send_signal(signal.SIGINT)
    assert ended(process, tmp_path) == (130, ["interrupted by SIGINT"])
    assert time.monotonic() - began < 5  # with 7 seconds of grace


def test_work_that_does_not_end_by_itself_is_ended_after_its_grace(tmp_path: Path) -> None:
    process = begin("shrugging", tmp_path)
    is_ready(process)
    process.send_signal(signal.SIGTERM)
    assert ended(process, tmp_path) == (143, ["interrupted by SIGTERM"])


def test_timeout_is_one_signal_though_it_sends_two(tmp_path: Path) -> None:
    began = time.monotonic()
    process = begin("crying", tmp_path, before=("timeout", "--preserve-status", "2"))
    assert ended(process, tmp_path) == (143, ["interrupted by SIGTERM"])
    assert time.monotonic() - began > 2


def test_a_signal_that_was_ignored_at_the_start_stays_so(tmp_path: Path) -> None:
    process = begin("patient", tmp_path, ignored=(signal.SIGHUP, signal.SIGINT))
    is_ready(process)
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    assert ended(process, tmp_path) == (143, ["interrupted by SIGTERM"])


@pytest.mark.parametrize(
    ("work", "code", "said"),
    [
        ("fine", 0, []),
        ("as_another_process_ended", 143, []),
        ("with_orphans", 2, []),
        ("failing_late", 2, []),
        ("gone", 1, ["the process that did the work ended with exit code 7 without a word of why"]),
        ("aborted", 1, ["the process that did the work was ended by SIGABRT without a word of why"]),
    ],
)
def test_work_that_ends_by_itself_is_answered_for(work: str, code: int, said: list[str], tmp_path: Path) -> None:
    found, lines = ended(begin(work, tmp_path), tmp_path)
    assert (found, [line for line in lines if "Fatal" not in line]) == (code, said)


def test_work_that_is_killed_is_said_and_work_whose_front_is_killed_ends(tmp_path: Path) -> None:
    process = begin("with_a_family", tmp_path)
    is_ready(process)
    to_the_work(process, signal.SIGKILL)
    assert ended(process, tmp_path) == (1, ["the process that did the work was ended by SIGKILL without a word of why"])
    process = begin("patient", tmp_path)
    is_ready(process)
    process.kill()
    assert ended(process, tmp_path) == (-signal.SIGKILL, [])


EARLY = """
import os, signal, sys
number, moment = int(os.environ["SENT"]), os.environ["MOMENT"]

class Moment:
    def find_spec(self, name, path=None, target=None):
        if name == moment:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), number)

sys.meta_path.insert(0, Moment())
"""
"""Sends this process a signal just before it imports a module."""
MOMENTS = (
    "argparse",
    "search_space.errors",
    "trials.commands.paths",
    "trials.machine.supervision",
    "trials.commands.verbs",
)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_signal_while_the_program_is_read_is_one_sentence_too(moment: str, number: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(EARLY)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "SENT": str(int(number)), "MOMENT": moment, MARK: str(tmp_path)}
    command = [sys.executable, str(ROOT / "archfront.py"), "describe", "mobilellm-125m"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    code, said = ended(process, tmp_path)
    assert code == 128 + number
    assert len(said) == 1
    assert said[0].startswith(f"archfront: interrupted by {number.name}")


def test_a_signal_that_is_to_be_ignored_stays_so(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(f"import signal\nsignal.signal(1, signal.SIG_IGN)\n{EARLY}")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "SENT": "1", "MOMENT": "argparse", MARK: str(tmp_path)}
    command = [sys.executable, str(ROOT / "archfront.py"), "describe", "mobilellm-125m"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert ended(process, tmp_path) == (0, [])


def test_a_work_that_gave_up_before_it_began_is_begun_again_a_few_times(tmp_path: Path) -> None:
    process = begin("in_vain", tmp_path)
    out, said = process.communicate(timeout=60)
    again = "archfront: nothing is up; it is begun again"
    assert (process.returncode, out.splitlines(), said.splitlines()) == (1, ["begun"] * 3, [again, again, "nothing is up"])
    assert not processes_with(MARK, str(tmp_path))
