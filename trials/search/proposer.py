"""What to try next: Optuna's ask and tell on the points of a search space, as a pure function of study, seed and records.

A proposal follows from nothing but its arguments: a study in memory holds the records, a sampler seeded for this proposal alone is asked
once, and its suggestion is brought to the nearest shape of the space that spends the budget and is new. So a proposal is valid by
construction, and a search that is replayed or resumed proposes the same shapes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import islice
from operator import attrgetter
from typing import Any

import numpy as np
from optuna.trial import FrozenTrial, TrialState, create_trial

from analysis.objectives.observed import Observed
from analysis.objectives.problem import STANDARD, Problem
from analysis.records.record import Outcome, TrialRecord
from analysis.search.loss_extrapolation import LossEstimate
from search_space.architecture import Architecture
from search_space.errors import WorkError
from search_space.space import Point, SearchSpace
from trials.search.history import History, KnownCosts
from trials.search.samplers import EVERY_SEED, POPULATION, SAMPLERS, SPREAD_FIRST, Choices
from trials.search.shape_table import ShapeTable
from trials.search.told_trials import DEVIATION, ESTIMATE
from trials.search.user_sampler import said_of, suggested, user_sampler
from trials.trial.known_before import Exact
from trials.trial.task import TrialTask

START_CANDIDATES = 16
"""Random shapes of which the start-up takes the one farthest from what is known (Mitchell's best candidate, 1991)."""


class Proposer:
    """Proposes shapes of one space; what it keeps between calls only saves time, so that no call depends on an earlier one."""

    def __init__(
        self,
        space: SearchSpace,
        seed: int,
        sampler: str,
        problem: Problem = STANDARD,
        exact: Mapping[str, Exact] | None = None,
        accepts: Callable[[Architecture], bool] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """`seed` is the study's; `sampler` one of `SAMPLERS` or MODULE:CLASS with its `options`; only shapes that `accepts` are proposed.

        `exact` computes objectives of the `problem`, by their names, for any shape: proposals then follow what it says, never what was
        measured, so that equal losses lead to equal proposals. It is asked for what the sampler looks at: `random` at none, `front` at the
        whole space, the others at the shapes that were tried.
        """
        wanted = {} if sampler == "random" else dict(exact or {})
        self._problem, self._exact = problem, {problem.names.index(name): values for name, values in wanted.items()}
        self._asked: dict[tuple[int, int], float] = {}
        self._is_front, self._seed = sampler == "front", seed
        self._spreads_first, self._every_seed = sampler in SPREAD_FIRST, sampler in EVERY_SEED
        self._table = table = ShapeTable(space, accepts)
        costs = {place: partial(self._cost_at, place) for place in self._exact}
        bounds = [(place, o) for place, o in enumerate(problem.objectives) if o.name in problem.limits and o.known == "training"]
        limits = {place: o.cost(problem.limits[o.name]) for place, o in bounds}
        choices = Choices(table.distributions, table.every_params, table.sizes, seed, limits, costs, bool(problem.limits))
        self._name, self._sampler = sampler, SAMPLERS[sampler](choices) if sampler in SAMPLERS else user_sampler(sampler, options or {})
        self._history = self._empty()

    def __len__(self) -> int:
        """How many distinct shapes can be proposed in all."""
        return int(self._table.accepted.sum())

    def propose(self, number: int, records: Iterable[TrialRecord], pending: Sequence[TrialTask]) -> tuple[Point, Architecture] | None:
        """The shape of trial `number`, in sight of these records and of these trials that are not back yet; None where none is left.

        `records` and `pending` may hold references, whose points are None: they are not proposed again, and the sampler is told of
        shapes with points only. `front` is told of every replicate that finished, and so of the noise; the others of a shape once, with
        the mean of its seeds. A stopped trial is told with an estimate of what it would have reached, which `front` heeds.
        """
        ordered = sorted(records, key=attrgetter("number"))
        if not self._history.begins(ordered):
            self._history = self._empty()
        history, table = self._history, self._table
        history.extend(ordered)
        free = table.accepted & ~history.taken
        waiting = table.rows(task.architecture for task in pending)
        free[waiting] = False
        if not free.any():
            return None
        random, trials = np.random.default_rng([self._seed, number]), history.trials
        if self._spreads_first and not _are_finished(trials, POPULATION):
            return table[table.farthest(free, [*np.flatnonzero(history.taken), *waiting], START_CANDIDATES, random)]
        running = [task.point for task in pending if task.point is not None and task.replicates is None]
        suggested = self._ask(trials, running, int(random.integers(2**32)))
        return table[table.nearest(free, table.places(suggested), random)]

    def _ask(self, trials: Sequence[FrozenTrial], running: Sequence[Mapping[str, Any]], seed: int) -> Mapping[str, Any]:
        """Optuna's suggestion."""
        for trial, costs, estimate in self._history.estimates():
            self._estimate(trial, costs, estimate)
        known = [*trials, *(self._trial(point, TrialState.RUNNING) for point in running)]
        try:
            return suggested(self._sampler(seed), self._history.storage, known, self._table.distributions)
        except Exception as error:
            if self._name in SAMPLERS:
                raise
            raise WorkError(
                f"search.sampler: {self._name} raised {said_of(error)} when it was asked for a shape; mend it, and run again"
            ) from None

    def _empty(self) -> History:
        return History(self._table, self._told, self._known_costs, self._every_seed, len(self._problem.objectives))

    def _told(self, record: TrialRecord) -> FrozenTrial:
        """What Optuna is told of a record; of a stopped one an estimate is added, see `_ask`."""
        assert record.point is not None
        if record.outcome is Outcome.STOPPED:
            return self._trial(record.point, TrialState.PRUNED)
        costs = self._costs(record)
        if costs is None:
            return self._trial(record.point, TrialState.FAIL)
        return self._trial(record.point, TrialState.COMPLETE, costs, self._excesses(record))

    def _excesses(self, record: TrialRecord) -> dict[str, float] | None:
        """How far the training passes limits that only it tells; `front` is not told of those that it is given as such."""
        found = self._problem.excesses(Observed.of(record)) or {}
        return {name: excess for name, excess in found.items() if not self._is_front or name not in self._problem.names} or None

    def _estimate(self, trial: FrozenTrial, costs: KnownCosts, estimate: LossEstimate) -> None:
        """Give a stopped trial its attributes: its loss as estimated, and what is known of it for sure, where that is all of the rest."""
        place = self._problem.forecast_place
        if place is not None and None not in (*costs[:place], *costs[place + 1 :]):
            trial.set_user_attr(ESTIMATE, [*costs[:place], estimate.bits_per_byte, *costs[place + 1 :]])
            trial.set_user_attr(DEVIATION, [*[0.0] * place, estimate.deviation, *[0.0] * (len(costs) - place - 1)])

    def _known_costs(self, record: TrialRecord) -> KnownCosts:
        """What is minimised, as far as it is known."""
        return [self._cost(record, place) for place in range(len(self._problem.objectives))]

    def _costs(self, record: TrialRecord) -> list[float] | None:
        """What is minimised; None where the trial cannot stand on a front."""
        costs = self._known_costs(record) if record.finished else []
        return [cost for cost in costs if cost is not None] if costs and None not in costs else None

    def _cost(self, record: TrialRecord, place: int) -> float | None:
        """One of a record's objectives, as proposals follow it."""
        objective = self._problem.objectives[place]
        value = objective.value(Observed.of(record))
        if value is None or place not in self._exact:
            return None if value is None else objective.cost(value)
        (row,) = self._table.rows([record.architecture])
        return self._exactly(place, row)

    def _exactly(self, place: int, row: int) -> float:
        """The cost of a shape of the table in an objective that is not learnt."""
        if (place, row) not in self._asked:
            rows = range(len(self._table)) if self._is_front else [row]
            found, objective = self._exact[place]([self._table[each][1] for each in rows]), self._problem.objectives[place]
            self._asked |= {(place, each): objective.cost(float(value)) for each, value in zip(rows, found, strict=True)}
        return self._asked[place, row]

    def _cost_at(self, place: int, params: Mapping[str, Any]) -> float:
        return self._exactly(place, self._table.row_of(params))

    def _trial(
        self, point: Mapping[str, Any], state: TrialState, costs: Sequence[float] | None = None, excesses: dict[str, float] | None = None
    ) -> FrozenTrial:
        params, space = self._table.params(point), self._table.distributions
        return create_trial(state=state, values=costs, params=params, distributions=space, constraints=excesses)


def _are_finished(trials: Iterable[FrozenTrial], count: int) -> bool:
    """Whether so many are."""
    return len(list(islice((trial for trial in trials if trial.state is TrialState.COMPLETE), count))) == count
