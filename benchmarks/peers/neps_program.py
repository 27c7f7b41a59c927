"""NePS, as its guide has it: a folder that a process works on, continued where it stands."""

import logging
import sys

import neps

from benchmarks.peers.task import CHOICES, train

directory, trials = sys.argv[1], int(sys.argv[2])


def evaluate(**point: int) -> float:
    """The loss: its default search has one objective."""
    return train(point)[0]


logging.basicConfig(level=logging.WARNING)


class Space(neps.PipelineSpace):  # type: ignore[misc]
    """The choices as its domains."""

    num_unique_layers = neps.Categorical(CHOICES["num_unique_layers"])
    hidden_size = neps.Categorical(CHOICES["hidden_size"])
    num_key_value_heads = neps.Categorical(CHOICES["num_key_value_heads"])
    intermediate_size = neps.Categorical(CHOICES["intermediate_size"])


neps.run(
    evaluate,
    Space(),
    root_directory=f"{directory}/search",
    total_evaluations_to_spend=trials,
    ignore_errors=True,
)
