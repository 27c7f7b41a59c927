"""The yardstick: a fixed model, one of three by size, that takes its turns with every shape."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median

from search_space.architecture import Architecture
from search_space.cost import parameters
from trials.formats.model import fresh_model
from trials.latency.repeats import LARGEST_WAIT, Repeat, run_once, some_tokens, turn
from trials.latency.runtimes import find_runtime
from trials.latency.runtimes.interface import Session

PROMPT_TOKENS, NEW_TOKENS = 64, 16
"""Tokens of the yardstick's workload, whatever the shape's is."""
SETTLING_RUNS, DEVICE_RUNS = 3, 9
"""Runs before the device's time is taken, and runs of which it is the median."""


def _yardstick(layers: int, hidden_size: int, vocab_size: int) -> Architecture:
    return Architecture(
        vocab_size=vocab_size,
        hidden_size=hidden_size,
        num_unique_layers=layers,
        num_attention_heads=hidden_size // 32,
        num_key_value_heads=hidden_size // 64,
        head_dim=32,
        intermediate_size=3 * hidden_size,
    )


YARDSTICKS = ((2_000_000, _yardstick(4, 128, 512)), (30_000_000, _yardstick(8, 256, 4096)), (None, _yardstick(8, 512, 8192)))
"""Each with the largest shape, in parameters, that it is for: 0.9M, 8M and 31M, so that it lives in the same cache or memory."""


def yardstick_for(architecture: Architecture) -> Architecture:
    """The yardstick of a shape's size."""
    size = parameters(architecture)
    return next(yardstick for largest, yardstick in YARDSTICKS if largest is None or size <= largest)


@dataclass(frozen=True, slots=True)
class Bench:
    """A loaded yardstick."""

    architecture: Architecture
    session: Session

    def run(self) -> Repeat:
        """Time the yardstick's workload once."""
        return run_once(self.session, *some_tokens(self.architecture.vocab_size, PROMPT_TOKENS, NEW_TOKENS))

    def device_time(self) -> Repeat:
        """What the yardstick takes on this device as it is now: the median of undisturbed turns, or of all where there are few."""
        settled = [self.run() for _ in range(SETTLING_RUNS)]
        runs = [turn(self.run, min(run.total_ms for run in settled)) for _ in range(DEVICE_RUNS)]
        calm = [run for run in runs if run.waited <= LARGEST_WAIT]
        runs = calm if len(calm) > DEVICE_RUNS // 2 else runs
        return Repeat(median(run.prefill_ms for run in runs), median(run.decode_ms for run in runs), max(run.waited for run in runs))


@cache
def loaded_yardstick(architecture: Architecture, runtime: str, precision: str, threads: int) -> Bench:
    """A yardstick that is prepared and loaded once, and stays loaded as long as the process lives."""
    module = find_runtime(runtime)
    with tempfile.TemporaryDirectory(prefix="archfront-yardstick-") as folder:  # a session keeps what it needs of its files
        module.prepare(Path(folder), fresh_model(architecture, precision))
        return Bench(architecture, module.load(Path(folder), architecture, PROMPT_TOKENS + NEW_TOKENS, threads))
