"""What the models of `analysis.search` are told of a study's trials: each that is over is read once, however many proposals follow."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from operator import is_

import numpy as np
import numpy.typing as npt
from optuna.trial import FrozenTrial, TrialState

from analysis.search.objective_models import Batch, Observations
from analysis.statistics.arrays import Array

ESTIMATE, DEVIATION = "estimate", "deviation"
"""User attributes of a pruned trial: the values that it is expected to have had at its end, and their standard deviations."""


class ToldTrials:
    """Reads the trials of one study after the other; what it keeps between calls only saves time."""

    def __init__(self, names: Iterable[str], recall: Callable[[Sequence[FrozenTrial]], Batch]) -> None:
        """Trials without a parameter of one of these `names` are passed over; `recall` makes points of the others."""
        self._names, self._recall = frozenset(names), recall
        self._over: list[FrozenTrial] = []
        """The trials at the study's beginning that are over."""
        self._kept: _Groups | None = None
        """Groups of the trials that are over; None before the first are read."""

    def observations(self, trials: Sequence[FrozenTrial], asked: int, signs: Sequence[float]) -> Observations:
        """What these trials say, in the order of their numbers, but for the one with the number `asked`, which is being proposed.

        `signs` has -1 for each objective that is maximised, and 1 for the others. A pruned trial may be given estimates after its end.
        """
        if len(self._over) > len(trials) or not all(map(is_, self._over, trials)):
            self._over, self._kept = [], None
        known = len(self._over)
        ended = next((place for place in range(known, len(trials)) if not trials[place].state.is_finished()), len(trials))
        self._over += trials[known:ended]
        self._kept = self._joined(trials[known:ended], len(signs))
        groups = self._joined([trial for trial in trials[ended:] if trial.number != asked], len(signs))
        estimated, estimates, deviations = _estimates(groups.pruned_trials, len(signs))
        return Observations(
            finished=groups.finished,
            values=groups.values * signs,
            stopped=groups.pruned[estimated],
            estimates=estimates * signs,
            deviations=deviations,
            pending=groups.pending,
            failed=groups.failed,
            others=groups.pruned[~estimated],
        )

    def _joined(self, trials: Sequence[FrozenTrial], objectives: int) -> _Groups:
        """The groups that are kept, with these trials after them."""
        if self._kept is not None and not trials:
            return self._kept
        new = self._read(trials, objectives)
        return new if self._kept is None else self._kept.joined(new)

    def _read(self, trials: Sequence[FrozenTrial], objectives: int) -> _Groups:
        groups: dict[TrialState, list[FrozenTrial]] = {state: [] for state in TrialState}
        for trial in trials:
            if self._names <= trial.params.keys():
                broken = trial.state is TrialState.COMPLETE and not all(map(math.isfinite, trial.values))
                groups[TrialState.FAIL if broken else trial.state].append(trial)
        batches = {state: self._recall(those) for state, those in groups.items()}
        finished = groups[TrialState.COMPLETE]
        kept = np.array([all(excess <= 0 for excess in trial.constraints.values()) for trial in finished], dtype=bool)
        complete = batches[TrialState.COMPLETE]
        return _Groups(
            finished=replace(complete, allowed=complete.allowed & kept),
            values=_table([trial.values for trial in finished], objectives),
            pruned=batches[TrialState.PRUNED],
            pruned_trials=groups[TrialState.PRUNED],
            failed=batches[TrialState.FAIL],
            pending=batches[TrialState.RUNNING],
        )


@dataclass(frozen=True, slots=True)
class _Groups:
    """Trials by how they ended, each group in the order of their numbers."""

    finished: Batch
    """Points of complete trials; what passes a constraint is not allowed."""
    values: Array
    """Values of the finished trials, as the study has them; shape [points, objectives]."""
    pruned: Batch
    """Points of trials that were stopped."""
    pruned_trials: list[FrozenTrial]
    """Trials that were stopped, whose attributes may still change."""
    failed: Batch
    """Points of trials that failed, or whose values are not finite."""
    pending: Batch
    """Points of trials that run."""

    def joined(self, later: _Groups) -> _Groups:
        """Groups of both, with the later trials at the end of each."""
        return _Groups(
            finished=self.finished.joined(later.finished),
            values=np.concatenate([self.values, later.values]),
            pruned=self.pruned.joined(later.pruned),
            pruned_trials=[*self.pruned_trials, *later.pruned_trials],
            failed=self.failed.joined(later.failed),
            pending=self.pending.joined(later.pending),
        )


def _table(rows: Sequence[Sequence[float]], objectives: int) -> Array:
    """Shape [trials, objectives]."""
    return np.array(rows, dtype=float).reshape(-1, objectives)


def _estimates(trials: Sequence[FrozenTrial], objectives: int) -> tuple[npt.NDArray[np.bool_], Array, Array]:
    """Which trials have an estimate and its deviation for every objective, [trials], and both of those, [estimated, objectives]."""
    said = [(trial.user_attrs.get(ESTIMATE, ()), trial.user_attrs.get(DEVIATION, ())) for trial in trials]
    whole = np.array([len(estimate) == len(deviation) == objectives for estimate, deviation in said], dtype=bool)
    rows = [[*estimate, *deviation] for (estimate, deviation), is_whole in zip(said, whole, strict=True) if is_whole]
    numbers = _table(rows, 2 * objectives)
    finite = np.isfinite(numbers).all(axis=1)
    whole[whole] = finite
    return whole, numbers[finite, :objectives], numbers[finite, objectives:]
