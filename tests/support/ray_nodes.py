"""A Ray cluster of several nodes on this machine, each of processes of its own that can be ended as a machine ends, or a part of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from tests.support.namespaces import IN_NAMESPACES
from tests.support.processes import Process, processes_with
from tests.support.ray_head import free_port
from trials.cluster.own_ray import PATIENCE

MARK = "ARCHFRONT_TEST_NODE"
"""Variable of each process of a node, and of no driver that works there: who ends a node would end its driver too."""
START_SECONDS = 240.0
MOST_STARTS = 3
"""A raylet ends by itself where its agents are late beside other work (docs/findings.md)."""
STARTED = "Ray runtime started."
"""What `ray start` says once the raylet is in the cluster."""
COMMON = (
    "--node-ip-address=127.0.0.1",
    "--object-store-memory=100000000",
    "--min-worker-port=0",
    "--max-worker-port=0",
    "--include-log-monitor=false",
    "--disable-usage-stats",
    "--block",
)
GONE_SECONDS = 30.0


@dataclass
class RayNode:
    """One node, which can be started, ended and started again; folders in `hidden` are empty to it."""

    name: str
    words: tuple[str, ...]
    """Arguments of `ray start` beside the common ones."""
    environment: Mapping[str, str]
    logs: Path
    """Folder of what its starts say."""
    hidden: tuple[Path, ...] = ()
    _mark: str = ""
    _first: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Return once the node is in the cluster; raises RuntimeError with what Ray said."""
        said = self.logs / f"{self.name}.txt"
        for _ in range(MOST_STARTS):
            self._mark = uuid4().hex
            with said.open("wb") as out:
                environment = {**self.environment, MARK: self._mark, "NODE_OF_THIS_TEST": self.name}
                self._first = subprocess.Popen(self._command(), env=environment, stdout=out, stderr=out, start_new_session=True)
            deadline = time.monotonic() + START_SECONDS
            while self._first.poll() is None and time.monotonic() < deadline:
                if STARTED in said.read_text(errors="replace"):
                    return
                time.sleep(0.1)
            self.end()
        raise RuntimeError(f"{self.name} did not start: {said.read_text(errors='replace')[-2_000:]}")

    @property
    def is_alive(self) -> bool:
        """Whether what began the node is still there; it ends with any process that the node cannot do without."""
        return self._first is not None and self._first.poll() is None

    def processes(self) -> list[Process]:
        """All that belong to it, workers too."""
        return processes_with(MARK, self._mark) if self._mark else []

    def named(self, *words: str) -> list[Process]:
        """Those of its processes whose command has one of these words."""
        return [process for process in self.processes() if any(word in process.command for word in words)]

    def tell(self, number: signal.Signals) -> None:
        """Send a signal to every process of it, as a machine does that is about to go."""
        for process in self.processes():
            with suppress(ProcessLookupError):
                os.kill(process.number, number)

    def end(self) -> None:
        """The node is gone, as a machine goes."""
        if self._first is not None and self.hidden:
            self._first.kill()  # and the kernel ends what is in its namespace
        deadline = time.monotonic() + GONE_SECONDS
        while self.processes():
            self.tell(signal.SIGKILL)
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name}: what outlives SIGKILL is {self.processes()}")
            time.sleep(0.02)
        if self._first is not None:
            self._first.kill()
            self._first.wait()

    def _command(self) -> Sequence[str]:
        start = [str(Path(sys.executable).with_name("ray")), "start", *COMMON, *self.words]
        if not self.hidden:
            return start
        mounts = " && ".join(f"mount -t tmpfs none {folder}" for folder in self.hidden)
        return [*IN_NAMESPACES, "sh", "-c", f'{mounts} && exec "$@"', "sh", *start]


@dataclass
class RayNodes:
    """A head without processors, a node that takes latencies, and some that train; started one after the other, ended with the block."""

    folder: Path
    """A short one, for sockets, logs and the token."""
    count: int
    """Nodes that train, with one processor each."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Set for nodes and drivers."""
    hidden: tuple[Path, ...] = ()
    """Folders that those that train do not see."""
    head: RayNode = field(init=False)
    measures: RayNode = field(init=False)
    train: list[RayNode] = field(init=False)
    environment: dict[str, str] = field(init=False)
    """Of nodes and drivers."""

    def __post_init__(self) -> None:
        (self.folder / "token").write_text(uuid4().hex * 2)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("RAY_") and name != MARK},
            **PATIENCE,
            "RAY_raylet_start_wait_time_s": "60",  # one that ended by itself is begun again
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.folder / "token"),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_worker_niceness": "0",
            "OMP_NUM_THREADS": "1",
            **self.variables,
        }
        self.address = f"127.0.0.1:{free_port()}"
        port = self.address.rpartition(":")[2]
        self.head = self._node("head", "--head", f"--port={port}", "--num-cpus=0", "--include-dashboard=false")
        self.measures = self._node("measures", f"--address={self.address}", "--num-cpus=0", '--resources={"latency_device": 1}')
        self.train = [
            self._node(f"trains-{place}", f"--address={self.address}", "--num-cpus=1", hidden=self.hidden) for place in range(self.count)
        ]

    def __enter__(self) -> RayNodes:
        try:
            self.start_missing()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.end()

    @property
    def all(self) -> list[RayNode]:
        """The head first."""
        return [self.head, self.measures, *self.train]

    def start_missing(self) -> None:
        """Start the nodes that are not there, one after the other: beside each other their agents would be late."""
        for node in self.all:
            if not node.is_alive:
                node.end()  # what is left of it
                node.start()

    def end(self) -> None:
        """End every node, the head last."""
        for node in reversed(self.all):
            node.end()

    def _node(self, name: str, *words: str, hidden: tuple[Path, ...] = ()) -> RayNode:
        (self.folder / name).mkdir()
        # agents that share a folder take away each other's packages
        ports = [
            f"--temp-dir={self.folder / name}",
            f"--dashboard-agent-listen-port={free_port()}",
            f"--runtime-env-agent-port={free_port()}",
        ]
        ports += [f"--metrics-export-port={free_port()}"]
        return RayNode(name, (*words, *ports), self.environment, self.folder, hidden)
