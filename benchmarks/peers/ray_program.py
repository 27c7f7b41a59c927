"""Ray Tune with OptunaSearch, as its guide has it, restored where there is something to restore."""

import sys

import ray
from ray import tune
from ray.tune.search import ConcurrencyLimiter
from ray.tune.search.optuna import OptunaSearch

from benchmarks.peers.task import CHOICES, train

directory, trials = sys.argv[1], int(sys.argv[2])


def trainable(config):  # type: ignore[no-untyped-def]
    """Loss and latency of what Optuna suggests."""
    loss, milliseconds = train(config)
    tune.report({"loss": loss, "latency_ms": milliseconds})


ray.init(num_cpus=2, include_dashboard=False)
path = f"{directory}/search"
if tune.Tuner.can_restore(path):
    tuner = tune.Tuner.restore(path, trainable, resume_unfinished=True)
else:
    search = OptunaSearch(metric=["loss", "latency_ms"], mode=["min", "min"])
    tuner = tune.Tuner(
        trainable,
        param_space={name: tune.choice(values) for name, values in CHOICES.items()},
        tune_config=tune.TuneConfig(search_alg=ConcurrencyLimiter(search, 2), num_samples=trials),
        run_config=tune.RunConfig(name="search", storage_path=directory),
    )
tuner.fit()
