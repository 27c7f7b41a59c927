"""Optuna alone, as its guide has it: a study in SQLite that two threads work on, continued where it stands."""

import sys

import optuna

from benchmarks.peers.task import CHOICES, spends, train

directory, trials = sys.argv[1], int(sys.argv[2])


def objective(trial):  # type: ignore[no-untyped-def]
    """Loss and latency of what Optuna suggests."""
    point = {name: trial.suggest_categorical(name, values) for name, values in CHOICES.items()}
    trial.set_constraint("budget", -1.0 if spends(point) else 1.0)
    return train(point)


study = optuna.create_study(
    study_name="search",
    storage=f"sqlite:///{directory}/study.db",
    load_if_exists=True,
    directions=["minimize", "minimize"],
    sampler=optuna.samplers.TPESampler(),
)
left = trials - sum(trial.state.is_finished() for trial in study.trials)
study.optimize(objective, n_trials=left, n_jobs=2)
