"""A study that is killed again and again: what is recorded once stays as it is, and in the end nothing is missing.

    python -m tests.soak --kills 30 --trials 40 --seed 0 [--real]

A driver runs in a process of its own. At random moments, drawn from the seed, it, its workers, or both are killed with SIGKILL; then
some files are cut as a power cut might, and some starts find a clock that has gone back. Every line that was ever seen whole is
kept beside the study and compared. When all kills are made the study is run to its end and compared with one that nobody disturbed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from analysis.records.record import FINALS, RECORDS, Outcome, TrialRecord, read_records
from tests.support import fakes
from tests.support.lasting import lasting
from tests.support.processes import below, kill, parent_and_start
from trials.driver.agenda import Agenda
from trials.search.proposer import Proposer
from trials.study.spec import StudySpec
from trials.trial.references import references
from trials.trial.task import TrialTask

ROOT = Path(__file__).resolve().parent.parent
WAIT_SECONDS = 300.0
"""Longest wait for a start, a record or an end before the soak gives up."""
CLOCK_BACK_SECONDS = 3 * 3_600
KINDS = ("driver", "driver", "worker", "both")
"""What is killed; a driver twice as often as the others, because that is what most is at stake with."""
UNTOUCHED = ("lock", "study.yaml")
"""Never cut: an empty lock means nothing, and the study was on the disk before its first record."""
WORKERS = (b"TrialActor", b"ResourceTrainable")
"""How Ray names the process of a worker that waits, and of one in which a trial runs."""
WORDS = ("the", "shape", "of", "a", "small", "model", "matters", "more", "than", "its", "size")


@dataclass
class Soak:
    """One disturbed study and what was done to it."""

    folder: Path
    trials: int
    seed: int
    real: bool
    kills: Counter[str] = field(default_factory=Counter)
    cuts: Counter[str] = field(default_factory=Counter)
    starts: int = 0
    clocks_back: int = 0
    kept: dict[str, list[bytes]] = field(default_factory=lambda: {RECORDS: [], FINALS: []})
    """Every complete line that was seen, by file, in their order."""
    started: set[tuple[int, str]] = field(default_factory=set)
    """Process ids with their start times, of all that a driver of this soak began."""

    @property
    def directory(self) -> Path:
        """Of the disturbed study."""
        return self.folder / "study"

    def run(self, kills: int) -> list[TrialRecord]:
        """Kill so many times, run to the end, compare; returns the records. Raises AssertionError with what was lost."""
        draw = random.Random(self.seed)
        driver: subprocess.Popen[bytes] | None = None
        try:
            while self.kills.total() < kills:
                if driver is None:
                    driver = self._start(self.directory)
                driver = self._disturb(driver, draw, kills - self.kills.total())
            if driver is None:
                driver = self._start(self.directory)
            assert driver.wait(timeout=2 * WAIT_SECONDS) == 0, f"the last driver ended badly: {self.said()}"
            self._look()
            return self._compared()
        finally:
            if driver is not None and driver.poll() is None:
                self._note(driver)
                driver.kill()
                driver.wait()
            self.clean_up()

    def said(self) -> str:
        """The last words of the last driver."""
        return (self.folder / "said.txt").read_text(errors="replace")[-2_000:]

    def clean_up(self) -> None:
        """End what the killed drivers have left, by process id, where it is still that process."""
        for process, began in self.started:
            if (facts := parent_and_start(process)) is not None and facts[1] == began:
                kill(process)

    def _start(self, directory: Path) -> subprocess.Popen[bytes]:
        back = self.starts % 4 == 2
        self.starts += 1
        self.clocks_back += back
        if back:  # files from a future are what a clock that went back leaves
            for path in directory.rglob("*"):
                os.utime(path, (time.time() + CLOCK_BACK_SECONDS,) * 2)
        return self._drive(directory, CLOCK_BACK_SECONDS if back else 0)

    def _drive(self, directory: Path, back_seconds: int) -> subprocess.Popen[bytes]:
        values = [str(directory), str(self.folder), str(self.trials), str(int(self.real)), str(back_seconds)]
        environment = {**os.environ, "XDG_CACHE_HOME": str(self.folder / "cache")}
        with open(self.folder / "said.txt", "wb") as said:
            command = [sys.executable, "-m", "tests.soak", "drive", *values]
            return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=said, stderr=said)

    def _disturb(self, driver: subprocess.Popen[bytes], draw: random.Random, left: int) -> subprocess.Popen[bytes] | None:
        """Wait for a moment and kill, so that the trials last for all kills that are left; returns the driver where it still lives."""
        lines = (self.trials - len(_lines(self.directory / RECORDS))) // left
        kind = draw.choice(KINDS)
        if kind != "worker" and draw.random() < 0.4:
            self._sleep(driver, draw.uniform(0.0, 10.0))  # somewhere in the start
        else:
            self._await_line(driver, min(lines, draw.choice((0, 1, 1, 2))) if kind != "worker" else 0)
            self._await_worker(driver)
            self._sleep(driver, draw.uniform(0.0, 1.0))
        self._note(driver)
        workers = _workers(driver.pid)
        if driver.poll() is not None:
            assert driver.returncode == 0, f"the driver ended by itself: {self.said()}"
            raise AssertionError(f"the study ended after {self.kills.total()} kills: give it more trials")
        if kind == "worker" and not workers:
            return driver
        if kind in ("driver", "both"):
            driver.kill()
        for worker in workers if kind == "both" else [draw.choice(workers)] if kind == "worker" else []:
            kill(worker)
        self.kills[kind] += 1
        if kind == "worker":
            return driver
        driver.wait()
        self._look()
        if draw.random() < 0.4:
            self._cut(draw)
        return None

    def _await_line(self, driver: subprocess.Popen[bytes], more: int) -> None:
        target = len(_lines(self.directory / RECORDS)) + more
        deadline = time.monotonic() + WAIT_SECONDS
        while len(_lines(self.directory / RECORDS)) < target and driver.poll() is None:
            assert time.monotonic() < deadline, f"no record in {WAIT_SECONDS:.0f} seconds: {self.said()}"
            time.sleep(0.02)

    def _await_worker(self, driver: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while not _workers(driver.pid) and driver.poll() is None:
            assert time.monotonic() < deadline, f"no worker in {WAIT_SECONDS:.0f} seconds: {self.said()}"
            time.sleep(0.05)

    def _sleep(self, driver: subprocess.Popen[bytes], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and driver.poll() is None:
            time.sleep(0.01)

    def _note(self, driver: subprocess.Popen[bytes]) -> None:
        self.started |= {(process, facts[1]) for process in below(driver.pid) if (facts := parent_and_start(process)) is not None}

    def _look(self) -> None:
        """Whole lines only ever grow in number, and none changes."""
        for name, kept in self.kept.items():
            now = _lines(self.directory / name)
            assert now[: len(kept)] == kept, f"{name}: a line that was written once has changed or gone"
            self.kept[name] = now

    def _cut(self, draw: random.Random) -> None:
        """Leave the files as a power cut may: a torn end, blocks of zeros, or a last line that never reached the disk."""
        how = draw.choice(("end", "half a line", "zeros", "newest other file"))
        records = self.directory / RECORDS
        others = [path for path in self.directory.rglob("*") if path.is_file() and path.name not in (*UNTOUCHED, RECORDS)]
        if how == "newest other file":
            if not others:
                return
            newest = max(others, key=lambda path: path.stat().st_mtime_ns)
            os.truncate(newest, newest.stat().st_size * draw.randrange(0, 100) // 100)
            self.kept[FINALS] = _lines(self.directory / FINALS)
        elif not self.kept[RECORDS]:
            return
        elif how == "end":
            os.truncate(records, records.stat().st_size - min(records.stat().st_size, draw.randrange(1, 1_500)))
            self.kept[RECORDS] = _lines(records)
        else:
            with open(records, "ab") as file:
                file.write(bytes(draw.randrange(1, 5_000)) if how == "zeros" else self.kept[RECORDS][-1][: draw.randrange(1, 400)])
        self.cuts[how] += 1

    def _compared(self) -> list[TrialRecord]:
        lines = [json.loads(line) for line in _lines(self.directory / RECORDS)]
        numbers = Counter(line["number"] for line in lines if line["outcome"] != Outcome.LOST)
        assert set(numbers.values()) <= {1}, f"trials with more than one record: {[n for n, count in numbers.items() if count > 1]}"
        records = read_records(self.directory)
        study, _ = study_of(self.trials, self.real)
        assert [record.number for record in records] == list(range(self.trials + len(study.references)))
        for record in records:
            assert record.finished or record.outcome is Outcome.LOST, f"{record.title}: {record.outcome} {record.reason}"
            assert record.finished == (record.reason is None)
        losses = Counter(record.outcome for record in records)[Outcome.LOST]
        most = 2 * (self.kills["worker"] + self.kills["both"])
        assert losses <= most, f"{losses} trials were lost by {most} deaths of workers"
        for ours, theirs in zip(records, self._undisturbed(study, records), strict=True):
            assert lasting(ours) == lasting(theirs), f"{ours.title} is not what an undisturbed study records: {theirs.title}"
        return records

    def _undisturbed(self, study: StudySpec, records: Sequence[TrialRecord]) -> list[TrialRecord]:
        """What a study records whose driver nobody kills; where a worker was killed that trial is lost there, too."""
        lost = {record.number: record for record in records if not record.finished}
        if self.real:
            driver = self._drive(self.folder / "undisturbed", 0)
            try:
                assert driver.wait(timeout=2 * WAIT_SECONDS) == 0, self.said()
            finally:
                self._note(driver)
                driver.kill()
            return [lost.get(record.number, record) for record in read_records(self.folder / "undisturbed")]
        agenda = agenda_of(study)
        while isinstance(task := agenda.next(), TrialTask):
            there = lost.get(task.number)
            changes: dict[str, Any] = {"latency": None, "training": None}
            agenda.add(fakes.answer(task, outcome=there.outcome, reason=there.reason, **changes) if there else fakes.answer(task))
        return [agenda.records[number] for number in sorted(agenda.records)]


def study_of(trials: int, real: bool, folder: Path | None = None) -> tuple[StudySpec, str]:
    """The study of a soak and its YAML: the default sampler over a fake evaluator, or real training of shapes that take a second."""
    if not real:
        return fakes.small_study(search={"trials": trials, "sampler": "front"}, workers={"count": 2})
    return fakes.small_study(
        corpus={"name": None, "files": [str((folder or Path()) / "text.txt")]},
        budget={"parameters": 20_000, "tolerance": 0.3},
        space={"vocab_size": 280, "num_unique_layers": [1, 2, 3], "hidden_size": [16, 24, 32], "head_dim": 8},
        latency={"prompt_tokens": 8, "new_tokens": 8, "repeats": 2},
        proxy={"tokens": 32_768, "context_tokens": 32, "evaluation_tokens": 1_024},
        search={"trials": trials, "sampler": "random", "reuse": False},
        workers={"count": 2},
        finals={"fresh_seed": False},
    )


def agenda_of(study: StudySpec) -> Agenda:
    """As the runner makes it, without records."""
    space, search = study.search_space, study.search
    return Agenda(study, references(study.references, space), [], lambda: Proposer(space, search.seed, search.sampler))


def unhurried(task: TrialTask) -> TrialRecord:
    """The fake evaluator of the soak: trials of different length, long enough to be killed."""
    time.sleep(1.0 + 0.5 * (task.number % 3))
    return fakes.answer(task)


def drive(directory: Path, folder: Path, trials: int, real: bool, back_seconds: float) -> None:
    """What the second process does; `back_seconds` is how far its clock has gone back."""
    clock = time.time
    time.time = lambda: clock() - back_seconds
    from trials.driver.run_study import run_study

    study, text = study_of(trials, real, folder)
    tracking = f"sqlite:///{folder}/mlflow.db"
    run_study(study, directory, study_text=text, tracking_uri=tracking, evaluate=None if real else unhurried)


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().split(b"\n")[:-1] if path.exists() else []


def _workers(driver: int) -> list[int]:
    """Processes below a driver in which a trial runs, as Ray names them."""
    found = []
    for process in below(driver):
        try:
            title = Path(f"/proc/{process}/cmdline").read_bytes()
        except OSError:
            continue
        if title.startswith(b"ray::") and any(name in title for name in WORKERS):
            found.append(process)
    return found


def write_text(folder: Path) -> None:
    """The text that real training learns from."""
    lines = (" ".join(WORDS[(line * place + place * place) % len(WORDS)] for place in range(12)) for line in range(4_000))
    (folder / "text.txt").write_text("\n".join(lines))


def main(arguments: Sequence[str]) -> None:
    """Soak, and say what was done."""
    if arguments[:1] == ["drive"]:
        directory, folder, trials, real, back = arguments[1:]
        return drive(Path(directory), Path(folder), int(trials), bool(int(real)), float(back))
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description="Kill a study again and again and see that nothing is lost.")
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0, help="of the moments, of what is killed and of what is cut")
    parser.add_argument("--real", action="store_true", help="train and measure in place of the fake evaluator")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="archfront-soak-", ignore_cleanup_errors=True) as name:
        write_text(Path(name))
        soak = Soak(Path(name), options.trials, options.seed, options.real)
        records = soak.run(options.kills)
    outcomes = Counter(str(record.outcome) for record in records)
    print(f"kills: {soak.kills.total()} {dict(soak.kills)}; cuts: {dict(soak.cuts)}; starts with the clock back: {soak.clocks_back}")
    print(f"records: {len(records)} {dict(outcomes)}; none lost, repeated or altered; {time.monotonic() - began:.0f} seconds")
    return None


if __name__ == "__main__":
    main(sys.argv[1:])
