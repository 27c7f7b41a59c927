"""What grows with a study's trials: membership, the choice of a replicate, the driver's processor time a trial, and its memory.

`benchmarks.overhead` prints both parts. Records are planted, or come from an evaluator that only answers.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from analysis.fronts.front import PointReader, front_of
from analysis.fronts.membership import estimate_membership, membership_probabilities
from analysis.objectives.problem import STANDARD
from tests.support import fakes
from tests.support.planted_front import planted
from trials.study.load_study import parse_study

ROOT = Path(__file__).resolve().parent.parent
COUNTS = (500, 1000, 2000, 10_000)
"""Records of the planted studies."""
WINDOW = 200
"""Trials at either end of a study whose driver's time is compared."""
YARDSTICK = 10_000
"""Steps of a fixed piece of work after each trial: what else the machine does makes both ends' processor seconds longer or shorter."""
MEBIBYTE = 1 << 20


def membership() -> dict[str, float]:
    """Processor seconds of the front with its membership, and of a replicate's choice once the records were read, for each count."""
    found = {}
    for count in COUNTS:
        records, reader = planted(count, noise=0.005, spread=0.02), PointReader(STANDARD)
        begun = time.process_time()
        estimate_membership(front_of(records))
        found[f"membership_seconds_{count}"] = time.process_time() - begun
        reader.points(records)
        begun = time.process_time()
        membership_probabilities(reader.points(records), STANDARD)
        found[f"replicate_choice_seconds_{count}"] = time.process_time() - begun
    found["peak_memory_mib"] = _peak_memory_mib()
    return found


def study(trials: int, workers: int) -> dict[str, Any]:
    """A study of so many trials: the driver's processor seconds a trial at its two ends, its memory, and how long it is answered again."""
    from tests.support.noted import Noted
    from trials.driver.run_study import run_study
    from trials.progress.standing import RunStanding
    from trials.progress.watch import RunWatch

    spec, text = fakes.small_study(search={"trials": trials}, space=fakes.WIDE_SPACE, workers={"count": workers})
    came: list[tuple[float, float]] = []
    """Processor seconds of each trial and of the yardstick after it."""
    since = time.process_time()

    def note(standing: RunStanding) -> None:
        nonlocal since
        reached = time.process_time()
        sum(step * step for step in range(YARDSTICK))
        before, since = since, time.process_time()
        came.append((reached - before, since - reached))

    with tempfile.TemporaryDirectory() as directory:
        begun = time.perf_counter()
        run_study(spec, Path(directory) / "study", study_text=text, evaluate=fakes.plausible, watch=RunWatch(display=Noted(note)))
        whole, memory = time.perf_counter() - begun, _peak_memory_mib()
        code = f"from benchmarks.growth import again; again({str(Path(directory) / 'study')!r})"
        answered = {"run": _timed("-c", code), "report": _timed("archfront.py", "report", str(Path(directory) / "study"))}
    ends = [[sum(each) / WINDOW for each in zip(*came[start : start + WINDOW], strict=True)] for start in (10, len(came) - WINDOW)]
    (first, yard_first), (last, yard_last) = ends
    return {
        "trials": len(came),
        "wall_seconds": whole,
        "driver_cpu_seconds_per_trial_first": first,
        "driver_cpu_seconds_per_trial_last": last,
        "last_over_first": last / first,
        "yardstick_last_over_first": yard_last / yard_first,
        "last_over_first_by_the_yardstick": last / first * yard_first / yard_last,
        "answered_again": answered,
        "peak_memory_mib": memory,
    }


def again(directory: str) -> None:
    """Run the study of a directory once more, with the evaluator that only answers."""
    from trials.driver.run_study import run_study

    text = (Path(directory) / "study.yaml").read_text(encoding="utf-8")
    run_study(parse_study(yaml.safe_load(text)), Path(directory), study_text=text, evaluate=fakes.plausible)


def _timed(*command: str) -> dict[str, float]:
    """Seconds that a process of Python takes, of wall and of processors, its children's included."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, *command], cwd=ROOT, check=True, capture_output=True)
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"wall_seconds": wall, "cpu_seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime}


def _peak_memory_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MEBIBYTE
