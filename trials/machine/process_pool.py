"""Trainings of this machine side by side, each in a process of its own; no Ray."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import Any, TypeVar

from search_space.errors import WorkError

Result = TypeVar("Result")


def side_by_side(
    work: Callable[..., Result], calls: Sequence[tuple[Any, ...]], workers: int, *, lower: str
) -> Iterator[tuple[int, Result]]:
    """What `work`, a function at the top of a module, returns for each call's arguments: the call's place and its result, as they end.

    Raises what `work` raises, and WorkError where a process vanishes, with what to `lower`; calls that have not begun are then left out.
    """
    if not calls:
        return
    with ProcessPoolExecutor(min(workers, len(calls)), get_context("spawn"), _end_when_interrupted) as pool:
        futures = {pool.submit(work, *arguments): place for place, arguments in enumerate(calls)}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BrokenExecutor:
            raise WorkError(
                f"the process of a training vanished; the system's out-of-memory killer is a likely cause, so lower {lower}; "
                "the same command continues"
            ) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _end_when_interrupted() -> None:
    """Ctrl-C reaches the workers too; they end at once instead of finishing their training."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
