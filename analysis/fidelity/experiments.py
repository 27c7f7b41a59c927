"""Which training would say most about a front after longer training: each is simulated from draws of what shapes may lose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.statistics.arrays import Array, Flags

SIMULATED = 64
"""Outcomes of each training that are simulated."""
WORTH = 0.01
"""Share of the expected wrong decisions that a training must spare to be named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """A training that would say something about the order."""

    number: int
    times: float
    """Tokens of the experiment over the study's own."""
    flops: float
    settles: float
    """Share of the expected wrong decisions that it would spare."""


@dataclass(frozen=True, slots=True)
class FrontDecisions:
    """Which shapes are taken for members of the front, and what of that is expected to be wrong."""

    member: Flags
    """Whether each is on the front; shape [draws, shapes]."""
    losses: Mapping[float, Array]
    """What each may lose after so many times the study's tokens; shapes [draws, shapes]."""
    noise: float
    """Standard deviation of what one training measures."""

    @property
    def wrong(self) -> float:
        """Expected wrong decisions where each shape is taken for what it more probably is."""
        on_front = self.member.mean(axis=0)
        return float(np.minimum(on_front, 1 - on_front).sum())

    def experiments(self, shapes: Sequence[tuple[int, int, float]]) -> list[Experiment]:
        """A training at each length of these shapes: number, place among all, and FLOPs of a training of the study's own length."""
        random, posterior, wrong = np.random.default_rng(0), self.member.astype(float), self.wrong
        found = []
        for times, every in self.losses.items():
            for number, place, flops in shapes:
                losses = every[:, place]
                shown = random.choice(losses, size=SIMULATED) + self.noise * random.standard_normal(SIMULATED)
                odds = np.exp(-0.5 * ((shown[:, None] - losses) / self.noise) ** 2)
                share = (odds / odds.sum(axis=1, keepdims=True)) @ posterior
                after = float(np.minimum(share, 1 - share).sum(axis=1).mean())
                settles = max(0.0, 1 - after / wrong) if wrong else 0.0
                found.append(Experiment(number=number, times=times, flops=times * flops, settles=settles))
        return found


def by_worth(experiments: Sequence[Experiment]) -> list[Experiment]:
    """Experiments that spare at least half of what any does, by what they spare for their FLOPs; none where none spares enough."""
    least = max([WORTH, *(found.settles / 2 for found in experiments)])
    worthwhile = [found for found in experiments if found.settles >= least]
    return sorted(worthwhile, key=lambda found: -found.settles / found.flops)
