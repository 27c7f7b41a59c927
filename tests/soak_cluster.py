"""A study on a cluster whose machines and processes go again and again: in the end every trial is there once, as if nothing had been.

    python -m tests.soak_cluster --faults 20 --trials 40 --nodes 2 --seed 0 [--real]

Several Ray nodes run on this machine: a head, one that takes latencies, and some that train. At random moments, drawn from the seed, one
of `KINDS` happens; whatever has gone is started again, and the same command is run again where the driver ended. Each kind comes once
before any comes twice.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from analysis.records.attempt import read_attempts
from analysis.records.record import RECORDS, Outcome, TrialRecord, read_records
from tests.soak import agenda_of
from tests.support import fakes, two_nodes
from tests.support.lasting import differing
from tests.support.namespaces import can_hide_folders
from tests.support.processes import below, kill
from tests.support.ray_nodes import RayNodes
from trials.machine.supervision import supervised
from trials.progress.standing import PROGRESS_FILE, read_standing
from trials.study.spec import StudySpec
from trials.trial.task import TrialTask

ROOT = Path(__file__).resolve().parent.parent
WAIT_SECONDS = 600.0
"""Longest wait for a record or an end before the soak gives up."""
KINDS = {
    "worker": "a worker's process is killed",
    "raylet": "the raylet of a node that trains is killed",
    "node": "all of a node that trains is killed at once",
    "preemption": "a node that trains is told to end by SIGTERM, and killed seconds later",
    "driver": "the driver is killed, or its front, and the same command run again",
    "head": "the head is killed and started again, and with it all nodes; the driver ends, and the same command is run again",
    "latency": "the node that takes latencies is killed, and back some seconds later",
}
WITHOUT_REAL = frozenset({"latency"})
"""Kinds that say nothing of the fake evaluator, which measures nowhere."""
IN_A_TRIAL = ("ResourceTrainable", "TrialActor")
"""How Ray names the process in which a trial runs."""
TRAINED: dict[str, Any] = {
    "budget": {"parameters": 20_000, "tolerance": 0.3},
    "space": {
        "vocab_size": 280, "num_unique_layers": [1, 2, 3], "hidden_size": [16, 24, 32], "head_dim": 8,
        "intermediate_size": {"solve": True, "ratio": [0.25, 12]},
    },
    "proxy": {"tokens": 150_000, "context_tokens": 32, "evaluation_tokens": 1_024},
}  # fmt: skip
"""Trainings of seconds, in a space of more shapes than a soak usually tries."""
MORE_TRIALS = 5
"""So many more are asked for where the study is over before all faults were made."""
MOST_RUNS_AT_THE_END = 3
"""A trial may be lost three times in one run; the same command tries it again."""


@dataclass
class ClusterSoak:
    """One disturbed study on a cluster, and what was done to it."""

    folder: Path
    trials: int
    nodes: int
    seed: int
    real: bool
    done: Counter[str] = field(default_factory=Counter)
    """Faults by kind."""
    drivers: int = 0
    _driver: subprocess.Popen[bytes] | None = None
    _began: float = 0.0
    """When the driver of now was begun, as files have it."""

    @property
    def directory(self) -> Path:
        """Of the disturbed study; nodes that train see neither that nor the cache of its text, where such nodes can be made."""
        return self.folder / "studies" / "disturbed"

    def run(self, faults: int) -> list[TrialRecord]:
        """Disturb so many times, run to the end, compare; returns the records. Raises AssertionError with what is not as it should be."""
        draw = random.Random(self.seed)
        hidden = self.folder / "studies", self.folder / "cache"
        for folder in hidden:
            folder.mkdir()
        variables = {"XDG_CACHE_HOME": str(self.folder / "cache"), "PYTHONPATH": str(ROOT)}  # where workers find the fake evaluator
        with RayNodes(self.folder, self.nodes, variables, hidden if can_hide_folders() else ()) as cluster:
            try:
                for place, kind in enumerate(kinds_drawn(faults, self.real, draw)):
                    driver = self._driver or self._drive(cluster, self.directory)
                    while not self._await_trials(driver, draw, faults - place):
                        self.trials += MORE_TRIALS  # a study may be continued with more
                        driver = self._drive(cluster, self.directory)
                    print(f"{time.strftime('%H:%M:%S')} {len(self._lines())} lines; {KINDS[kind]}", flush=True)
                    self._disturb(kind, cluster, driver, draw)
                    self.done[kind] += 1
                self._end(self._driver or self._drive(cluster, self.directory))
                for _ in range(MOST_RUNS_AT_THE_END):
                    if all(record.outcome is not Outcome.LOST for record in read_records(self.directory)):
                        break
                    self._end(self._drive(cluster, self.directory))
                return self._compared(self._undisturbed(cluster))
            finally:
                if self._driver is not None:
                    self._driver.kill()
                    self._driver.wait()

    def _drive(self, cluster: RayNodes, directory: Path) -> subprocess.Popen[bytes]:
        cluster.start_missing()
        self.drivers += 1
        command = [sys.executable, "-m", "tests.soak_cluster", "drive", str(directory), str(self.folder), cluster.address]
        values = [str(self.trials), str(self.nodes), str(int(self.real))]
        self._began = time.time()
        with open(self.folder / "said.txt", "wb") as said:
            self._driver = subprocess.Popen([*command, *values], cwd=ROOT, env=cluster.environment, stdout=said, stderr=said)
        return self._driver

    def said(self) -> str:
        """The last words of the last driver."""
        return (self.folder / "said.txt").read_text(errors="replace")[-2_000:]

    def _end(self, driver: subprocess.Popen[bytes]) -> None:
        assert driver.wait(timeout=2 * WAIT_SECONDS) == 0, f"the last driver ended with {driver.returncode}: {self.said()}"
        self._driver = None

    def _lines(self) -> list[bytes]:
        path = self.directory / RECORDS
        return path.read_bytes().split(b"\n")[:-1] if path.exists() else []

    def _await_trials(self, driver: subprocess.Popen[bytes], draw: random.Random, left: int) -> bool:
        """Return at some moment of a trial, so that the trials last for all faults that are left; False where the study is over."""
        lines = len(self._lines())
        target = lines + draw.randint(0, min(2, max(0, self.trials - lines) // left))
        deadline, moment = time.monotonic() + WAIT_SECONDS, 0.0
        while not moment or time.monotonic() < moment:
            if driver.poll() is not None:
                assert driver.returncode == 0, f"the driver ended with {driver.returncode} after {dict(self.done)}: {self.said()}"
                return False
            if not moment and len(self._lines()) >= target and self._trains():
                moment = time.monotonic() + draw.uniform(0.0, 2.0)
            assert time.monotonic() < deadline, f"no trial in {WAIT_SECONDS:.0f} seconds: {self.said()}"
            time.sleep(0.05)
        return True

    def _trains(self) -> bool:
        """Whether the driver of now says that a trial is on a worker."""
        file = self.directory / PROGRESS_FILE
        return file.exists() and file.stat().st_mtime > self._began and bool(read_standing(self.directory).running)

    def _disturb(self, kind: str, cluster: RayNodes, driver: subprocess.Popen[bytes], draw: random.Random) -> None:
        """One fault and what mends it."""
        if kind == "driver":
            victim = draw.choice(below(driver.pid)[:2])  # the front, or the work behind it
            kill(victim)
            self._ended(driver, -signal.SIGKILL if victim == driver.pid else 1)
        elif kind == "head":
            cluster.head.end()
            self._ended(driver, 1)
            assert "answers no more" in self.said(), self.said()
            cluster.end()
        elif kind == "latency":
            cluster.measures.end()
            time.sleep(draw.uniform(0.0, 20.0))
            cluster.measures.start()
        else:
            self._disturb_a_node(kind, cluster, draw)

    def _disturb_a_node(self, kind: str, cluster: RayNodes, draw: random.Random) -> None:
        """A fault of a node that trains: one on which a trial runs, where there is one."""
        found = [(node, node.named(*IN_A_TRIAL)) for node in cluster.train]
        node, running = draw.choice([each for each in found if each[1]] or found)
        if kind == "worker":
            for process in running:
                kill(process.number)
            return
        if kind == "raylet":
            for process in node.named("/raylet/raylet "):
                kill(process.number)
            time.sleep(draw.uniform(0.0, 10.0))  # in which what it began is on its own
        elif kind == "preemption":
            node.tell(signal.SIGTERM)
            time.sleep(draw.uniform(0.0, 10.0))
        node.end()
        time.sleep(draw.uniform(0.0, 5.0))
        node.start()

    def _ended(self, driver: subprocess.Popen[bytes], code: int) -> None:
        """Wait for a driver that cannot go on, which ends with that code."""
        found = driver.wait(timeout=WAIT_SECONDS)
        assert found == code, f"the driver ended with {found} in place of {code}: {self.said()}"
        self._driver = None

    def _undisturbed(self, cluster: RayNodes) -> list[TrialRecord]:
        if self.real:
            directory = self.folder / "studies" / "undisturbed"
            self._end(self._drive(cluster, directory))
            return read_records(directory)
        agenda = agenda_of(study_of(self.trials, self.nodes, self.real, self.folder))
        while isinstance(task := agenda.next(), TrialTask):
            agenda.add(fakes.answer(task))
        return [agenda.records[number] for number in sorted(agenda.records)]

    def _compared(self, undisturbed: Sequence[TrialRecord]) -> list[TrialRecord]:
        lines = [json.loads(line) for line in self._lines()]
        verdicts = Counter(line["number"] for line in lines if line["outcome"] != Outcome.LOST)
        assert set(verdicts.values()) <= {1}, f"more than one record of {[number for number, count in verdicts.items() if count > 1]}"
        records = read_records(self.directory)
        study = study_of(self.trials, self.nodes, self.real, self.folder)
        assert [record.number for record in records] == list(range(self.trials + len(study.references)))
        for record in records:
            assert record.finished, f"{record.title}: {record.outcome} {record.reason}"
        for ours, theirs in zip(records, undisturbed, strict=True):
            assert differing(ours, theirs) == {}, f"{ours.title} is not what an undisturbed study records"
        return records


def kinds_drawn(faults: int, real: bool, draw: random.Random) -> Iterator[str]:
    """So many kinds, each once before any comes twice."""
    pool: list[str] = []
    for _ in range(faults):
        pool = pool or draw.sample(kinds := [kind for kind in KINDS if real or kind not in WITHOUT_REAL], len(kinds))
        yield pool.pop()


def study_of(trials: int, nodes: int, real: bool, folder: Path) -> StudySpec:
    """The study of a soak: the fake evaluator, or trainings whose latencies a command takes on the node that is for it."""
    return _study_and_text(trials, nodes, real, folder)[0]


def _study_and_text(trials: int, nodes: int, real: bool, folder: Path) -> tuple[StudySpec, str]:
    search: dict[str, Any] = {"trials": trials, "sampler": "random", "reuse": False}
    if not real:
        return fakes.small_study(search=search, workers={"count": nodes})
    return fakes.small_study(**{**two_nodes.study(folder), **TRAINED, "search": search, "workers": {"count": nodes, "threads": 1}})


def leisurely(task: TrialTask) -> TrialRecord:
    """The fake evaluator of the soak: trials of different length, long enough that most of what happens to a node happens to one."""
    time.sleep(2.0 + task.number % 3)
    return fakes.answer(task)


def drive(directory: Path, folder: Path, address: str, trials: int, nodes: int, real: bool) -> int:
    """What a driver's process does: as `archfront run` with a process in front, the evaluator a fake where nothing real is asked for."""
    study, text = _study_and_text(trials, nodes, real, folder)
    if real:
        import archfront

        (folder / "study.yaml").write_text(text)
        sys.argv = ["archfront", "run", str(folder / "study.yaml"), "--directory", str(directory), "--address", address]
        return archfront.main()
    from search_space.errors import WorkError
    from trials.driver.run_study import run_study
    from trials.progress.watch import RunWatch

    def work() -> int:
        try:
            with RunWatch() as watch:
                tracking = f"sqlite:///{folder}/mlflow.db"
                result = run_study(
                    study, directory, study_text=text, tracking_uri=tracking, address=address, evaluate=leisurely, watch=watch
                )
        except WorkError as error:
            print(error, file=sys.stderr)
            return 1
        return 0 if result.failure is None else 1

    return supervised(work, str, str)


def main(arguments: Sequence[str]) -> int:
    """Soak, and say what was done."""
    if arguments[:1] == ["drive"]:
        directory, folder, address, trials, nodes, real = arguments[1:]
        return drive(Path(directory), Path(folder), address, int(trials), int(nodes), bool(int(real)))
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak_cluster", description="Take machines of a cluster away from a study again and again."
    )
    parser.add_argument("--faults", type=int, default=20)
    parser.add_argument("--trials", type=int, default=40, help="more where they do not last for all faults")
    parser.add_argument("--nodes", type=int, default=2, help="nodes that train, one trial at a time each")
    parser.add_argument("--seed", type=int, default=0, help="of the moments and of what happens")
    parser.add_argument("--real", action="store_true", help="train and measure in place of the fake evaluator")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell has ignored by what it begins in the background
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # no node outlives this process
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="af", ignore_cleanup_errors=True) as name:
        soak = ClusterSoak(Path(name), options.trials, options.nodes, options.seed, options.real)
        try:
            records = soak.run(options.faults)
        except AssertionError:
            print(f"done so far: {dict(soak.done)}", flush=True)
            raise
        attempts = read_attempts(soak.directory)
    print(f"faults: {soak.done.total()} {dict(soak.done)}; drivers: {soak.drivers}; attempts that were lost: {len(attempts)}")
    print(f"records: {len(records)}, all finished, once, and but for times as undisturbed; {time.monotonic() - began:.0f} seconds")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
