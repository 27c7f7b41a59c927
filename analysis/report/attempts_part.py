"""What is said of trials that were run again because their workers were lost."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.records.attempt import ATTEMPTS_FILE, Attempt
from analysis.text import words


def again_sentence(attempts: Sequence[Attempt]) -> str | None:
    """How many trials lost a worker or a node, and how often; None where none did."""
    if not attempts:
        return None
    trials = len({attempt.number for attempt in attempts})
    return (
        f"{words.plural(trials, 'trial')} lost {'its' if trials == 1 else 'their'} worker or node, {words.plural(len(attempts), 'time')} "
        f"in all, and {'was' if trials == 1 else 'were'} run again; {ATTEMPTS_FILE} has each cause"
    )
