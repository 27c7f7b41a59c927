"""What a person sees of a running study where nobody draws: plain lines, one a trial, and one a minute at least."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from analysis.text import words
from trials.progress.standing import WAITING, RunningTrial, RunStanding, seconds_of, shown_reason

if TYPE_CHECKING:
    from analysis.records.attempt import Attempt
    from analysis.records.record import TrialRecord

QUIET_SECONDS = 60.0
"""The longest that nothing is said."""
CHECK, CHECK_SECONDS = "check", 1.0
"""The first stage is over in so long, or is said: a study that is refused has its one sentence and nothing else."""


class Display:
    """Shows nothing; others show what they like of this."""

    def stage_began(self, standing: RunStanding) -> None:
        """The driver begins with something else."""

    def trial_ended(self, standing: RunStanding, record: TrialRecord) -> None:
        """A trial has its record."""

    def trial_lost(self, standing: RunStanding, shape: str, attempt: Attempt) -> None:
        """A trial of this shape was lost with its worker, and is run again."""

    def trial_unmeasured(self, standing: RunStanding, record: TrialRecord) -> None:
        """A trial is trained, and still to be measured."""

    def tick(self, standing: RunStanding) -> None:
        """Time has passed: a quarter of a second, or more on a busy machine."""

    def close(self, standing: RunStanding) -> None:
        """Nothing more comes."""


class Lines(Display):
    """Plain lines for a pipe, a file, a job's log."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.time) -> None:
        """`say` prints a line."""
        self._print, self._clock = say, clock
        self._said_at = clock()
        self._owed: RunStanding | None = None

    def stage_began(self, standing: RunStanding) -> None:
        """One line a stage, as it begins."""
        self._owed = standing
        if standing.stage != CHECK:
            self._say_owed()

    def trial_ended(self, standing: RunStanding, record: TrialRecord) -> None:
        """One line a trial: what it is, what became of it, where the study stands."""
        self._say_owed()
        left = "" if standing.left is None else f", {standing.left}"
        self._say(standing, f"{trial_text(record, standing)}; {standing.counts}{left}")

    def trial_lost(self, standing: RunStanding, shape: str, attempt: Attempt) -> None:
        """One line on what was lost, and why."""
        self._say_owed()
        self._say(standing, f"#{attempt.number} {shape} is run again: {shown_reason(str(attempt))}")

    def trial_unmeasured(self, standing: RunStanding, record: TrialRecord) -> None:
        """One line on what waits to be measured."""
        self._say_owed()
        self._say(standing, f"#{record.number} {record.architecture.label} is trained, and to be measured once the latency device is there")

    def tick(self, standing: RunStanding) -> None:
        """What is waited for, where nothing was said for a minute."""
        if self._owed is not None and self._clock() - seconds_of(standing.stage_since) >= CHECK_SECONDS:
            self._say_owed()
        if self._clock() - self._said_at >= QUIET_SECONDS:
            running = "; ".join(f"#{trial.number} {doing_text(trial)}" for trial in standing.running)
            self._say(standing, f"{standing.stage}: waits for {standing.waits_for}{f' ({running})' if running else ''}")

    def close(self, standing: RunStanding) -> None:
        """A check that was refused at once has said so itself."""
        self._owed = None

    def _say_owed(self) -> None:
        if self._owed is not None:
            owed, self._owed = self._owed, None
            self._say(owed, f"{owed.stage}: waits for {owed.waits_for}")

    def _say(self, standing: RunStanding, text: str) -> None:
        self._said_at = self._clock()
        self._print(f"{words.duration(max(0.0, self._said_at - seconds_of(standing.begun_at))):>11}  {text}")


def is_drawable(stream: TextIO) -> bool:
    """Whether lines can be drawn over themselves there."""
    return stream.isatty() and os.environ.get("TERM", "") not in ("", "dumb", "unknown")


def trial_text(record: TrialRecord, standing: RunStanding) -> str:
    """`#6 4x64 2/1x32 f160 finished: 12.3 ms, 2.071 bits per byte`, or why it did not."""
    said = f"#{record.number} {record.architecture.label} {words.OUTCOMES[record.outcome]}"
    if record.failed or not record.finished:
        reason = next((each.reason for each in standing.failures if each.number == record.number), record.reason)
        return f"{said}: {reason}" if reason else said
    from analysis.objectives.registry import find_objective

    values = next((member.values for member in standing.front if member.number == record.number), {})
    found = ", ".join(find_objective(name).said(value) for name, value in values.items())
    return f"{said}, on the front: {found}" if found else said


def doing_text(trial: RunningTrial) -> str:
    """`training, 31% of 170k tokens`, or what else a running trial is at."""
    if trial.doing == "latency":
        return "latency"
    if trial.doing == WAITING:
        return "waits for the latency device"
    if trial.tokens is None:
        return trial.doing or "running"
    if not trial.planned_tokens:
        return f"training, {words.short(trial.tokens)} tokens"
    return f"training, {trial.tokens / trial.planned_tokens:.0%} of {words.short(trial.planned_tokens)} tokens"
