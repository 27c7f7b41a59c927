"""Standings of studies that never ran, of every kind that a terminal may have to show."""

from __future__ import annotations

import os
import random
import socket
import time
from typing import Any

from trials.progress.standing import Failure, FrontMember, RunningTrial, RunStanding, State, TimeLeft, moment

LABELS = ("1x104 3/3x32 f500", "12x640 10/2x64 f1708 immediate2 qk-norm", "30x576 9/3x64 f1536", "2x8 1/1x8 f24")
COUNTS = (0, 1, 2, 50)
WORDS = ("the loss was nan", "日本語の理由", "a\nbreak and \x1b[2J an escape", "x" * 400, "")


def a_standing(**changes: Any) -> RunStanding:
    """A study that began just now, with these fields."""
    now = moment(time.time())
    fields: dict[str, Any] = {
        "study": "small", "pid": os.getpid(), "host": socket.gethostname(), "begun_at": now, "written_at": now, "state": State.RUNNING,
        "stage": "search", "waits_for": "2 trials to end", "stage_since": now,
    }  # fmt: skip
    return RunStanding(**{**fields, **changes})


def some_standing(seed: int) -> RunStanding:
    """One that the seed draws."""
    draw = random.Random(seed)
    of, now = draw.choice([None, 1, 14, 1_000, 98_765]), time.time()
    done = draw.randint(0, of or 0)
    names = draw.choice([("total_ms", "bits_per_byte"), ("bits_per_byte", "decode_ms_per_token", "kv_cache_bytes"), ("of_later_days",)])
    running = tuple(
        RunningTrial(
            number=draw.randint(0, 99_999), shape=draw.choice(LABELS), name=draw.choice([None, "deep-thin", "wide 日本語"]),
            doing=draw.choice([None, "latency", "training"]), tokens=draw.choice([None, 0, 51_234, 10**11]),
            planned_tokens=draw.choice([None, 170_000, 10**12]), started_at=moment(now - draw.choice([0.0, 61.0, 1e6])),
        )
        for _ in range(draw.choice(COUNTS))
    )  # fmt: skip
    front = tuple(
        FrontMember(number=draw.randint(0, 99_999), shape=draw.choice(LABELS), values={name: draw.uniform(1e-3, 1e6) for name in names})
        for _ in range(draw.choice(COUNTS))
    )
    failures = tuple(
        Failure(number=draw.randint(0, 99_999), shape=draw.choice(LABELS), outcome="out_of_memory", reason=draw.choice([None, *WORDS]))
        for _ in range(draw.choice(COUNTS))
    )
    left = draw.choice([None, TimeLeft(seconds=61.0, low=None, high=None), TimeLeft(seconds=1e9, low=3.0, high=1e12)])
    return a_standing(
        study=draw.choice(["small", "a name of a study that goes on " * 5, "研究"]), of=of, done=done, running=running, front=front,
        running_count=len(running) + draw.choice([0, 300]), front_size=len(front) + draw.choice([0, 300]),
        failures=failures, failed=len(failures), left=left, state=draw.choice(list(State)),
        waits_for=draw.choice(["2 trials to end", "w" * 300]),
    )  # fmt: skip
