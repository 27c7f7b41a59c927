"""A display that notes where a study stood at the end of each trial."""

from __future__ import annotations

from collections.abc import Callable

from analysis.records.record import TrialRecord
from trials.progress.display import Display
from trials.progress.standing import RunStanding


class Noted(Display):
    """Gives every standing at a trial's end to a function."""

    def __init__(self, note: Callable[[RunStanding], None]) -> None:
        self._note = note

    def trial_ended(self, standing: RunStanding, record: TrialRecord) -> None:
        self._note(standing)
