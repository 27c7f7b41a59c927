"""The agenda as Ray Tune wants it: a searcher that hands out tasks."""

from __future__ import annotations

from typing import Any

from ray.tune.search import Searcher

from trials.agenda import Agenda, Answer
from trials.task import TrialTask


class AgendaSearcher(Searcher):
    """Hands out the agenda's tasks to at most so many workers.

    Ray's own `OptunaSearch` is not used because it leaves a trial that reports NaN running for ever, cannot pickle a space that is a
    closure, and tells trials that were stopped early as complete (Ray 2.60). Nothing is told here: `runner.Scribe` writes the records
    and gives them to the agenda.
    """

    def __init__(self, agenda: Agenda, workers: int) -> None:
        super().__init__()
        self._agenda, self._workers = agenda, workers

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next task as a trial's config; None for not yet."""
        if self._agenda.in_flight >= self._workers and not self._agenda.hopeless:
            return None
        task = self._agenda.next()
        if isinstance(task, TrialTask):
            return {"task": task}
        return None if task is Answer.WAIT else Searcher.FINISHED

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tune insists on this."""

    def save(self, checkpoint_path: str) -> None:
        """The records are the only state."""

    def restore(self, checkpoint_path: str) -> None:
        """The records are the only state."""
