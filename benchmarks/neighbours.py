"""What other searches propose on a space of which a seventh spends the budget; writes benchmarks/neighbours.md.

    python -m benchmarks.neighbours [--trials 120] [--seed 0] [--syne-tune PYTHON] [--neps PYTHON]

Peers that do not install beside our dependencies run in environments of their own, whose interpreters are named by the options and
which need nothing of ours:

    python -m venv syne && syne/bin/pip install "syne-tune[basic]==0.16.0"
    python -m venv neps && neps/bin/pip install neural-pipeline-search==0.17.0

Each is asked for one point after the other and told a loss of it, or, where the point misses the budget, what its interface has for that.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from itertools import product
from pathlib import Path
from typing import Any

from search_space.architecture import Architecture
from search_space.budget import Budget
from search_space.cost import parameters
from search_space.space import SearchSpace

ROOT = Path(__file__).resolve().parent.parent
CHOICES: dict[str, list[int]] = {
    "num_unique_layers": list(range(4, 22, 2)),
    "hidden_size": list(range(256, 832, 64)),
    "num_key_value_heads": [1, 2, 4],
    "intermediate_size": [512, 1024, 1536, 2048, 2560, 3072],
}
VOCAB_SIZE, NUM_ATTENTION_HEADS, HEAD_DIM, PARAMETERS = 32_000, 8, 64, 50_000_000
TOLERANCE = 0.1
SLOW_TRIALS = 60
"""Of NePS, whose proposals take seconds."""
MISSED_LOSS = 10.0
"""Told where an interface has only numbers."""
Point = Mapping[str, Any]


def spends(point: Point) -> float | None:
    """A loss that falls with depth and width; None where the point misses the budget."""
    sizes: dict[str, Any] = {name: int(point[name]) for name in CHOICES}
    shape = Architecture(vocab_size=VOCAB_SIZE, head_dim=HEAD_DIM, num_attention_heads=NUM_ATTENTION_HEADS, **sizes)
    if abs(parameters(shape) / PARAMETERS - 1) > TOLERANCE:
        return None
    return 3.0 - 0.02 * shape.num_unique_layers - shape.hidden_size / 4096


def optuna_stock(trials: int, seed: int) -> list[Point]:
    """What Ray's OptunaSearch asks by default: TPE; a failed trial for a missed budget."""
    import optuna

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    for _ in range(trials):
        trial = study.ask()
        loss = spends({name: trial.suggest_categorical(name, values) for name, values in CHOICES.items()})
        study.tell(trial, loss, state=None if loss is not None else optuna.trial.TrialState.FAIL)
    return [trial.params for trial in study.trials]


def optuna_constrained(trials: int, seed: int) -> list[Point]:
    """The same with the budget as a constraint."""
    import optuna

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    for _ in range(trials):
        trial = study.ask()
        loss = spends({name: trial.suggest_categorical(name, values) for name, values in CHOICES.items()})
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
        loss = spends(trial.config)
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
        loss = spends(trial.config)
        optimizer.tell(trial, ValueError("misses the budget") if loss is None else loss)
        points.append(trial.config)
    return points


def ours(trials: int, seed: int) -> list[Point]:
    """What a study with sampler nsga2 proposes, told by the records of the fakes."""
    from analysis.record import Kind, TrialRecord
    from tests.fakes import answer
    from trials.sampler import Proposer
    from trials.task import TrialTask, plain

    values = {"vocab_size": VOCAB_SIZE, "head_dim": HEAD_DIM, "num_attention_heads": NUM_ATTENTION_HEADS, **CHOICES}
    space = SearchSpace.parse(values, Budget.parse({"parameters": {"target": PARAMETERS, "tolerance": TOLERANCE}}))
    proposer, records = Proposer(space, seed, "nsga2"), list[TrialRecord]()
    for number in range(trials):
        proposed = proposer.propose(number, records, [])
        if proposed is None:
            break  # the space has no more
        task = TrialTask(number=number, kind=Kind.SAMPLED, point=plain(proposed[0]), architecture=proposed[1], seed=seed)
        records.append(answer(task))
    return [{name: getattr(record.architecture, name) for name in CHOICES} for record in records]


PEERS: dict[str, tuple[str, str, Callable[[int, int], list[Point]]]] = {
    "optuna": ("Optuna, TPE (Ray's OptunaSearch)", "optuna", optuna_stock),
    "optuna-constrained": ("Optuna with `set_constraint`", "optuna", optuna_constrained),
    "syne-tune": ("syne-tune, random search", "syne-tune", syne_tune),
    "neps": ("NePS, Bayesian optimization", "neural-pipeline-search", neps_bayesian),
    "ours": ("archfront", "archfront", ours),
}


def counted(peer: str, trials: int, seed: int) -> dict[str, Any]:
    """How many points of a peer spend the budget, and how many of these differ."""
    title, package, propose = PEERS[peer]
    begun = time.perf_counter()
    points = propose(trials, seed)
    seconds = time.perf_counter() - begun
    feasible = [tuple(int(point[name]) for name in CHOICES) for point in points if spends(point) is not None]
    lines = len(inspect.getsource(propose).splitlines())
    return {
        "peer": f"{title} {metadata.version(package)}",
        "proposed": len(points),
        "feasible": len(feasible),
        "distinct": len(set(feasible)),
        "ms": 1000 * seconds / len(points),
        "lines": lines,
    }


def table(rows: list[dict[str, Any]], options: argparse.Namespace) -> str:
    """As a page."""
    size = 1
    for values in CHOICES.values():
        size *= len(values)
    head = (
        "# Beside other searches\n\n"
        f"Written by `python -m benchmarks.neighbours --trials {options.trials} --seed {options.seed}`; do not edit.\n\n"
        f"A rectangular space of {size:,} points, {_feasible():,} of which spend {PARAMETERS:,} parameters within {TOLERANCE:.0%}.\n"
        "Each search is asked for one point after the other and told how it did; NePS, whose proposals are slow, for fewer.\n\n"
        "| search | proposed | spend the budget | of these distinct | ms a proposal, imports included | lines of code here |\n"
        "|---|---|---|---|---|---|\n"
    )
    body = "".join(f"| {r['peer']} | {r['proposed']} | {r['feasible']} | {r['distinct']} | {r['ms']:.1f} | {r['lines']} |\n" for r in rows)
    return head + body


def _feasible() -> int:
    """How many points spend the budget."""
    return sum(spends(dict(zip(CHOICES, values, strict=True))) is not None for values in product(*CHOICES.values()))


def main() -> None:
    """Ask each peer, in its own interpreter, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--syne-tune", metavar="PYTHON", help="interpreter of an environment with syne-tune; left out without it")
    parser.add_argument("--neps", metavar="PYTHON", help="interpreter of an environment with NePS; left out without it")
    parser.add_argument("--here", choices=PEERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        print(json.dumps(counted(options.here, options.trials, options.seed)))
        return
    pythons = dict.fromkeys(PEERS, sys.executable) | {"syne-tune": options.syne_tune, "neps": options.neps}
    rows = []
    for peer, python in pythons.items():
        if python is not None:
            command = [python, "-m", "benchmarks.neighbours", "--here", peer, "--trials", str(options.trials), "--seed", str(options.seed)]
            environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
            done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
            rows.append(json.loads(done.stdout.splitlines()[-1]))
            print(rows[-1], file=sys.stderr)
    (ROOT / "benchmarks" / "neighbours.md").write_text(table(rows, options), encoding="utf-8")


if __name__ == "__main__":
    main()
