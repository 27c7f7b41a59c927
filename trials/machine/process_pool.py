"""Trainings of this machine side by side, each in a process of its own; no Ray."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, as_completed
from multiprocessing import active_children, get_context
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
                f"the process of a training ended without a word of why; the same command continues, and where the kernel's log says that "
                f"memory ran out, lower {lower}"
            ) from None
        except (KeyboardInterrupt, GeneratorExit):
            for process in active_children():  # else they would finish their trainings first
                process.kill()
            raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _end_when_interrupted() -> None:
    """Ctrl-C of a terminal reaches the workers too; they end at once and without a word."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    logging.lastResort = logging.NullHandler()
