"""Whether a latency means the same an hour later, and beside busy neighbours.

    python -m benchmarks.latency RESULTS.jsonl [--parameters 1_000_000] [--shapes 30] [--passes 2] [--wait-seconds 3600]
    python -m benchmarks.latency RESULTS.jsonl --neighbours 2

Measures sampled shapes of one budget in complete passes, each in a new process, and compares the passes: rank correlation and median
difference of the ratios to the yardstick, and, beside them, of the unpaired milliseconds that the same repeats took. With neighbours,
the last pass has that many busy processes beside it; what it flags as disturbed is counted apart. Every measurement is a line of
RESULTS.jsonl; passes that are there already are not taken again.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from pathlib import Path
from typing import Any

import numpy
from scipy.stats import spearmanr

from search_space.architecture import Architecture
from search_space.budget import Budget
from search_space.space import SearchSpace
from trials.latency.process import LatencyProcess
from trials.study.latency_spec import LatencySpec

SPACE = {
    "num_unique_layers": {"from": 1, "to": 16},
    "head_dim": [32, 64],
    "num_attention_heads": {"ratio_of_hidden": [0.5, 1.0]},
    "num_key_value_heads": [1, 2, 4],
    "intermediate_size": {"solve": True, "multiple_of": 32, "ratio": [1, 6]},
    "mlp": ["swiglu", "relu"],
    "sharing": ["none", {"strategy": "immediate", "repeats": 2}],
    "tie_word_embeddings": True,
}
WIDTHS = {1_000_000: (512, {"from": 64, "to": 256, "step": 32}), 10_000_000: (4096, {"from": 128, "to": 512, "step": 32})}
"""Vocabulary and widths by budget."""


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    arguments.add_argument("results", type=Path, help="JSON lines: read, and added to")
    arguments.add_argument("--parameters", type=int, default=1_000_000, choices=tuple(WIDTHS))
    arguments.add_argument("--shapes", type=int, default=30)
    arguments.add_argument("--passes", type=int, default=2)
    arguments.add_argument("--wait-seconds", type=float, default=3600.0, help="between two passes (default one hour)")
    arguments.add_argument("--neighbours", type=int, default=0, help="busy processes beside one more pass")
    options = arguments.parse_args()
    vocab_size, widths = WIDTHS[options.parameters]
    space = SearchSpace.parse({**SPACE, "vocab_size": vocab_size, "hidden_size": widths}, Budget.parse({"parameters": options.parameters}))
    shapes = space.sample(options.shapes, 0)
    done = _rows(options.results)
    names = [str(number) for number in range(options.passes)] + (["beside neighbours"] if options.neighbours else [])
    for place, name in enumerate(names):
        missing = [shape for shape in shapes if (name, shape.key) not in done]
        if missing and 0 < place < options.passes:
            time.sleep(options.wait_seconds)
        neighbours = _busy(options.neighbours) if name == "beside neighbours" else []
        try:
            for row in _pass(name, missing):
                done[name, row["key"]] = row
                with options.results.open("a", encoding="utf-8") as file:
                    print(json.dumps(row), file=file, flush=True)
        finally:
            for neighbour in neighbours:
                neighbour.kill()
    for name in names[1:]:
        compare(name, [done["0", shape.key] for shape in shapes], [done[name, shape.key] for shape in shapes])


def _pass(name: str, shapes: list[Architecture]) -> Any:
    if not shapes:
        return
    process = LatencyProcess(LatencySpec())
    process.measure(shapes[0])  # the yardstick is loaded once
    for shape in shapes:
        start = time.perf_counter()
        taken = process.measure(shape)
        assert taken.yardstick is not None
        yield {
            "pass": name,
            "key": shape.key,
            "label": shape.label,
            "ratio": taken.yardstick.ratio.median,
            "unpaired_ms": taken.yardstick.ratio.median * taken.yardstick.total_ms.median,
            "disturbed": taken.disturbed,
            "seconds": time.perf_counter() - start,
            "bandwidth_share": taken.bandwidth_share,
        }
    process.close()


def compare(name: str, first: list[dict[str, Any]], second: list[dict[str, Any]]) -> None:
    """Print how two passes agree; shapes that either flagged as disturbed are left out and counted."""
    calm = [(one, other) for one, other in zip(first, second, strict=True) if not (one["disturbed"] or other["disturbed"])]
    print(f"\npass 0 and pass {name}: {len(first)} shapes, {len(first) - len(calm)} flagged as disturbed in either")
    print(f"seconds a shape, median: {numpy.median([row['seconds'] for row in first + second]):.2f}")
    for what, pairs in (("all", list(zip(first, second, strict=True))), ("not flagged", calm)):
        if len(pairs) < 3:
            continue
        for measure in ("ratio", "unpaired_ms"):
            ones, others = (numpy.array([pair[place][measure] for pair in pairs]) for place in (0, 1))
            moved = numpy.abs(others / ones - 1)
            rank = spearmanr(ones, others).statistic
            differs = f"differs by {numpy.median(moved):.1%} (median), {moved.max():.1%} (most)"
            print(f"  {what:<12} {measure:<12} rank correlation {rank:.4f}, {differs}")


def _busy(count: int) -> list[multiprocessing.Process]:
    processes = [multiprocessing.Process(target=_work, daemon=True) for _ in range(count)]
    for process in processes:
        process.start()
    return processes


def _work() -> None:
    """Stream memory and multiply, as a training process does."""
    values = numpy.ones((1024, 1024), numpy.float32)
    while True:
        values = values @ values * 1e-6


def _rows(path: Path) -> dict[tuple[str, str], dict[str, Any]]:
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines()) if path.exists() else ()
    return {(row["pass"], row["key"]): row for row in rows}


if __name__ == "__main__":
    main()
