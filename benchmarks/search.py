"""How many evaluations a sampler needs for a good front: ours beside Optuna's, on problems whose exact front is known.

    python benchmarks/search.py hwgpt DATA [--budget] [--noise 0.004] [--learnt] [--samplers front,tpe] [--seeds 10] [--evaluations 100]

`hwgpt`: log-perplexity against A100 latency of GPT-S shapes (HW-GPT-Bench, arXiv 2405.10299) as an additive table over its whole
space; DATA is the folder with hwgpt_s_surrogate.json and hwgpt_s_front*.npz. With --budget at most 150M parameters are allowed;
--learnt keeps the latency from our sampler. Each sampler sees the loss with --noise; the hypervolume is of the true losses. Printed:
median (first to third quartile) of the hypervolume as a share of the exact front's, and processor milliseconds a proposal.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler

from analysis.axes import Array
from trials.front_sampler import FrontSampler

WIDTHS, DEPTHS, HEADS, RATIOS = (192, 384, 768), (10, 11, 12), (4, 8, 12), (2, 3, 4)
LAYERS = max(DEPTHS)
QUOTED = (10, 25, 50, 100, 200)
Params = Mapping[str, Any]


@dataclass(frozen=True)
class Evaluation:
    """What one point turns out to be."""

    loss: float
    latency_ms: float
    parameters: float


class HwGpt:
    """GPT-S of HW-GPT-Bench: 3 widths, 3 depths, bias, and heads and MLP ratio of each layer."""

    def __init__(self, folder: Path, budget: bool) -> None:
        tables = json.loads((folder / "hwgpt_s_surrogate.json").read_text())["s"]
        self._tables = {name: {int(w): entry["coef"] for w, entry in tables[name].items()} for name in ("log_ppl", "lat_a100", "params")}
        self.limit = 150e6 if budget else float("inf")
        front = np.load(folder / ("hwgpt_s_front_150M.npz" if budget else "hwgpt_s_front.npz"))
        self._low, self._high = front["lo"], front["hi"]
        self._whole = area((front["front"] - self._low) / (self._high - self._low))
        self.space: dict[str, BaseDistribution] = {
            "embed_dim": CategoricalDistribution(WIDTHS),
            "n_layer": IntDistribution(DEPTHS[0], DEPTHS[-1]),
            "bias": CategoricalDistribution((False, True)),
            **{f"heads_{layer}": IntDistribution(HEADS[0], HEADS[-1], step=4) for layer in range(LAYERS)},
            **{f"mlp_ratio_{layer}": IntDistribution(RATIOS[0], RATIOS[-1]) for layer in range(LAYERS)},
        }

    def active(self, params: Params) -> frozenset[str]:
        """Names that have an effect: not those of layers beyond the depth."""
        return ACTIVE[params["n_layer"]]

    def value(self, table: str, params: Params) -> float:
        """One of log-perplexity, latency and parameters."""
        row = self._tables[table][params["embed_dim"]]
        depth = params["n_layer"]
        total = row[0] + row[1] * params["bias"] + sum(row[2 : 2 + depth - DEPTHS[0]])
        for layer in range(depth):
            at = 4 + 4 * layer
            heads, ratio = params[f"heads_{layer}"], params[f"mlp_ratio_{layer}"]
            total += (0.0, row[at], row[at + 2])[heads // 4 - 1] + (0.0, row[at + 1], row[at + 3])[ratio - 2]
        return float(total)

    def latency_ms(self, params: Params) -> float:
        """On an A100."""
        return self.value("lat_a100", params)

    def feasible(self, params: Params) -> bool:
        """Whether the parameters are within the budget."""
        return self.value("params", params) <= self.limit

    def evaluate(self, params: Params) -> Evaluation:
        """All that a trial would find."""
        return Evaluation(self.value("log_ppl", params), self.latency_ms(params), self.value("params", params))

    def hypervolume(self, evaluations: list[Evaluation]) -> float:
        """Share of the exact front's."""
        points = [(e.loss, e.latency_ms) for e in evaluations if e.parameters <= self.limit]
        return area((np.array(points).reshape(-1, 2) - self._low) / (self._high - self._low)) / self._whole


_WHOLE = frozenset({"embed_dim", "n_layer", "bias"})
ACTIVE = {depth: _WHOLE | {f"{stem}_{layer}" for stem in ("heads", "mlp_ratio") for layer in range(depth)} for depth in DEPTHS}


def area(points: Array) -> float:
    """Dominated by points below (1, 1)."""
    points = points[(points < 1).all(axis=1)]
    if not len(points):
        return 0.0
    points = points[np.lexsort((points[:, 0], points[:, 1]))]
    best = np.minimum.accumulate(points[:, 0])
    return float((np.diff(np.append(points[:, 1], 1.0)) * (1 - best)).sum())


def samplers(problem: HwGpt, learnt: bool) -> dict[str, Callable[[int], BaseSampler]]:
    """Each sampler from a seed."""
    cheap: dict[int, Callable[[Params], float]] = {} if learnt else {1: problem.latency_ms}
    feasible = problem.feasible if problem.limit < float("inf") else None
    return {
        "front": lambda seed: FrontSampler(problem.space, cheap=cheap, feasible=feasible, active=problem.active, seed=seed),
        "random": lambda seed: RandomSampler(seed=seed),
        "nsga2": lambda seed: NSGAIISampler(population_size=20, seed=seed),
        "tpe": lambda seed: TPESampler(n_startup_trials=10, multivariate=True, seed=seed),
        "gp": lambda seed: GPSampler(seed=seed, deterministic_objective=True),
    }


def run(problem: HwGpt, sampler: BaseSampler, evaluations: int, noise: npt.NDArray[np.float64]) -> tuple[list[float], float]:
    """Hypervolumes after each of `QUOTED`, and processor seconds a proposal."""
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
    found: list[Evaluation] = []
    curve, seconds = [], 0.0
    for count in range(1, evaluations + 1):
        start = time.process_time()
        trial = study.ask(problem.space)
        seconds += time.process_time() - start
        found.append(problem.evaluate(trial.params))
        if problem.limit < float("inf"):
            trial.set_constraint("parameters", found[-1].parameters / problem.limit - 1)
        study.tell(trial, [found[-1].loss + noise[count - 1], found[-1].latency_ms])
        if count in QUOTED:
            curve.append(problem.hypervolume(found))
    return curve, seconds / evaluations


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    arguments.add_argument("problem", choices=["hwgpt"])
    arguments.add_argument("data", type=Path)
    arguments.add_argument("--budget", action="store_true", help="at most 150M parameters")
    arguments.add_argument("--noise", type=float, default=0.0, help="standard deviation of log-perplexity between seeds")
    arguments.add_argument("--learnt", action="store_true", help="our sampler does not know the latency")
    arguments.add_argument("--samplers", default="front,random,nsga2,tpe")
    arguments.add_argument("--gp", action="store_true", help="Optuna's GP sampler too, which takes seconds a proposal")
    arguments.add_argument("--seeds", type=int, default=10)
    arguments.add_argument("--evaluations", type=int, default=100)
    options = arguments.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    problem = HwGpt(options.data, options.budget)
    made = samplers(problem, options.learnt)
    quoted = [count for count in QUOTED if count <= options.evaluations]
    print("sampler  " + "".join(f"{count:>24}" for count in quoted) + "   ms")
    for name in options.samplers.split(",") + ["gp"] * options.gp:
        curves, times = [], []
        for seed in range(options.seeds):
            noise = np.random.default_rng(1000 + seed).normal(0.0, options.noise, options.evaluations)
            curve, seconds = run(problem, made[name](seed), options.evaluations, noise)
            curves.append(curve)
            times.append(seconds)
        low, middle, high = np.percentile(curves, [25, 50, 75], axis=0)
        cells = "".join(f"{m:>10.4f} ({a:.3f}-{b:.3f})" for a, m, b in zip(low, middle, high, strict=True))
        print(f"{name:<9}{cells}{1000 * np.median(times):>6.0f}", flush=True)


if __name__ == "__main__":
    main()
