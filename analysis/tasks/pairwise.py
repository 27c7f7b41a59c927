"""Answers compared in pairs: how often ours is preferred, and whether the judge can be believed.

Each pair is judged twice, places swapped, so that a judge who likes what stands first gives half to each. So does any judge of a model
against itself, whatever it likes: that comparison shows noise, and with the share that goes to what stands first whether the place moves
the judge. It says nothing of the judge's taste.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.tasks.task_result import Estimate, share


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge said of one pair, as our share: 1 ours is better, 0 theirs, 0.5 neither; None where the reply was no verdict."""

    first: float | None
    """Where ours stood first."""
    second: float | None
    """Where ours stood second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """How often one side is preferred."""

    pairs: int
    """Pairs with two readable verdicts; others do not count."""
    unread: int
    """Pairs of which a reply was no verdict."""
    preferred: Estimate
    """Share of ours; Wilson's interval of so many pairs, which is wide enough for shares of a half, too."""
    placed_first: Estimate
    """Share of the verdicts that go to the answer which stands first, one half for a judge whom the place does not move; interval of so
    many pairs, since the two verdicts of one are no independent draws."""

    @property
    def is_even(self) -> bool:
        """Whether the interval of what is preferred holds one half."""
        return self.preferred.low <= 0.5 <= self.preferred.high

    @property
    def is_place_even(self) -> bool:
        """Whether the interval of what stands first holds one half."""
        return self.placed_first.low <= 0.5 <= self.placed_first.high


def preference(verdicts: Sequence[Verdict]) -> Preference | None:
    """The preference over pairs; None where no pair has two verdicts."""
    read = [(each.first, each.second) for each in verdicts if each.first is not None and each.second is not None]
    if not read:
        return None
    firsts, seconds = (np.array(values, float) for values in zip(*read, strict=True))
    return Preference(
        pairs=len(read),
        unread=len(verdicts) - len(read),
        preferred=share((firsts + seconds) / 2),
        placed_first=share((firsts + 1 - seconds) / 2),
    )
