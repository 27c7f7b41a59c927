"""What Ray adds to the niceness of its workers is taken back where the system allows that, of every thread."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
WORKER = """
import json, os, sys, threading
wait = threading.Event()
thread = threading.Thread(target=wait.wait)
thread.start()
if "unprivileged" in sys.argv:
    import resource
    os.setuid(65534)
from trials.machine.niceness import niceness, take_back_niceness
left = take_back_niceness()
found = [os.getpriority(os.PRIO_PROCESS, int(each)) for each in os.listdir("/proc/self/task")]
wait.set()
print(json.dumps([left, niceness(), found]))
"""
OWN = os.getpriority(os.PRIO_PROCESS, 0)
MORE = min(5, 19 - OWN)
needs_root = pytest.mark.skipif(os.getuid() != 0 or not MORE, reason="who may not become less nice has nothing to take back")


def said(*words: str, **variables: str) -> Any:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")} | variables
    command = ["nice", "-n", str(MORE), sys.executable, "-c", WORKER, *words]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@needs_root
def test_every_thread_of_a_worker_is_as_nice_as_its_node() -> None:
    assert said(RAY_RAYLET_PID=str(os.getpid())) == [0, OWN, [OWN, OWN]]


@needs_root
def test_what_may_not_be_taken_back_is_said() -> None:
    assert said("unprivileged", RAY_RAYLET_PID=str(os.getpid())) == [MORE, OWN + MORE, [OWN + MORE] * 2]


def test_who_runs_nicely_of_their_own_will_stays_so() -> None:
    assert said() == [0, OWN + MORE, [OWN + MORE] * 2]
    assert said(RAY_RAYLET_PID="none")[0] == 0
