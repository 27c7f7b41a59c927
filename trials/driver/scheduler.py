"""Ray Tune's scheduler for a front: at a look a trial goes on if it is likely to matter (`analysis.search.early_stopping`)."""

from __future__ import annotations

from typing import Any

from ray.tune.schedulers import FIFOScheduler

from analysis.records.record import Outcome
from trials.driver.agenda import Agenda


class FrontScheduler(FIFOScheduler):  # type: ignore[misc]
    """Starts trials in the agenda's order, and stops those without hope.

    What a trial is judged by is what the agenda proposed it by: the records up to its number less the agenda's lag. So neither the
    order in which trials end nor an interruption changes who is stopped.
    """

    def __init__(self, agenda: Agenda) -> None:
        """`agenda` has the records; it is told who stopped, and why."""
        super().__init__()
        self._agenda = agenda

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Tune's word for the trial that reports: STOP or CONTINUE."""
        record = result["record"]
        if record.outcome is not Outcome.STOPPED or record.training is None:
            return self.CONTINUE  # type: ignore[no-any-return]
        from analysis.search.early_stopping import decide_stop, learning_curve  # SciPy's distributions: no study waits for them to start

        problem = self._agenda.problem
        others = [learning_curve(other, problem) for other in self._agenda.known_to(record.number)]
        decision = decide_stop(learning_curve(record, problem), others, record.training.tokens, problem)
        if decision.goes_on:
            return self.CONTINUE  # type: ignore[no-any-return]
        self._agenda.stopped[record.number] = decision.reason
        return self.STOP  # type: ignore[no-any-return]
