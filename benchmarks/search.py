"""How many evaluations a sampler needs for a good front: ours beside Optuna's, on problems whose exact front is known.

    python -m benchmarks.search hwgpt --data FOLDER [--budget] [--noise 0.004]
    python -m benchmarks.search own [--size 1M] [--objectives 3]

`search_hwgpt.py` and `search_own.py` say what the problems are. Every sampler sees the loss with the noise; the hypervolume is of the
true losses, as a share of the exact front's. Printed: median (first to third quartile) over the seeds, and processor milliseconds a
proposal. `front` is ours as a study uses it; `front-known` is ours where the latency is known beforehand.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import optuna

from analysis.statistics.arrays import Array
from benchmarks import search_hwgpt, search_own

QUOTED = (10, 15, 20, 25, 30, 50, 75, 100, 200)
Run = Callable[[str, int, Array], tuple[list[float], float]]


def options() -> argparse.Namespace:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    arguments.add_argument("problem", choices=["hwgpt", "own"])
    arguments.add_argument("--data", type=Path, help="folder of hwgpt_s_surrogate.json and hwgpt_s_front*.npz")
    arguments.add_argument("--budget", action="store_true", help="hwgpt: at most 150M parameters")
    arguments.add_argument("--size", choices=list(search_own.SIZES), default="1M", help="own: the budget")
    arguments.add_argument("--objectives", type=int, choices=[2, 3], default=2, help="own: latency and loss, or the KV cache's bytes too")
    arguments.add_argument("--noise", type=float, default=0.0, help="standard deviation of the loss between seeds")
    arguments.add_argument("--samplers", default="front-known,front,random,nsga2,tpe")
    arguments.add_argument("--gp", action="store_true", help="Optuna's GP sampler too, which takes seconds a proposal")
    arguments.add_argument("--seeds", type=int, default=10)
    arguments.add_argument("--evaluations", type=int, default=100)
    found = arguments.parse_args()
    if found.problem == "hwgpt" and found.data is None:
        arguments.error("hwgpt needs --data, the folder of the benchmark's tables")
    return found


def main() -> None:
    asked = options()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    quoted = [count for count in QUOTED if count <= asked.evaluations]
    run: Run
    if asked.problem == "hwgpt":
        layers = search_hwgpt.HwGpt(asked.data, asked.budget)
        run = lambda sampler, seed, noise: search_hwgpt.run(layers, sampler, seed, noise, quoted)  # noqa: E731
    else:
        shapes = search_own.OwnSpace(asked.size, asked.objectives)
        run = lambda sampler, seed, noise: search_own.run(shapes, sampler, seed, noise, quoted)  # noqa: E731
    print("sampler    " + "".join(f"{count:>23}" for count in quoted) + "    ms")
    for sampler in asked.samplers.split(",") + ["gp"] * asked.gp:
        print(line(sampler, run, asked.seeds, asked.evaluations, asked.noise), flush=True)


def line(sampler: str, run: Run, seeds: int, evaluations: int, noise: float) -> str:
    curves, times = [], []
    for seed in range(seeds):
        curve, seconds = run(sampler, seed, np.random.default_rng(1000 + seed).normal(0.0, noise, evaluations))
        curves.append(curve)
        times.append(seconds)
    low, middle, high = np.percentile(curves, [25, 50, 75], axis=0)
    cells = "".join(f"{m:>9.4f} ({a:.3f}-{b:.3f})" for a, m, b in zip(low, middle, high, strict=True))
    return f"{sampler:<11}{cells}{1000 * float(np.median(times)):>6.0f}"


if __name__ == "__main__":
    main()
