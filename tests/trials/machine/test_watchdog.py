"""A trial that hangs is ended, and one that others hold up is not."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from trials.machine.watchdog import Watchdog

ROOT = Path(__file__).resolve().parents[3]
LIFE = """
import time
from trials.machine import watchdog
watchdog.GRACE_SECONDS = 0.2
dog = watchdog.Watchdog()
dog.begin(0.4)
{life}
print("alive")
"""


def lived(life: str) -> bool:
    done = subprocess.run([sys.executable, "-c", LIFE.format(life=life)], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ("Timeout" in done.stderr) == (done.returncode != 0)
    return done.stdout == "alive\n"


def test_a_trial_far_past_its_deadline_is_ended() -> None:
    assert not lived("with dog.watching(): time.sleep(3)")


def test_time_that_others_take_is_not_the_trials() -> None:
    assert lived("with dog.watching():\n  with dog.held_up(): time.sleep(1.5)")
    assert not lived("with dog.watching():\n  with dog.held_up(): time.sleep(1.5)\n  time.sleep(3)")


def test_all_that_a_trial_was_held_up_is_known_and_the_next_begins_anew() -> None:
    dog, since = Watchdog(), time.monotonic()
    dog.begin(60.0)
    with dog.watching():
        for _ in range(2):
            with dog.held_up():
                time.sleep(0.05)
    assert 0.1 <= dog.held_seconds <= time.monotonic() - since
    dog.begin(60.0)
    assert dog.held_seconds == 0.0


def test_who_holds_up_what_is_not_watched_takes_nothing_of_it() -> None:
    """As a worker does that waits for its text before its first trial, on a machine that has been up for long."""
    assert lived("with dog.held_up(): time.sleep(1.5)\ntime.sleep(1.5)\nwith dog.watching(): time.sleep(0.1)")
    assert not lived("with dog.held_up(): pass\nwith dog.watching(): time.sleep(3)")
    dog = Watchdog()
    dog.begin(60.0)
    with dog.held_up():
        pass
    with dog.watching(), dog.held_up():
        time.sleep(0.05)
    assert 0.05 <= dog.held_seconds < 60.0


def test_the_stretches_of_a_trial_add_up_without_what_lies_between() -> None:
    assert lived("with dog.watching(): time.sleep(0.1)\ntime.sleep(1)\nwith dog.watching(): time.sleep(0.1)")
    assert not lived("for _ in range(4):\n  with dog.watching(): time.sleep(0.3)")
