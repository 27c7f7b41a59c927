"""What a study is read for: two or three objectives, and limits of any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from analysis.objectives.objective import Known, Objective
from analysis.objectives.observed import Observed
from analysis.objectives.quality import BITS_PER_BYTE
from analysis.objectives.registry import FORECAST, SHOWN_BESIDE, USUAL, find_objective, task_of
from analysis.statistics.noise_prior import ANSWER_NOISE, USUAL_NOISE, NoisePrior
from analysis.text.words import joined
from search_space.errors import SpecError, shortened

FEWEST, MOST = 2, 3
"""Objectives of one problem."""


@dataclass(frozen=True)
class Problem:
    """A multi-objective problem; `problem_of` makes one from names."""

    objectives: tuple[Objective, ...]
    limits: Mapping[str, float] = field(default_factory=dict)
    """The worst value that a shape may have, by the name of any objective."""
    noise: NoisePrior = USUAL_NOISE
    """What a seed is expected to move qualities by: bits per byte, on whichever text."""

    def __str__(self) -> str:
        return ", ".join(self.names)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the objectives, in order."""
        return tuple(objective.name for objective in self.objectives)

    @cached_property
    def ordering(self) -> int:
        """Place of the objective by which fronts are listed and drawn from left to right: the first that is known before a training."""
        before = (place for place, objective in enumerate(self.objectives) if objective.known != "training")
        return next(before, 1)

    @cached_property
    def columns(self) -> tuple[int, ...]:
        """Places of all objectives, the ordering one first: the order of columns in which fronts are computed."""
        return (self.ordering, *(place for place in range(len(self.objectives)) if place != self.ordering))

    def expected_noise(self, place: int) -> NoisePrior:
        """What a seed is expected to move the objective at this place by: what was measured is of bits per byte."""
        objective = self.objectives[place]
        if task_of(objective.name) is not None and objective.better == "higher":
            return ANSWER_NOISE
        return self.noise if objective.name.startswith(BITS_PER_BYTE) else USUAL_NOISE

    @cached_property
    def forecast_place(self) -> int | None:
        """Place of the objective that losses along a training forecast, where it is the only one that a training tells; None elsewhere."""
        told = [place for place, objective in enumerate(self.objectives) if objective.known == "training"]
        return told[0] if [self.names[place] for place in told] == [FORECAST] else None

    def require_forecast_place(self) -> int:
        """`forecast_place`; raises SpecError where it is None."""
        if self.forecast_place is None:
            raise SpecError(
                f"what a longer training gives is forecast where {FORECAST} is the only objective that a training tells, found "
                f"{joined([*self.names])}; read the study under such objectives"
            )
        return self.forecast_place

    @cached_property
    def shown(self) -> tuple[Objective, ...]:
        """The objectives, and what is shown beside them wherever it is known."""
        beside = find_objective(SHOWN_BESIDE)
        return self.objectives if beside in self.objectives else (*self.objectives, beside)

    def values(self, seen: Observed) -> tuple[float, ...] | None:
        """Value of every objective, in order; None where one is not known."""
        found = [objective.value(seen) for objective in self.objectives]
        return None if None in found else tuple(value for value in found if value is not None)

    def excesses(self, seen: Observed) -> dict[str, float] | None:
        """How far a training passes each limit that only it tells, at most 0 where it keeps to it; None without such limits."""
        found = {}
        for name, limit in self.limits.items():
            objective = find_objective(name)
            value = objective.value(seen) if objective.known == "training" else None
            if value is not None:
                found[name] = objective.cost(value) - objective.cost(limit)
        return found or None

    def passed_limit(self, seen: Observed, *known: Known) -> str | None:
        """Which limit a shape passes, as the beginning of a sentence; None where it keeps to all that can be told.

        Asked are the objectives that are `known` at one of these moments.
        """
        for name, limit in self.limits.items():
            objective = find_objective(name)
            value = objective.value(seen) if objective.known in known else None
            if value is not None and objective.passes(value, limit):
                words, side = objective.words, "above" if objective.better == "lower" else "below"
                return f"its {words.label} of {words.write(value)} is {side} limits.{name}, {words.write(limit)}"
        return None


def problem_of(names: Sequence[str], limits: Mapping[str, float] | None = None, noise: NoisePrior = USUAL_NOISE) -> Problem:
    """The problem of these objectives and limits; SpecError where one is unknown or stands twice, or there are too few or many."""
    if not FEWEST <= len(names) <= MOST or len(set(names)) < len(names):
        found = shortened(", ".join(names)) or "none"
        raise SpecError(f"objectives must be {FEWEST} or {MOST} different ones, found {found}; name some such as {', '.join(USUAL)}")
    for name in limits or {}:
        find_objective(name)
    return Problem(tuple(map(find_objective, names)), dict(limits or {}), noise)


STANDARD = problem_of(USUAL)
"""The objectives of a study that says nothing."""
