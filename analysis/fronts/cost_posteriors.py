"""What the objectives of shapes may truly be: their draws, and their means and deviations.

What a seed moves is drawn by `analysis.statistics.seed_noise`, what is measured from its repeats and from repeated measurements, while a
closed form stays as it is. Objectives are drawn apart: that one seed may have been lucky in two of them at once is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.fronts.front import ObjectivePoint, ObjectiveReading
from analysis.objectives.problem import Problem
from analysis.statistics.arrays import Array
from analysis.statistics.seed_noise import DRAWS, SeedNoise, TrueQualities, estimate_seed_noise, squares_within

Some = slice | npt.NDArray[np.bool_]
"""Which shapes: a flag for each, or a slice."""
EVERY = slice(None)
BETWEEN_FREEDOM = 2
"""Degrees of freedom that an objective's prior of the noise between two measurements is worth."""
QUANTILES = 2.5631
"""Standard deviations between the tenth and the ninetieth percentile of a normal distribution."""
MEDIAN = 1.2533
"""Standard deviation of the median of many, over that of their mean."""


@dataclass(frozen=True, slots=True)
class CostDraws:
    """What the objectives of some shapes may truly be, each in the study's order."""

    costs: tuple[Array, ...]
    """Shape [draws, shapes], or [1, shapes] of a closed form; of what no seed moves it is the logarithm."""
    noises: tuple[Array | None, ...]
    """The noise that each draw takes for true, a standard deviation between seeds; [draws]. None where no seed moves the objective."""


class CostPosteriors:
    """What all objectives of some shapes may truly be, given what was observed of them."""

    def __init__(
        self, points: Sequence[ObjectivePoint], problem: Problem, deviations: Mapping[int, Mapping[int, float]] | None = None
    ) -> None:
        """`deviations` are those of an objective's logarithm where it is predicted: by its place in the study's order and then by trial."""
        self._problem = problem
        self._places = range(len(problem.objectives))
        self._logs = {place: _log_values(points, place, problem) for place in self._places if problem.objectives[place].noise != "seed"}
        along = self._logs.get(problem.ordering, np.zeros(len(points)))
        self._seeds = {place: _seeds(points, place, problem) for place in self._places if place not in self._logs}
        self._by_seed = {place: TrueQualities(seeds, along, problem.expected_noise(place)) for place, seeds in self._seeds.items()}
        self._spreads: dict[int, Array] = {}
        for place in self._logs:
            if deviations is not None and place in deviations:
                self._spreads[place] = np.array([deviations[place][point.number] for point in points])
            elif problem.objectives[place].noise == "measurement":
                self._spreads[place] = measurement_deviations(
                    [point.readings[place] for point in points], problem.objectives[place].between
                )

    @property
    def seed_noises(self) -> tuple[SeedNoise | None, ...]:
        """Seed noise of one training, in the unit of each objective; None where no seed moves it."""
        return tuple(
            estimate_seed_noise(self._seeds[place], self._problem.expected_noise(place)) if place in self._seeds else None
            for place in self._places
        )

    def draw(self, random: np.random.Generator, draws: int = DRAWS, among: Some = EVERY) -> CostDraws:
        """Draws of some of the shapes."""
        by_seed = {place: qualities.draw(random, draws, among) for place, qualities in self._by_seed.items()}
        costs = {place: qualities for place, (qualities, _) in by_seed.items()}
        for place, values in self._logs.items():
            costs[place] = values[None, among]
            if place in self._spreads:
                drawn = random.standard_normal((draws, len(values[among])))
                drawn *= self._spreads[place][among]
                drawn += values[among]
                costs[place] = drawn
        noises = tuple(by_seed[place][1] if place in by_seed else None for place in self._places)
        return CostDraws(costs=tuple(costs[place] for place in self._places), noises=noises)

    def moments(self, random: np.random.Generator) -> tuple[Array, Array]:
        """Means and standard deviations of what `draw` draws, both [shapes, objectives]; 0 of a closed form."""
        found = {place: qualities.moments(random) for place, qualities in self._by_seed.items()}
        found |= {place: (values, self._spreads.get(place, np.zeros_like(values))) for place, values in self._logs.items()}
        means, deviations = (np.stack([found[place][which] for place in self._places], axis=1) for which in (0, 1))
        return means, deviations


def measurement_deviations(readings: Sequence[ObjectiveReading], prior: float) -> Array:
    """Deviations of the logarithm of each measured value: of the median of its repeats, and between measurements; shape [shapes].

    `prior` is the objective's own `between`.
    """
    spreads = [1.0 if reading.spread is None else reading.spread.p90 / reading.spread.p10 for reading in readings]
    within = np.log(spreads) / QUANTILES * MEDIAN / np.array([reading.repeats**0.5 for reading in readings])
    deviations: Array = np.hypot(within, deviation_between(readings, prior))
    return deviations


def deviation_between(readings: Iterable[ObjectiveReading], prior: float) -> float:
    """Standard deviation of a logarithm between measurements of one shape: replicates and second measurements, shrunk to the prior.

    What the quiet machine saves every shape alike is no noise and is taken out of the second measurements.
    """
    readings = list(readings)
    again = [np.log(reading.value / reading.searched) for reading in readings if reading.remeasured]
    freedom, squares = squares_within([np.log(reading.trials).tolist() for reading in readings if len(reading.trials) > 1])
    freedom += max(0, len(again) - 1)
    squares += float(len(again) * np.var(again) / 2) if again else 0.0
    return float(np.sqrt((BETWEEN_FREEDOM * prior**2 + squares) / (BETWEEN_FREEDOM + freedom)))


def _seeds(points: Sequence[ObjectivePoint], place: int, problem: Problem) -> list[list[float]]:
    """Costs of every seed of each shape."""
    return [[problem.objectives[place].cost(value) for value in point.readings[place].trials] for point in points]


def _log_values(points: Sequence[ObjectivePoint], place: int, problem: Problem) -> Array:
    """Logarithms of the costs."""
    return np.log([problem.objectives[place].cost(point.values[place]) for point in points])
