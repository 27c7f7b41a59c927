"""A trial's part in the machine's quiet."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext

from trials.machine.quiet_lock import QuietLock
from trials.trial.task import Start


class Turn:
    """Joined at the trial's first step, not before: its own latency is taken first, and would wait for itself. Left between stretches."""

    def __init__(self, on_gpu: bool, held_up: Callable[[], AbstractContextManager[None]] = nullcontext) -> None:
        """Where latencies are taken `on_gpu`, what is still to be done there ends before anybody measures.

        The trial is inside a `held_up()` while it waits for others.
        """
        self._on_gpu, self._held_up, self._quiet, self._joined = on_gpu, held_up, QuietLock(), ExitStack()
        self._is_joined = False

    def pause(self) -> float:
        """Seconds that the step was held up, as `QuietLock.pause`."""
        if self._on_gpu:
            import torch

            torch.cuda.synchronize()
        if self._is_joined and not self._quiet.is_wanted():
            return 0.0
        with self._held_up():
            if self._is_joined:
                return self._quiet.pause()
            start, self._is_joined = Start.now(), True
            self._joined.enter_context(self._quiet.training())
            return start.elapsed_seconds

    def leave(self) -> None:
        """Train no more, until the next `pause`."""
        self._joined.close()
        self._is_joined = False

    def close(self) -> None:
        """Leave for good."""
        self.leave()
        self._quiet.close()
