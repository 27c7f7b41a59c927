"""syne-tune with its local backend, as its guide has it: this file again is what runs a trial."""

import sys
from pathlib import Path

from benchmarks.peers.task import CHOICES, train


def search(directory: str, trials: int) -> None:
    """Two at a time, by a tuner that goes on where it was saved."""
    from syne_tune import StoppingCriterion, Tuner
    from syne_tune.backend import LocalBackend
    from syne_tune.config_space import choice
    from syne_tune.optimizer.baselines import RandomSearch

    if (Path(directory) / "search" / "tuner.dill").exists():
        tuner = Tuner.load(f"{directory}/search")
    else:
        tuner = Tuner(
            trial_backend=LocalBackend(entry_point=__file__),
            scheduler=RandomSearch({name: choice(values) for name, values in CHOICES.items()}, metrics=["loss"]),
            stop_criterion=StoppingCriterion(max_num_trials_started=trials - 1),  # it stops at more than that
            wait_trial_completion_when_stopping=True,
            n_workers=2,
            sleep_time=0.1,
            max_failures=trials,
            tuner_name="search",
            suffix_tuner_name=False,
        )
    tuner.run()


def trial() -> None:
    """One point, in a process of its own."""
    from argparse import ArgumentParser

    from syne_tune import Reporter

    parser = ArgumentParser()
    for name in CHOICES:
        parser.add_argument(f"--{name}", type=int)
    loss, milliseconds = train(vars(parser.parse_known_args()[0]))
    Reporter()(loss=loss, latency_ms=milliseconds)


if sys.argv[1].startswith("--"):
    trial()
else:
    search(sys.argv[1], int(sys.argv[2]))
