"""How often a trial was lost with its worker, where, and when that is enough; no Ray."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from analysis.records.attempt import Attempt
from trials.study.directory import checkpoint_file

MOST_ATTEMPTS = 3
"""A trial that was lost so often in one run, and left no newer state in between, is given up: it may itself be what ends its workers."""


class Attempts:
    """The attempts at the trials of one run that were lost."""

    def __init__(self, directory: Path, earlier: Iterable[Attempt] = ()) -> None:
        """`earlier` are those of former runs, which are counted and held against no trial."""
        self._directory = directory
        self._made = Counter(attempt.number for attempt in earlier)
        self._in_vain: defaultdict[int, list[Attempt]] = defaultdict(list)
        """The attempts at each trial since its last progress."""
        self._nodes: defaultdict[int, set[str]] = defaultdict(set)

    def lost(self, attempt: Attempt, node: str | None) -> Attempt:
        """One more attempt was lost, on that node; returns it with its number and whether it got any further."""
        number, began = attempt.number, datetime.fromisoformat(attempt.started_at).timestamp()
        self._made[number] += 1
        noted = replace(attempt, attempt=self._made[number], progressed=self._left_state_since(number, began))
        if noted.progressed:
            self._in_vain[number].clear()
        else:
            self._in_vain[number].append(noted)
        if node is not None:
            self._nodes[number].add(node)
        return noted

    def nodes(self, number: int) -> Collection[str]:
        """Ray's ids of the nodes on which the trial was lost in this run."""
        return self._nodes.get(number, ())

    def are_over(self, number: int) -> bool:
        """Whether the trial is tried no more in this run."""
        return len(self._in_vain[number]) >= MOST_ATTEMPTS

    def reason(self, number: int) -> str:
        """Why it is not."""
        causes = "; ".join(str(attempt) for attempt in self._in_vain[number])
        return f"lost {MOST_ATTEMPTS} times without getting any further ({causes}); the same command tries it again"

    def _left_state_since(self, number: int, began: float) -> bool:
        try:
            return checkpoint_file(self._directory, number).stat().st_mtime > began
        except OSError:
            return False
