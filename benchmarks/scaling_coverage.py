"""How often 90 % intervals of scaling fits hold the truth: on planted surfaces, and on the published runs with the largest ones hidden.

    python -m benchmarks.scaling_coverage planted --repeats 200
    python -m benchmarks.scaling_coverage published

Planted: Chinchilla surfaces with realistic noise, seed noise 0.0015 nats and a residual of 0.3 %, new in each repeat. Counted are the five
parameters, the law itself at 10 times the largest N and D, and a new run there, noise of its own included, against the band. Published: the
largest runs by N, D or FLOPs are hidden, the rest fitted, and the bands counted against the hidden losses; next to them what a bootstrap of
the law's parameters alone would have held.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from analysis.laws.fit_law import Study, study_law
from analysis.laws.forecast import law_interval
from analysis.laws.options import Columns, FitOptions
from analysis.laws.run_table import read_runs
from analysis.laws.runs import Runs
from analysis.statistics.arrays import Array

TRUTH = {"E": 1.8172, "A": 477.8, "B": 2143.4, "alpha": 0.3473, "beta": 0.3672}
SEED_NOISE_NATS, RESIDUAL = 0.0015, 0.003
PUBLISHED = Path(__file__).resolve().parent.parent / "tests" / "data" / "chinchilla_epoch.csv"
OPTIONS = FitOptions(refits=400)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("planted", "published"))
    parser.add_argument("--repeats", type=int, default=200)
    options = parser.parse_args()
    rows = planted(options.repeats) if options.what == "planted" else published()
    for row in rows:
        print(json.dumps(row), flush=True)


def planted(repeats: int) -> Iterator[dict[str, object]]:
    return (_planted_design(name, params, tokens, repeats) for name, (params, tokens) in designs().items())


def designs() -> dict[str, tuple[Array, Array]]:
    """Three ways to spend a study's runs: a grid, isoFLOP curves, and sizes at fixed tokens per parameter."""
    params, tokens = (axis.ravel() for axis in np.meshgrid(np.geomspace(2e7, 1e9, 6), np.geomspace(4e8, 2e10, 5)))
    flops = np.repeat(np.geomspace(1e18, 1e20, 5), 8)
    sizes = np.sqrt(flops / 120) * np.tile(np.geomspace(1 / 6, 6, 8), 5)
    ladder = np.repeat(np.geomspace(1e7, 1e9, 9), 4)
    per_parameter = np.tile([5.0, 20.0, 80.0, 160.0], 9)
    return {"grid of 30": (params, tokens), "isoFLOP, 40": (sizes, flops / 6 / sizes), "ladder of 36": (ladder, ladder * per_parameter)}


def _planted_design(name: str, params: Array, tokens: Array, repeats: int) -> dict[str, object]:
    began, held, widths = time.perf_counter(), [], []
    target = {"params": params.max(keepdims=True) * 10, "tokens": tokens.max(keepdims=True) * 10}
    for repeat in range(repeats):
        generator = np.random.default_rng(repeat)
        losses = noisy(surface(params, tokens), generator)
        runs = Runs(losses, {"params": params, "tokens": tokens, "flops": 6 * params * tokens}, np.arange(len(params)))
        study = study_law(runs, OPTIONS)
        truth = surface(target["params"], target["tokens"])
        checks = {key: low <= TRUTH[key] <= high for key, (low, high) in study.refits.intervals.items()}
        (low,), (high,) = law_interval(study.forecasts(target)["chinchilla"])
        band = study.band(target)
        checks["law at 10x"] = low <= truth[0] <= high
        checks["run at 10x"] = bool(band.low[0] <= noisy(truth, generator)[0] <= band.high[0])
        held.append(checks)
        widths.append(float((band.high[0] - band.low[0]) / truth[0]))
    shares = {key: round(float(np.mean([checks[key] for checks in held])), 3) for key in held[0]}
    return {
        "design": name,
        "repeats": repeats,
        "held": shares,
        "band_width": float(np.mean(widths)),
        "seconds": time.perf_counter() - began,
    }


def surface(params: Array, tokens: Array) -> Array:
    return np.asarray(TRUTH["E"] + TRUTH["A"] / params ** TRUTH["alpha"] + TRUTH["B"] / tokens ** TRUTH["beta"])


def noisy(losses: Array, generator: np.random.Generator) -> Array:
    return np.asarray(
        losses * np.exp(RESIDUAL * generator.standard_normal(len(losses))) + SEED_NOISE_NATS * generator.standard_normal(len(losses))
    )


def published() -> list[dict[str, str | float]]:
    runs = read_runs(PUBLISHED, Columns(params="N", tokens="D", loss="loss"))
    rows: list[dict[str, str | float]] = []
    for axis in ("params", "tokens", "flops"):
        for share in (0.1, 0.2, 0.3, 0.4, 0.5):
            hidden = runs.variables[axis] > np.quantile(runs.variables[axis], 1 - share)
            rows.append({"hidden_by": axis, "share": share, **_score(study_law(runs.where(~hidden), OPTIONS), runs.where(hidden))})
    names = ("held", "width", "held_by_bootstrap_alone", "bootstrap_width")
    means = {name: float(np.mean([float(row[name]) for row in rows])) for name in names}
    return [*rows, {"mean of": len(rows), **means}]


def _score(study: Study, hidden: Runs) -> dict[str, float]:
    band, (low, high) = study.band(hidden.variables), law_interval(study.forecasts(hidden.variables)["chinchilla"])
    return {
        "held": float(np.mean((band.low <= hidden.losses) & (hidden.losses <= band.high))),
        "width": float(np.mean((band.high - band.low) / band.centre)),
        "held_by_bootstrap_alone": float(np.mean((low <= hidden.losses) & (hidden.losses <= high))),
        "bootstrap_width": float(np.mean((high - low) / band.centre)),
    }


if __name__ == "__main__":
    main()
