"""What a trial costs besides its training: the whole path (propose, place, record, track) with an evaluator that only answers.

    python -m benchmarks.overhead [--trials 200] [--workers 2]

Prints the seconds to the first record, and of wall and driver's processor time for each trial after the first ten.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

from tests import fakes
from trials.driver.searcher import Progress
from trials.runner import run_study

WARM_UP = 10
"""Trials that the two workers' start still shows in."""


def main() -> None:
    """Run one study in a temporary directory and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    study, text = fakes.small_study(search={"trials": options.trials, "workers": options.workers})
    came: list[tuple[float, float]] = []

    def note(progress: Progress) -> None:
        came.append((time.perf_counter(), time.process_time()))

    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as directory:
        run_study(study, Path(directory) / "study", study_text=text, evaluate=fakes.plausible, progress=note)
    ended, counted = time.perf_counter(), len(came) - WARM_UP
    (first_wall, first_cpu), (last_wall, last_cpu) = came[WARM_UP - 1], came[-1]
    figures = {
        "trials": len(came),
        "workers": options.workers,
        "seconds_to_first_record": came[0][0] - begun,
        "wall_seconds_per_trial": (last_wall - first_wall) / counted,
        "driver_cpu_seconds_per_trial": (last_cpu - first_cpu) / counted,
        "seconds_after_last_record": ended - last_wall,
        "load_average": os.getloadavg()[0],
    }
    print(json.dumps({name: round(value, 4) for name, value in figures.items()}, indent=2))


if __name__ == "__main__":
    main()
