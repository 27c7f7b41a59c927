"""Ray Tune's stopper for a front: at a look a trial goes on if it is likely to matter (`analysis.search.early_stopping`)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ray.tune import Stopper

from analysis.records.record import Outcome, TrialRecord
from analysis.search.early_stopping import LearningCurve, decide_stop, learning_curve
from trials.driver.agenda import Agenda


class FrontStopper(Stopper):  # type: ignore[misc]
    """Stops trials without hope, and says why in the record that they then have.

    What a trial is judged by is what the agenda proposed it by: the records up to its number less the agenda's lag. So neither the
    order in which trials end nor an interruption changes who is stopped.
    """

    def __init__(self, agenda: Agenda) -> None:
        """`agenda` has the records."""
        self._agenda = agenda
        self._curves: list[LearningCurve] = []
        """Curves of the agenda's first records, each read once."""

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Whether the trial that reports stops here; the record in its result then has the reason."""
        record = result["record"]
        if record.outcome is not Outcome.STOPPED or (reason := self.why_stopped(record)) is None:
            return False
        result["record"] = replace(record, reason=reason)
        return True

    def why_stopped(self, record: TrialRecord) -> str | None:
        """Why a trial with that record at a look stops there; None where it goes on."""
        if record.training is None:
            return None
        problem = self._agenda.problem
        known = self._agenda.known_to(record.number)
        self._curves += [learning_curve(other, problem) for other in known[len(self._curves) :]]
        decision = decide_stop(learning_curve(record, problem), self._curves[: len(known)], record.training.tokens, problem)
        return None if decision.goes_on else decision.reason

    def stop_all(self) -> bool:
        """The searcher says when the study ends."""
        return False

    def __getstate__(self) -> dict[str, Any]:
        """The records are the only state."""
        return {}
