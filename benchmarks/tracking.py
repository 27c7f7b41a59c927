"""What MLflow's runs cost: trials a second into a directory's own SQLite database, and its size.

    python -m benchmarks.tracking [--trials 1000]

Records of a sample study with curves are written as they are while a study runs, one after the other, and then brought to the study's end,
with what is known of a trial beside the others. Prints one line of JSON: trials a second of both together, seconds of processor a trial,
megabytes, and the load beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

from tests.support.fakes import small_study
from tests.support.sample_study import sample_finals, sample_records
from trials.tracking.mlflow_location import DATABASE, location_of
from trials.tracking.mlflow_runs import StudyRuns


def main() -> None:
    """Write, and print what it took."""
    parser = argparse.ArgumentParser(description="What MLflow's runs cost.")
    parser.add_argument("--trials", type=int, default=1000, metavar="N", help="records (default %(default)s)")
    trials = parser.parse_args().trials
    study, text = small_study()
    seen = sample_records(trials)
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        runs = StudyRuns(directory, study, text, location_of(directory, None))
        wall, processor = time.perf_counter(), time.process_time()
        for record in seen:
            runs.write_trial(record)
        runs.write_study(seen, sample_finals(seen))
        took, used = time.perf_counter() - wall, time.process_time() - processor
        size = (directory / DATABASE).stat().st_size
    print(
        json.dumps(
            {
                "trials": trials,
                "trials_per_second": round(trials / took, 1),
                "processor_ms_per_trial": round(1000 * used / trials, 1),
                "megabytes": round(size / 1e6, 1),
                "load": [round(load, 1) for load in os.getloadavg()],
            }
        )
    )


if __name__ == "__main__":
    main()
