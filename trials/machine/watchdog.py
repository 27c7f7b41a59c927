"""The end of a trial that hangs where Python cannot end it."""

from __future__ import annotations

import faulthandler
import time
from collections.abc import Iterator
from contextlib import contextmanager

GRACE_SECONDS = 5.0
GRACE_SHARE = 0.5
"""A trial that is this much past its deadline, in all, hangs in native code: at a step it would have ended itself."""


def longest_seconds(deadline_seconds: float) -> float:
    """Seconds after which a trial with such a deadline is ended, wherever it hangs."""
    return deadline_seconds * (1 + GRACE_SHARE) + GRACE_SECONDS


class Watchdog:
    """Ends this process, with its threads' stacks on stderr, where a trial hangs far beyond its deadline."""

    def __init__(self) -> None:
        """A watchdog that sleeps until `watching`."""
        self._left_seconds = 0.0
        self._since: float | None = None
        """When it began to watch; None while it sleeps."""
        self.held_seconds = 0.0
        """How much of the trial went by inside `held_up`."""

    def begin(self, deadline_seconds: float) -> None:
        """A trial with such a deadline comes next."""
        self._left_seconds, self.held_seconds = longest_seconds(deadline_seconds), 0.0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """What runs inside takes of the trial's time."""
        self._watch()
        try:
            yield
        finally:
            self._sleep()

    @contextmanager
    def held_up(self) -> Iterator[None]:
        """What goes by in here is others' time: however much they measure, no trial counts as hung for it, watched or not."""
        was_watching = self._since is not None
        self._sleep()
        since = time.monotonic()
        try:
            yield
        finally:
            self.held_seconds += time.monotonic() - since
            if was_watching:
                self._watch()

    def _watch(self) -> None:
        self._since = time.monotonic()
        faulthandler.dump_traceback_later(max(0.001, self._left_seconds), exit=True, file=2)

    def _sleep(self) -> None:
        faulthandler.cancel_dump_traceback_later()
        if self._since is not None:
            self._left_seconds -= time.monotonic() - self._since
            self._since = None
