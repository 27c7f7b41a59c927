"""Who waits longest is next, between real processes, and whoever dies is waited for no more."""

from __future__ import annotations

import errno
import fcntl
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from search_space.errors import SpecError
from trials.machine.fair_queue import FairQueue

ROOT = Path(__file__).resolve().parents[3]
ASKS = '''
import json, sys, threading, time
from pathlib import Path
from trials.machine.fair_queue import FairQueue
folder, name, at_once, each = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])

class Noting(FairQueue):
    """Knows when its newest ticket was drawn."""

    def _draw(self):
        before = time.monotonic()
        found = super()._draw()
        self.drawn = before, time.monotonic()
        return found

queue, one = Noting("device", folder), threading.Lock()

def ask():
    for _ in range(each):
        with one, queue.turn():  # as a study's own actor, which asks for one measurement at a time
            began = time.monotonic()
            time.sleep(0.05)
            with open(folder / "turns", "a") as file:
                print(json.dumps([began, time.monotonic(), name, *queue.drawn]), file=file)

print("ready", flush=True)
sys.stdin.readline()
threads = [threading.Thread(target=ask) for _ in range(at_once)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
'''
DIES = """
import sys, time
from pathlib import Path
from trials.machine.fair_queue import FairQueue
with FairQueue("device", Path(sys.argv[1])).turn():
    print("has it", flush=True)
    time.sleep(600)
"""


def start(program: str, *words: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", program, *map(str, words)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline()
    return process


def tickets(folder: Path) -> list[str]:
    return [path.name for path in (folder / f"archfront-{os.getuid()}-device").iterdir()]


def test_a_study_with_many_workers_and_one_with_a_single_one_take_turns(tmp_path: Path) -> None:
    asking = [start(ASKS, tmp_path, "many", 4, 4), start(ASKS, tmp_path, "single", 1, 6)]
    for process in asking:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in asking:
        process.communicate(timeout=120)
        assert process.returncode == 0
    turns = sorted(json.loads(line) for line in (tmp_path / "turns").read_text().splitlines())
    assert len(turns) == 22
    assert all(ended <= began for (_, ended, *_), (began, *_) in itertools.pairwise(turns))
    for (*_, name, drawing, _), (*_, later, _, drawn) in itertools.combinations(turns, 2):
        assert drawing < drawn, f"{later} drew its ticket before {name} began to draw one, and came after"
    assert tickets(tmp_path) == ["turn"]


def test_whoever_dies_is_waited_for_no_more(tmp_path: Path) -> None:
    process = start(DIES, tmp_path)
    os.kill(process.pid, signal.SIGKILL)
    since = time.monotonic()
    with FairQueue("device", tmp_path).turn() as waited:
        assert waited <= time.monotonic() - since
    process.communicate()
    assert tickets(tmp_path) == ["turn"]


def test_a_queue_that_cannot_be_joined_is_left_without_a_ticket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    queue = FairQueue("device", tmp_path)
    with monkeypatch.context() as here:
        here.setattr(fcntl, "flock", refuses)
        with pytest.raises(OSError, match="no locks"), queue.turn():
            pass
    assert tickets(tmp_path) == ["turn"]
    (tmp_path / f"archfront-{os.getuid()}-device" / "turn").unlink()
    (tmp_path / f"archfront-{os.getuid()}-device" / "turn").mkdir()
    with pytest.raises(OSError, match="turn"), queue.turn():
        pass
    assert tickets(tmp_path) == ["turn"], "no ticket for which the others would wait"


def test_another_users_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"archfront-{os.getuid()}-device").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SpecError, match="must be a folder of this user, found another's or a link; remove it"):
        FairQueue("device", tmp_path)
