"""How well a device's latencies are predicted from 40 measured shapes.

    python -m benchmarks.predictor TABLE.jsonl [--parameters 10_000_000] [--runtime onnxruntime] [--precision float32]

Measures 40 shapes to fit and 28 to judge the fit by, 20 of the budget and 8 of twice that, and those that
were disturbed once more where they are few; the same command continues. Prints the errors on shapes that were not in the fit: of the
budget, of twice that, and of twice that where nothing larger than the budget was fitted.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

from analysis.latency.device_table import DeviceTable, Row
from analysis.terminal.device_text import device_table_text
from benchmarks.latency import SPACE, WIDTHS
from search_space.budget import Budget
from search_space.cost import parameters
from search_space.space import SearchSpace
from trials.catalogue.runtimes import RUNTIMES
from trials.latency.device_profile import choose_shapes, profile
from trials.study.latency_spec import parse_latency

FITTED, CHECKED = 40, 28
LARGER = 1.5
"""Times the budget, from which on a shape is one of twice its size."""


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    arguments.add_argument("table", type=Path, help="JSON lines: read, and added to")
    arguments.add_argument("--parameters", type=int, default=10_000_000, choices=tuple(WIDTHS))
    arguments.add_argument("--runtime", default="onnxruntime", choices=tuple(RUNTIMES))
    arguments.add_argument("--precision", default="float32")
    options = arguments.parse_args()
    vocab_size, widths = WIDTHS[options.parameters]
    space = SearchSpace.parse({**SPACE, "vocab_size": vocab_size, "hidden_size": widths}, Budget.parse({"parameters": options.parameters}))
    spec = parse_latency({"runtime": options.runtime, "precision": options.precision})
    wanted = choose_shapes(space, spec, FITTED, CHECKED)
    start = time.perf_counter()
    table = profile(options.table, spec, wanted, progress=lambda done, of, text: print(f"{done} of {of}: {text}", file=sys.stderr))
    print(f"{device_table_text(table)}\nmeasured in {time.perf_counter() - start:.0f} s")
    judge(table, LARGER * options.parameters)


def judge(table: DeviceTable, larger: float) -> None:
    """Print the errors on the shapes that were not in the fit."""
    start = time.perf_counter()
    checks = [row for row in table.rows if row.role == "check"]
    usual, twice = ([row for row in checks if (parameters(row.architecture) > larger) is big] for big in (False, True))
    small = replace(table, rows=tuple(row for row in table.rows if row.role == "fit" and parameters(row.architecture) <= larger))
    for name, judged, rows in (
        ("not in the fit, of the budget", table, usual),
        ("not in the fit, of twice the budget", table, twice),
        ("of both sizes", table, checks),
        ("of twice the budget, nothing so large fitted", small, twice),
    ):
        print(f"{name}: {len(rows)} shapes, {sum(row.latency.disturbed for row in rows)} disturbed")
        _print_errors(judged, rows)
    print(f"fitted and predicted in {time.perf_counter() - start:.1f} s")


def _print_errors(table: DeviceTable, rows: list[Row]) -> None:
    if rows:
        print(f"  {table.errors_on(rows)}")


if __name__ == "__main__":
    main()
