"""Where a run's time goes: before its first trial begins, told in one line, and stage by stage to its report."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

WORTH_NAMING_SECONDS = 0.05
"""A shorter part is left out of the line."""


LATER = ("calibration", "search", "finals", "retraining", "tracking", "report")
"""Parts that are stages of their own; all others are the start-up."""
JUDGED, MEASURED = "final quality", "final latency"
"""Names of what `Stages.clock` is told of each final."""


class Stages:
    """The parts of a run one after the other, which add up to the whole, and what goes on beside its start-up."""

    def __init__(self, say: Callable[[str], None] | None = None) -> None:
        """The time runs from now on; `say` is given the line once the first trial begins."""
        self._say, self._begun = say, time.monotonic()
        self._last = self._begun
        self._parts: dict[str, float] = {}
        self._beside: dict[str, float] = {}
        self._is_ready = False
        self.single: dict[str, list[float]] = {}
        """Seconds of each piece of work that `clock` was told of, by its name, in their order."""

    @contextmanager
    def clock(self, name: str) -> Iterator[None]:
        """What runs inside is one piece of the work of that name."""
        begun = time.monotonic()
        yield
        self.single.setdefault(name, []).append(time.monotonic() - begun)

    def end(self, name: str) -> None:
        """What went on since the part before it was this one."""
        now = time.monotonic()
        self._parts[name], self._last = self._parts.get(name, 0.0) + now - self._last, now

    @contextmanager
    def beside(self, name: str) -> Iterator[None]:
        """What runs inside goes on while the parts do, in a thread of its own."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self._beside[name] = self._beside.get(name, 0.0) + time.monotonic() - begun

    @contextmanager
    def threads(self) -> Iterator[Callable[..., Future[Any]]]:
        """Yields what begins work beside the parts: `begin(name, work, *arguments)`; at the end nobody waits for what is not done."""
        with_name, pool = self.beside, ThreadPoolExecutor(2, thread_name_prefix="start-up")

        def begin(name: str, work: Callable[..., Any], *arguments: object) -> Future[Any]:
            def timed() -> Any:
                with with_name(name):
                    return work(*arguments)

            return pool.submit(timed)

        try:
            yield begin
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def ready(self) -> None:
        """The first trial begins, for which the last part was the workers; told once."""
        if self._is_ready:
            return
        self._is_ready = True
        self.end("workers")
        if self._say is None:
            return
        beside = _listed(self._beside)
        line = f"ready after {self._last - self._begun:.1f} s: {_listed(self._parts)}"
        self._say(f"{line}; beside them: {beside}" if beside else line)

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds of every stage that has ended, by its name in `analysis.records.stages`."""
        found = {name: self._parts[name] for name in LATER if name in self._parts}
        return {"start_up": sum(spent for name, spent in self._parts.items() if name not in LATER), **found}


def _listed(seconds: dict[str, float]) -> str:
    return ", ".join(f"{name} {spent:.1f}" for name, spent in list(seconds.items()) if spent >= WORTH_NAMING_SECONDS)
