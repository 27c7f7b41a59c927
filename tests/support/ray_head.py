"""A Ray head on loopback, as a cluster's, and a tiny study to be sent there."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from trials.jobs.order import Order

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS, JOB_SECONDS = 120.0, 400.0
STUDY = {
    "name": "tiny",
    "corpus": {"files": "texts/*.txt"},
    "budget": {"parameters": 40_000, "tolerance": 0.05},
    "space": {
        "vocab_size": 300,
        "num_unique_layers": [1, 2],
        "hidden_size": {"from": 32, "to": 64, "step": 8},
        "head_dim": 16,
        "num_attention_heads": 2,
        "intermediate_size": {"solve": True, "multiple_of": 4, "ratio": [0.5, 8]},
    },
    "latency": {"prompt_tokens": 8, "new_tokens": 4, "repeats": 2},
    "proxy": {
        "tokens": 2048,
        "context_tokens": 32,
        "batch_sequences": 4,
        "evaluations": 1,
        "evaluation_tokens": 1024,
        "precision": "float32",
        "compile": False,
    },
    "search": {"trials": 1, "sampler": "random"},
    "workers": {"count": 1, "threads": 1},
    "finals": {"fresh_seed": False, "learning_rate_bracket": False},
    "references": ["wide-shallow", "shapes/own.yaml"],
}
OWN_SHAPE = {
    "vocab_size": 300, "hidden_size": 40, "num_unique_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1,
    "head_dim": 16, "intermediate_size": 100,
}  # fmt: skip


def write_study(folder: Path, **changes: Any) -> Path:
    """A study of three tiny shapes with a corpus and a reference of its own beside it."""
    dice = random.Random(0)
    words = ["".join(dice.choices("abcdefghijklmnopqrstuvwxyz", k=dice.randint(2, 9))) for _ in range(300)]
    (folder / "texts").mkdir(parents=True)
    for number in range(4):
        lines = (" ".join(dice.choices(words, k=9)) for _ in range(900))
        (folder / "texts" / f"{number}.txt").write_text("\n".join(lines))
    (folder / "shapes").mkdir()
    (folder / "shapes" / "own.yaml").write_text(yaml.safe_dump(OWN_SHAPE))
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(STUDY | changes))
    return path


def ordered(verb: str, file: str, directory: str, *words: str) -> Order:
    """An order of a job without a cluster."""
    return Order(verb=verb, study="tiny", files=(Path(file),), directory=directory, words=words)


@dataclass(frozen=True)
class Head:
    """A Ray head on loopback whose token only its own environment knows."""

    address: str
    environment: dict[str, str]

    def call(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """`archfront job ...` as a person calls it who has these variables."""
        environment = {**self.environment, **variables}
        command = [sys.executable, "-m", "archfront", "job", *arguments, "--address", self.address]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=JOB_SECONDS)


@dataclass(frozen=True)
class Job:
    """A job that was submitted and followed to its end."""

    name: str
    directory: Path
    followed: subprocess.CompletedProcess[str]


@contextlib.contextmanager
def started_head() -> Iterator[Head]:
    """A head that is there inside."""
    folder = Path(tempfile.mkdtemp(prefix="af-"))  # short: Ray's sockets lie in it
    (folder / "token").write_text(uuid4().hex * 2)
    marker = f"ARCHFRONT_TEST_HEAD={uuid4().hex}"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(folder / "token"),
        "RAY_USAGE_STATS_ENABLED": "0",
        "OMP_NUM_THREADS": "1",
        **dict([marker.split("=")]),
    }
    port, dashboard, agent, client = (free_port() for _ in range(4))
    command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--node-ip-address=127.0.0.1"]
    command += [f"--port={port}", "--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}", f"--temp-dir={folder}"]
    command += [
        f"--dashboard-agent-listen-port={agent}",
        f"--ray-client-server-port={client}",
        "--min-worker-port=0",
        "--max-worker-port=0",
    ]
    command += ["--num-cpus=2", "--object-store-memory=100000000", '--resources={"latency_device": 1}', "--include-dashboard=true"]
    with (folder / "out").open("w") as out:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=out, start_new_session=True)
    try:
        _wait_for(dashboard, process, folder / "out")
        yield Head(f"http://127.0.0.1:{dashboard}", environment)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        _kill_marked(marker)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(port: int, process: subprocess.Popen[bytes], out: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.2)
    pytest.fail(f"the head did not start: {out.read_text()[-2000:]}")


def _kill_marked(marker: str) -> None:
    """Ray's processes leave their process group; every one of this head inherited the marker, and nobody else's did."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if marker.encode() in (entry / "environ").read_bytes().split(b"\0"):
                os.kill(int(entry.name), signal.SIGKILL)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
