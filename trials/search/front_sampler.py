"""An Optuna sampler for fronts of two or three objectives, some of them known without a trial: what a shape costs is computed, not learnt.

    sampler = FrontSampler(space, cheap={1: latency_ms}, feasible=within_budget, seed=0)
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)

Objectives that are not cheap are modelled with uncertainty (`analysis.search.surrogate`) on what the space declares; the proposal is the
new allowed point that is expected to add most to the front's hypervolume (`analysis.search.acquisition`), looked for near the front, all
over the space, and by changing one choice at a time from the best found (`analysis.search.candidates`).

A trial that was stopped early is told to Optuna as pruned, and says by attributes what it would have reached, so that the models learn
from it without its standing on the front:

    trial.set_user_attr(ESTIMATE, [3.1, 14.0])      # values at the full budget
    trial.set_user_attr(DEVIATION, [0.05, 0.0])     # how far off each may be (one standard deviation)
    study.tell(trial, state=TrialState.PRUNED)

A point that was tried several times stands in the study as several complete trials: how far they differ tells the noise, and together
they weigh as much as their number says.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial
from threadpoolctl import ThreadpoolController

from analysis.search.candidates import Grid, Rows, Source, Table, keys
from analysis.search.objective_models import Batch
from analysis.search.propose import AcquisitionOptimizer, NothingAllowedError
from analysis.statistics.arrays import Array
from search_space.errors import SpecError
from trials.search.optuna_axes import Dimensions, Params
from trials.search.told_trials import ToldTrials

REMEMBERED = 50_000
"""Points whose costs are kept between proposals."""


class FrontSampler(BaseSampler):
    """Proposes what adds most to a front of two or three objectives; a pure function of the seed and the study's trials."""

    def __init__(
        self,
        space: Mapping[str, BaseDistribution],
        *,
        cheap: Mapping[int, Callable[[Params], float]] | None = None,
        feasible: Callable[[Params], bool] | None = None,
        candidates: Sequence[Mapping[str, Any]] | None = None,
        sequences: Mapping[str, Sequence[str]] | None = None,
        active: Callable[[Params], Collection[str]] | None = None,
        hints: Callable[[Params], Sequence[float]] | None = None,
        limits: Mapping[int, float] | None = None,
        seed: int = 0,
    ) -> None:
        """`space` is what every trial asks for.

        `cheap` computes objectives, by their index, from parameters; `feasible` says what may be proposed; `candidates` lists all that
        may be; `sequences` names the parameters of each per-layer list (by default those that differ in a final number, such as
        heads_0 to heads_11); `active` names the parameters that have an effect at a point; `hints` computes numbers, the same ones for
        every point, that the objectives may follow more simply than the parameters (a size that is solved for, say); `limits` are values of
        objectives, by their index, beyond which a point adds nothing.
        """
        self._space, self._cheap, self._seed = dict(space), dict(cheap or {}), seed
        self._feasible, self._active, self._hints, self._limits = feasible, active, hints, dict(limits or {})
        if not self._space:
            raise SpecError("a FrontSampler's space must name at least one parameter, found none; add one")
        if not set(self._cheap) <= {0, 1, 2}:
            raise SpecError(f"cheap must be keyed by objective 0, 1 or 2, found {sorted(self._cheap)}; correct it")
        self._dimensions = Dimensions(space, sequences)
        axes = self._dimensions.axes
        source: Source = Grid(axes)
        if candidates is not None:
            if not candidates:
                raise SpecError("candidates must list at least one point, found none; leave it out to search the whole space")
            source = Table(axes, np.unique(self._dimensions.rows(self._dimensions.places(candidates)), axis=0))
        self._proposer = AcquisitionOptimizer(axes, source, self._look)
        self._told = ToldTrials(self._space, self._recall)
        self._row_of: dict[bytes, int] = {}
        self._answers = np.empty((0, 0))
        """What the callables said, by `_row_of`; with room for more, so that one more answer does not copy all."""
        self._signs: tuple[float, ...] = (1.0, 1.0)
        """Sign of each objective of the study, -1 where it is maximised."""
        self._threads = ThreadpoolController()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The declared space."""
        return self._space

    def sample_independent(self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution) -> Any:
        """A random value: only parameters that the declared space lacks come here."""
        return RandomSampler(self._seed + trial.number).sample_independent(study, trial, param_name, param_distribution)

    def sample_relative(self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]) -> Params:
        """The next point."""
        if len(study.directions) not in (2, 3):
            raise SpecError(f"a FrontSampler needs a study of two or three objectives, found {len(study.directions)}")
        if self._cheap and max(self._cheap) >= len(study.directions):
            raise SpecError(
                f"cheap must be keyed by objectives of the study, of which there are {len(study.directions)}, found {sorted(self._cheap)}; "
                "leave the others out"
            )
        self._signs = tuple(-1.0 if direction is StudyDirection.MAXIMIZE else 1.0 for direction in study.directions)
        if self._limits:
            self._proposer.limits = [sign * self._limits.get(place, sign * math.inf) for place, sign in enumerate(self._signs)]
        random = np.random.default_rng([self._seed, trial.number])
        try:
            with self._threads.limit(limits=1):  # more would wait for each other, beside trials that want the processors
                told = self._told.observations(study.get_trials(deepcopy=False), trial.number, self._signs)
                return self._dimensions.params(self._proposer.propose(told, random))
        except NothingAllowedError:
            raise SpecError("feasible accepted none of the points looked at; pass `candidates`, a list of those that may be") from None

    def _look(self, rows: Rows) -> Batch:
        """What is known of rows of levels."""
        places = self._dimensions.places_at(rows)
        return self._batch(rows, places, lambda number: self._dimensions.params(rows[number]))

    def _recall(self, trials: Sequence[FrozenTrial]) -> Batch:
        places = self._dimensions.places([trial.params for trial in trials])
        return self._batch(self._dimensions.rows(places), places, lambda number: trials[number].params)

    def _batch(self, rows: Rows, places: Array, params: Callable[[int], Params]) -> Batch:
        known = self._known(keys(places), params)
        axes, costed = rows.shape[1], rows.shape[1] + len(self._cheap)
        active, allowed = known[:, :axes] > 0, known[:, -1] > 0
        costs = np.full((len(rows), len(self._signs)), math.nan)
        costs[:, list(self._cheap)] = known[:, axes:costed]
        return Batch(np.where(active, rows, 0), places, active, costs * self._signs, known[:, costed:-1], allowed)

    def _known(self, asked: Sequence[bytes], params: Callable[[int], Params]) -> Array:
        """What the callables say of points, each asked once: rows of `_answer`."""
        if not asked:
            return np.empty((0, len(self._space) + len(self._cheap) + 1))
        new = {key: number for number, key in enumerate(asked) if key not in self._row_of}
        if len(self._row_of) + len(new) > REMEMBERED:
            self._row_of.clear()
            new = {key: number for number, key in enumerate(asked)}
        if new:
            answers = np.array([self._answer(params(number)) for number in new.values()], dtype=float)
            known, count = len(self._row_of), len(self._row_of) + len(new)
            if count > len(self._answers):
                room = np.empty((2 * count, answers.shape[1]))
                if known:
                    room[:known] = self._answers[:known]
                self._answers = room
            self._answers[known:count] = answers
            self._row_of |= {key: row for row, key in enumerate(new, start=known)}
        return self._answers[[self._row_of[key] for key in asked]]

    def _answer(self, point: Params) -> list[float]:
        """Whether each axis has an effect, the cheap objectives, the hints, and whether it may be proposed."""
        names = self._space.keys() if self._active is None else self._active(point)
        costs = [float(compute(point)) for compute in self._cheap.values()]
        allowed = all(map(math.isfinite, costs)) and (self._feasible is None or bool(self._feasible(point)))
        return [*(name in names for name in self._space), *costs, *(self._hints(point) if self._hints else ()), allowed]
