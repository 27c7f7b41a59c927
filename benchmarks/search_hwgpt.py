"""Log-perplexity against A100 latency of GPT-S shapes, as Optuna sees them: the search benchmark's first problem.

HW-GPT-Bench (arXiv 2405.10299) as an additive table over its whole space of 27 choices; the folder holds hwgpt_s_surrogate.json and the
exact fronts, hwgpt_s_front.npz and, where at most 150M parameters are allowed, hwgpt_s_front_150M.npz.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler

from analysis.statistics.arrays import Array
from trials.search.front_sampler import FrontSampler

WIDTHS, DEPTHS, HEADS, RATIOS = (192, 384, 768), (10, 11, 12), (4, 8, 12), (2, 3, 4)
LAYERS = max(DEPTHS)
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
        self.limit = 150e6 if budget else math.inf
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


def samplers(problem: HwGpt) -> dict[str, Callable[[int], BaseSampler]]:
    """Each sampler from a seed, with the settings that served it best; `front-known` knows the latency beforehand, `front` learns it."""
    feasible = problem.feasible if problem.limit < math.inf else None

    def front(seed: int, cheap: Mapping[int, Callable[[Params], float]]) -> FrontSampler:
        return FrontSampler(problem.space, cheap=cheap, feasible=feasible, active=problem.active, seed=seed)

    return {
        "front-known": lambda seed: front(seed, {1: problem.latency_ms}),
        "front": lambda seed: front(seed, {}),
        "random": lambda seed: RandomSampler(seed=seed),
        "nsga2": lambda seed: NSGAIISampler(population_size=20, seed=seed),
        "tpe": lambda seed: TPESampler(n_startup_trials=10, multivariate=True, seed=seed),
        "gp": lambda seed: GPSampler(seed=seed, deterministic_objective=True),
    }


def run(problem: HwGpt, sampler: str, seed: int, noise: Array, quoted: Sequence[int]) -> tuple[list[float], float]:
    """Hypervolumes after each of the quoted numbers of evaluations, and processor seconds a proposal.

    A point over the budget counts as an evaluation; the samplers are told of it by a constraint.
    """
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=samplers(problem)[sampler](seed))
    found: list[Evaluation] = []
    curve, seconds = [], 0.0
    for count, error in enumerate(noise.tolist(), start=1):
        start = time.process_time()
        trial = study.ask(problem.space)
        seconds += time.process_time() - start
        found.append(problem.evaluate(trial.params))
        if problem.limit < math.inf:
            trial.set_constraint("parameters", found[-1].parameters / problem.limit - 1)
        study.tell(trial, [found[-1].loss + error, found[-1].latency_ms])
        if count in quoted:
            curve.append(problem.hypervolume(found))
    return curve, seconds / len(noise)
