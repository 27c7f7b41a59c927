"""How a program of each search fares: with losses that are no numbers, after `kill -9`, and how much time passes between its trials."""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
HERE = Path(__file__).resolve().parent
TRIALS = 12
KILLED_AFTER = 5
"""Trainings that have ended when the driver is killed."""
TRAINING_SECONDS = 1.0
WARM_UP = 4
"""Trials that a start still shows in."""
PATIENCE_SECONDS = 300.0


@dataclass(frozen=True)
class Life:
    """What is left of a search."""

    finished: int
    failed: int
    running: int
    no_number: int
    trained: int
    """Trainings that began, of all starts together."""
    ended: bool
    """Whether the program ended by itself."""


def environment(**settings: str) -> dict[str, str]:
    """What a peer's interpreter needs to find the task, and to take one processor; with these variables."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0", **settings}


def program(peer: str) -> Path:
    """What a user of it writes."""
    return HERE / ("archfront_study.yaml" if peer == "archfront" else f"{peer.removesuffix('-tune')}_program.py")


def command(peer: str, python: str, directory: Path, trials: int) -> list[str]:
    """What a user types."""
    if peer == "archfront":
        return [python, "-c", f"from benchmarks.peers.archfront_program import search; search({str(directory)!r}, {trials})"]
    return [python, str(program(peer)), str(directory), str(trials)]


def with_no_numbers(peer: str, python: str) -> Life:
    """A third of the losses are no numbers."""
    with tempfile.TemporaryDirectory() as folder:
        ended = _run(peer, python, Path(folder), PEER_NAN="1")
        return _life(peer, python, Path(folder), ended)


def after_a_kill(peer: str, python: str) -> Life:
    """The driver is killed in the middle, and the same command given again; what it has started is given ten seconds to notice."""
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        process = _start(peer, python, directory, TRIALS, PEER_SECONDS=str(TRAINING_SECONDS))
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(_log(directory, "ended")) < KILLED_AFTER and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(TRAINING_SECONDS / 2)  # so that others are on their way
        process.send_signal(signal.SIGKILL)
        process.wait()
        time.sleep(10)
        ended = _run(peer, python, directory, PEER_SECONDS=str(TRAINING_SECONDS))
        return _life(peer, python, directory, ended)


def seconds_between(peer: str, python: str, trials: int) -> float | None:
    """Wall time of a trial that takes none, after the first ones."""
    with tempfile.TemporaryDirectory() as folder:
        _run(peer, python, Path(folder), trials)
        ends = _log(Path(folder), "ended")
    return (ends[-1] - ends[WARM_UP - 1]) / (len(ends) - WARM_UP) if len(ends) > WARM_UP else None


def lines(peer: str) -> int:
    """Of the program, or of our YAML, without docstrings, comments and empty ones."""
    path = program(peer)
    text = path.read_text(encoding="utf-8")
    words: set[int] = set()
    if path.suffix == ".py":
        docstrings = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)]
        words = {line for node in docstrings for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)}
    return sum(bool(line.strip()) and not line.strip().startswith("#") for k, line in enumerate(text.splitlines(), 1) if k not in words)


def _start(peer: str, python: str, directory: Path, trials: int, **settings: str) -> subprocess.Popen[bytes]:
    places = {"PEER_LOG": str(directory / "log.jsonl"), "SYNETUNE_FOLDER": str(directory)}
    talk = (directory / "talk.txt").open("ab")
    return subprocess.Popen(
        command(peer, python, directory, trials),
        cwd=directory,
        env=environment(**places, **settings),
        stdout=talk,
        stderr=talk,
        start_new_session=True,
    )


def _run(peer: str, python: str, directory: Path, trials: int = TRIALS, **settings: str) -> bool:
    """Whether it ended by itself and without an error; if not, it is ended with all that it started."""
    process = _start(peer, python, directory, trials, **settings)
    try:
        return process.wait(PATIENCE_SECONDS) == 0
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return False


def _life(peer: str, python: str, directory: Path, ended: bool) -> Life:
    reader = [python, "-m", "benchmarks.peers.readers", peer, str(directory)]
    done = subprocess.run(reader, cwd=ROOT, capture_output=True, text=True, check=True, env=environment(SYNETUNE_FOLDER=str(directory)))
    return Life(**json.loads(done.stdout.splitlines()[-1]), trained=len(_log(directory, "begun")), ended=ended)


def _log(directory: Path, event: str) -> list[float]:
    """When trainings began or ended."""
    path = directory / "log.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [entry["time"] for entry in map(json.loads, lines) if entry["event"] == event]
