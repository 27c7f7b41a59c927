"""What each search proposes on the task: `python -m benchmarks.peers.proposals PEER TRIALS SEED` prints how many spend the budget.

Each is asked for one point after the other and told a loss of it, or, where the point misses the budget, what its interface has for that.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from importlib import metadata
from typing import Any

from benchmarks.peers.task import CHOICES, FIXED, PARAMETERS, TOLERANCE, Point, losses, point_of, spends

SLOW_TRIALS = 60
"""Of NePS, whose proposals take seconds."""
MISSED_LOSS = 10.0
"""Told where an interface has only numbers."""


def told(point: Point) -> float | None:
    """The loss; None where the point misses the budget."""
    return losses(point)[0] if spends(point) else None


def optuna_stock(trials: int, seed: int) -> list[Point]:
    """What Ray's OptunaSearch asks by default: TPE; a failed trial for a missed budget."""
    import optuna

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    for _ in range(trials):
        trial = study.ask()
        loss = told({name: trial.suggest_categorical(name, values) for name, values in CHOICES.items()})
        study.tell(trial, loss, state=None if loss is not None else optuna.trial.TrialState.FAIL)
    return [trial.params for trial in study.trials]


def optuna_constrained(trials: int, seed: int) -> list[Point]:
    """The same with the budget as a constraint."""
    import optuna

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    for _ in range(trials):
        trial = study.ask()
        loss = told({name: trial.suggest_categorical(name, values) for name, values in CHOICES.items()})
        trial.set_constraint("budget", 1.0 if loss is None else -1.0)
        study.tell(trial, MISSED_LOSS if loss is None else loss)
    return [trial.params for trial in study.trials]


def syne_tune(trials: int, seed: int) -> list[Point]:
    """Its random search, which proposes no point twice."""
    from syne_tune.config_space import choice
    from syne_tune.optimizer.baselines import RandomSearch
    from syne_tune.optimizer.schedulers.ask_tell_scheduler import AskTellScheduler

    space = {name: choice(values) for name, values in CHOICES.items()}
    scheduler = AskTellScheduler(RandomSearch(space, metrics=["loss"], random_seed=seed))
    points = []
    for _ in range(trials):
        trial = scheduler.ask()
        loss = told(trial.config)
        scheduler.tell(trial, {"loss": MISSED_LOSS if loss is None else loss})
        points.append(trial.config)
    return points


def neps_bayesian(trials: int, seed: int) -> list[Point]:
    """Its Bayesian optimization; an exception for a missed budget."""
    import random

    import neps
    import numpy as np
    import torch

    for seeded in (random.seed, np.random.seed, torch.manual_seed):
        seeded(seed)
    space = neps.SearchSpace({name: neps.HPOCategorical(values) for name, values in CHOICES.items()})
    optimizer = neps.AskAndTell(neps.algorithms.bayesian_optimization(space))
    points = []
    for _ in range(min(trials, SLOW_TRIALS)):
        trial = optimizer.ask()
        loss = told(trial.config)
        optimizer.tell(trial, ValueError("misses the budget") if loss is None else loss)
        points.append(trial.config)
    return points


def ours(trials: int, seed: int) -> list[Point]:
    """What a study with sampler nsga2 proposes, told by the records of the fakes."""
    from analysis.records.record import Kind, TrialRecord
    from search_space.budget import Budget
    from search_space.space import SearchSpace
    from tests.support.fakes import answer
    from trials.search.proposer import Proposer
    from trials.trial.task import TrialTask, plain

    space = SearchSpace.parse(FIXED | CHOICES, Budget.parse({"parameters": {"target": PARAMETERS, "tolerance": TOLERANCE}}))
    proposer, records = Proposer(space, seed, "nsga2"), list[TrialRecord]()
    for number in range(trials):
        proposed = proposer.propose(number, records, [])
        if proposed is None:
            break  # the space has no more
        task = TrialTask(number=number, kind=Kind.SAMPLED, point=plain(proposed[0]), architecture=proposed[1], seed=seed)
        records.append(answer(task))
    return [point_of(record.architecture) for record in records]


PROPOSERS: dict[str, tuple[str, Callable[[int, int], list[Point]]]] = {
    "optuna": ("optuna", optuna_stock),
    "optuna-constrained": ("optuna", optuna_constrained),
    "syne-tune": ("syne-tune", syne_tune),
    "neps": ("neural-pipeline-search", neps_bayesian),
    "archfront": ("archfront", ours),
}
"""Of each, the package and what asks it."""


def counted(peer: str, trials: int, seed: int) -> dict[str, Any]:
    """How many points of a peer spend the budget, and how many of these differ."""
    package, propose = PROPOSERS[peer]
    begun = time.perf_counter()
    points = propose(trials, seed)
    seconds = time.perf_counter() - begun
    feasible = [tuple(int(point[name]) for name in CHOICES) for point in points if spends(point)]
    return {
        "version": metadata.version(package),
        "proposed": len(points),
        "feasible": len(feasible),
        "distinct": len(set(feasible)),
        "ms": 1000 * seconds / len(points),
    }


if __name__ == "__main__":
    print(json.dumps(counted(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
