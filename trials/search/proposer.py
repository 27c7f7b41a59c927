"""What to try next: Optuna's ask and tell on the points of a search space, as a pure function of study, seed and records.

A proposal is made from nothing but its arguments: a study is rebuilt in memory from the records, a sampler seeded for this proposal
alone is asked once, and its suggestion is brought to the nearest shape of the space that spends the budget and is new. So a proposal
is valid by construction, and a search that is replayed or resumed proposes the same shapes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from analysis.objectives.observed import Observed
from analysis.objectives.problem import STANDARD, Problem
from analysis.records.record import Outcome, TrialRecord
from analysis.records.replicates import averaged
from analysis.search.loss_extrapolation import LossEstimate, loss_estimates
from analysis.statistics.arrays import Array
from search_space import cost
from search_space.architecture import Architecture
from search_space.space import Point, SearchSpace
from trials.search.front_sampler import DEVIATION, ESTIMATE, FrontSampler
from trials.search.optuna_storage import study_of
from trials.trial.known_before import Exact
from trials.trial.task import TrialTask, plain

optuna.logging.set_verbosity(optuna.logging.WARNING)

POPULATION = 10
"""Finished trials that NSGA-II breeds from, and those that it and TPE want before they begin."""
CANDIDATES = 16
"""Random shapes of which the start-up takes the one farthest from what is known (Mitchell's best candidate, 1991)."""
GENERATION = NSGAIISampler._get_generation_key()

HINTED_TOKENS = 256
"""Context at which the work of a forward pass is a hint of what a shape's latency will be."""


@dataclass(frozen=True)
class Choices:
    """What may be proposed, in Optuna's words."""

    distributions: Mapping[str, BaseDistribution]
    points: Callable[[], Sequence[Mapping[str, Any]]]
    """Lists all of them."""
    sizes: Callable[[Mapping[str, Any]], Sequence[float]]
    """Numbers of the shape of a point that its objectives may follow, the work of a forward pass first."""
    seed: int
    """The study's."""
    limits: Mapping[int, float]
    """Costs beyond which a finished training is infeasible, by the objectives' places."""
    exact: Mapping[int, Callable[[Mapping[str, Any]], float]]
    """Costs of the shape of a point in the objectives that are not learnt from the trials, by their places in the study's order."""


def _front(choices: Choices) -> Callable[[int], BaseSampler]:
    """One for all proposals, which it tells apart by their trials: what it keeps between them only saves time."""
    sampler = FrontSampler(
        choices.distributions,
        cheap=choices.exact,
        candidates=choices.points(),
        hints=choices.sizes,
        limits=choices.limits,
        seed=choices.seed,
    )
    return lambda _: sampler


SAMPLERS: dict[str, Callable[[Choices], Callable[[int], BaseSampler]]] = {
    "front": _front,
    "nsga2": lambda _: lambda seed: NSGAIISampler(population_size=POPULATION, seed=seed),
    "tpe": lambda _: lambda seed: TPESampler(n_startup_trials=POPULATION, seed=seed),
    "random": lambda _: lambda seed: RandomSampler(seed=seed),
}
"""By the name in ``search.sampler``: an Optuna sampler for one proposal, from the space and the proposal's own seed."""
SPREAD_FIRST = ("nsga2", "tpe")
"""Those that are asked once `POPULATION` trials are known; the others know how to begin."""


class Proposer:
    """Proposes shapes of one space; holds what follows from the space alone, so that no call depends on an earlier one."""

    def __init__(
        self,
        space: SearchSpace,
        seed: int,
        sampler: str,
        problem: Problem = STANDARD,
        exact: Mapping[str, Exact] | None = None,
        accepts: Callable[[Architecture], bool] | None = None,
    ) -> None:
        """`seed` is the study's; `sampler` one of `SAMPLERS`; only shapes that `accepts` are proposed.

        `exact` computes objectives of the `problem`, by their names, for any shape: proposals then follow what it says, never what was
        measured, so that equal losses lead to equal proposals. It is asked for what the sampler looks at: `random` at none, `front` at the
        whole space, the others at the shapes that were tried.
        """
        wanted = {} if sampler == "random" else dict(exact or {})
        self._problem, self._exact = problem, {problem.names.index(name): values for name, values in wanted.items()}
        self._is_front = sampler == "front"
        self._asked: dict[tuple[int, int], float] = {}
        self._made: dict[int, tuple[TrialRecord, LossEstimate | None, FrozenTrial]] = {}
        self._seed, self._spreads_first = seed, sampler in SPREAD_FIRST
        self._table = space.table()
        self._rows = {shape: row for row, (_, shape) in enumerate(self._table)}
        self._accepted = np.array([accepts is None or accepts(shape) for _, shape in self._table], dtype=bool)
        self._dimensions = space.free
        self._distributions: dict[str, BaseDistribution] = {}
        for dimension in self._dimensions:
            count = len(dimension.choices)
            self._distributions[dimension.name] = (
                IntDistribution(0, count - 1) if dimension.ordered else CategoricalDistribution([str(place) for place in range(count)])
            )
        self._place_of = {d.name: {_key(choice): place for place, choice in enumerate(d.choices)} for d in self._dimensions}
        self._places = np.array([self._places_at(point) for point, _ in self._table], dtype=np.int64).reshape(len(self._table), -1)
        self._ordered = np.array([d.ordered for d in self._dimensions], dtype=bool)
        self._spans = np.array([len(d.choices) - 1 for d in self._dimensions], dtype=float)
        costs = {place: partial(self._cost_at, place) for place in self._exact}
        bounds = [(place, o) for place, o in enumerate(problem.objectives) if o.name in problem.limits and o.known == "training"]
        limits = {place: o.cost(problem.limits[o.name]) for place, o in bounds}
        self._sampler = SAMPLERS[sampler](Choices(self._distributions, self._points, self._sizes, seed, limits, costs))

    def __len__(self) -> int:
        """How many distinct shapes can be proposed in all."""
        return int(self._accepted.sum())

    def propose(self, number: int, records: Iterable[TrialRecord], pending: Sequence[TrialTask]) -> tuple[Point, Architecture] | None:
        """The shape of trial `number`, in sight of these records and of these trials that are not back yet; None where none is left.

        `records` and `pending` may hold references, whose points are None: they are not proposed again, and the sampler is told of
        shapes with points only. `front` is told of every replicate that finished, and so of the noise; the others of a shape once, with
        the mean of its seeds. A stopped trial is told with an estimate of what it would have reached, which `front` heeds.
        """
        records = list(records)
        kept = [r for r in records if r.replicates is None or r.finished] if self._is_front else averaged(records)
        told = sorted(kept, key=lambda record: record.number)
        known = [self._rows[a] for a in [r.architecture for r in told] + [t.architecture for t in pending] if a in self._rows]
        free = self._accepted.copy()
        free[known] = False
        if not free.any():
            return None
        random = np.random.default_rng([self._seed, number])
        told = [record for record in told if record.point is not None]
        if self._spreads_first and sum(self._costs(record) is not None for record in told) < POPULATION:
            row = self._farthest(free, known, random)
        else:
            row = self._nearest(free, self._ask(told, pending, int(random.integers(2**32)), loss_estimates(records)), random)
        return self._table[row]

    def _ask(
        self, told: Sequence[TrialRecord], pending: Sequence[TrialTask], seed: int, estimated: Mapping[int, LossEstimate]
    ) -> list[int]:
        """Optuna's suggestion: a place on each dimension, feasible or not."""
        trials = [self._told(record, estimated.get(record.number)) for record in told]
        running = [task.point for task in pending if task.point is not None and task.replicates is None]
        trials += [self._trial(point, TrialState.RUNNING) for point in running]
        suggested = study_of(trials, self._sampler(seed), len(self._problem.objectives)).ask(self._distributions).params
        return [int(suggested[dimension.name]) for dimension in self._dimensions]

    def _told(self, record: TrialRecord, estimate: LossEstimate | None) -> FrozenTrial:
        """What Optuna is told of a record; made once, since nothing but these two enters it."""
        kept = self._made.get(record.number)
        if kept is None or kept[0] is not record or kept[1] != estimate:
            kept = self._made[record.number] = (record, estimate, self._make(record, estimate))
        return kept[2]

    def _make(self, record: TrialRecord, estimate: LossEstimate | None) -> FrozenTrial:
        assert record.point is not None
        if record.outcome is Outcome.STOPPED:
            return self._trial(record.point, TrialState.PRUNED, said=self._said(record, estimate))
        costs = self._costs(record)
        if costs is None:
            return self._trial(record.point, TrialState.FAIL)
        # One generation that holds everything known: Optuna then breeds from its best POPULATION members (steady-state NSGA-II).
        return self._trial(record.point, TrialState.COMPLETE, costs, {GENERATION: 0}, constraints=self._excesses(record))

    def _excesses(self, record: TrialRecord) -> dict[str, float] | None:
        """By how much the training passes limits that only it tells; `front` is not told of those that it is given as such."""
        found = self._problem.excesses(Observed.of(record)) or {}
        return {name: excess for name, excess in found.items() if not self._is_front or name not in self._problem.names} or None

    def _said(self, record: TrialRecord, estimate: LossEstimate | None) -> dict[str, Any] | None:
        """Attributes of a stopped trial: its loss as estimated, and what is known of it for sure."""
        if estimate is None or self._problem.foreseen is None:
            return None
        values: list[float | None] = [self._cost(record, place) for place in range(len(self._problem.objectives))]
        values[self._problem.foreseen] = estimate.bits_per_byte
        deviations = [0.0] * len(values)
        deviations[self._problem.foreseen] = estimate.deviation
        return None if None in values else {ESTIMATE: values, DEVIATION: deviations}

    def _costs(self, record: TrialRecord) -> list[float] | None:
        """What is minimised; None where the trial cannot stand on a front."""
        costs = [self._cost(record, place) for place in range(len(self._problem.objectives))] if record.finished else []
        return [cost for cost in costs if cost is not None] if costs and None not in costs else None

    def _cost(self, record: TrialRecord, place: int) -> float | None:
        """One of a record's objectives, as proposals follow it."""
        objective = self._problem.objectives[place]
        value = objective.value(Observed.of(record))
        if value is None or place not in self._exact:
            return None if value is None else objective.cost(value)
        return self._exactly(place, self._rows[record.architecture])

    def _exactly(self, place: int, row: int) -> float:
        """The cost of a shape of the table in an objective that is not learnt."""
        if (place, row) not in self._asked:
            rows = range(len(self._table)) if self._is_front else [row]
            found, objective = self._exact[place]([self._table[each][1] for each in rows]), self._problem.objectives[place]
            self._asked |= {(place, each): objective.cost(float(value)) for each, value in zip(rows, found, strict=True)}
        return self._asked[place, row]

    def _cost_at(self, place: int, params: Mapping[str, Any]) -> float:
        return self._exactly(place, self._row_of(params))

    def _trial(
        self,
        point: Mapping[str, Any],
        state: TrialState,
        values: Sequence[float] | None = None,
        attributes: dict[str, int] | None = None,
        said: dict[str, Any] | None = None,
        constraints: dict[str, float] | None = None,
    ) -> FrozenTrial:
        params, space = self._params(self._places_at(point)), self._distributions
        return create_trial(
            state=state,
            values=values,
            params=params,
            distributions=space,
            system_attrs=attributes,
            user_attrs=said,
            constraints=constraints,
        )

    def _params(self, places: Sequence[int]) -> dict[str, int | str]:
        """Places as Optuna has them: numbers only where they are ordered."""
        pairs = zip(self._dimensions, places, strict=True)
        return {dimension.name: place if dimension.ordered else str(place) for dimension, place in pairs}

    def _points(self) -> list[dict[str, int | str]]:
        return [self._params(places) for places in self._places.tolist()]

    @cached_property
    def _row_at(self) -> dict[tuple[int, ...], int]:
        return {tuple(places): row for row, places in enumerate(self._places.tolist())}

    def _row_of(self, params: Mapping[str, Any]) -> int:
        return self._row_at[tuple(int(params[dimension.name]) for dimension in self._dimensions)]

    def _sizes(self, params: Mapping[str, Any]) -> tuple[float, ...]:
        shape = self._table[self._row_of(params)][1]
        return cost.forward_flops(shape, HINTED_TOKENS), shape.num_hidden_layers, shape.hidden_size, shape.intermediate_size

    def _places_at(self, point: Mapping[str, Any]) -> list[int]:
        return [self._place_of[name][_key(point[name])] for name in self._place_of]

    def _distances(self, places: npt.ArrayLike) -> Array:
        """From every shape to these places: the share of the range on ordered dimensions, 0 or 1 on the others, summed."""
        steps = np.abs(self._places - np.asarray(places))
        distances: Array = np.where(self._ordered, steps / self._spans, steps != 0).sum(axis=1)
        return distances

    def _nearest(self, free: npt.NDArray[np.bool_], places: Sequence[int], random: np.random.Generator) -> int:
        distances = np.where(free, self._distances(places), math.inf)
        return int(random.choice(np.flatnonzero(distances == distances.min())))

    def _farthest(self, free: npt.NDArray[np.bool_], known: Sequence[int], random: np.random.Generator) -> int:
        rows = np.flatnonzero(free)
        candidates = random.choice(rows, size=min(CANDIDATES, len(rows)), replace=False)
        gaps = np.full(len(self._table), math.inf)
        for row in known:
            gaps = np.minimum(gaps, self._distances(self._places[row]))
        return int(candidates[np.argmax(gaps[candidates])])


def _key(choice: object) -> str:
    """Equal for a choice and for what a record made of it."""
    return json.dumps(plain(choice))
