"""What proposals are told of a study's records: each is read once, however many proposals follow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import is_

import numpy as np
from optuna.trial import FrozenTrial

from analysis.records.record import Outcome, TrialRecord
from analysis.records.replicates import averaged
from analysis.search.loss_extrapolation import LossEstimate, LossExtrapolation
from trials.search.optuna_storage import KnownTrials
from trials.search.shape_table import ShapeTable

KnownCosts = Sequence[float | None]
"""What is known of a shape's objectives before its training ends: one cost for each, None where it is not known."""


class History:
    """Records in the order of their numbers, as trials of Optuna; more may come, none goes."""

    def __init__(
        self,
        table: ShapeTable,
        tell: Callable[[TrialRecord], FrozenTrial],
        costs: Callable[[TrialRecord], KnownCosts],
        every_seed: bool,
        objectives: int,
    ) -> None:
        """`tell` makes a trial of a record with a point, and `costs` says what is known of one that was stopped.

        Where not `every_seed` a shape is told once, with the mean of its seeds.
        """
        self._table, self._tell, self._costs, self._every_seed = table, tell, costs, every_seed
        self._records: list[TrialRecord] = []
        self._trials: dict[int, FrozenTrial] = {}
        self._shapes: dict[int, list[TrialRecord]] = {}
        self._stopped: dict[int, tuple[FrozenTrial, KnownCosts]] = {}
        self._losses = LossExtrapolation()
        self.taken = np.zeros(len(table), dtype=bool)
        """[shapes] Which stand in a record."""
        self.storage = KnownTrials(objectives)

    def begins(self, records: Sequence[TrialRecord]) -> bool:
        """Whether these very records come first there."""
        known = self._records
        return len(known) <= len(records) and all(map(is_, known, records))

    def extend(self, records: Sequence[TrialRecord]) -> None:
        """Read those that are new in these, which the known ones begin."""
        for record in records[len(self._records) :]:
            self._records.append(record)
            self._losses.add(record)
            self.taken[self._table.rows([record.architecture])] = True
            for told in self._told_anew(record):
                if told.point is not None:
                    self._trials[told.number] = self._tell(told)
                    if told.outcome is Outcome.STOPPED:
                        self._stopped[told.number] = self._trials[told.number], self._costs(told)

    @property
    def trials(self) -> list[FrozenTrial]:
        """Trials of the records with points, in their order."""
        return list(self._trials.values())

    def estimates(self) -> list[tuple[FrozenTrial, KnownCosts, LossEstimate]]:
        """What the trials that were stopped would have reached, where that can be said, beside what is known of them."""
        found = self._losses.estimates()
        return [(trial, costs, found[number]) for number, (trial, costs) in self._stopped.items() if number in found]

    def _told_anew(self, record: TrialRecord) -> list[TrialRecord]:
        if self._every_seed:
            return [record] if record.replicates is None or record.finished else []
        shape = self._shapes.setdefault(record.number if record.replicates is None else record.replicates, [])
        shape.append(record)
        return averaged(shape)
