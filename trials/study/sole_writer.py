"""One process at a time writes the MLflow runs of a study's directory, and registers its models."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ENDING_SECONDS = 1.5
"""How long the writer of a driver that was killed may take to end."""


class WritersMeetError(RuntimeError):
    """Another process writes the runs of this directory."""


def claim_runs(directory: Path) -> int:
    """Be the only writer of a directory's runs until the descriptor is closed: a report may be asked for while the study runs.

    The writer of a driver that was killed ends a moment after it, so whoever continues at once waits for that. Raises WritersMeetError.
    """
    descriptor, deadline = os.open(directory, os.O_RDONLY | os.O_CLOEXEC), time.monotonic() + 2 * ENDING_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except OSError:
            if time.monotonic() > deadline:
                os.close(descriptor)
                raise WritersMeetError("another archfront is writing them") from None
            time.sleep(0.02)


@contextmanager
def sole_writer(directory: Path) -> Iterator[None]:
    """Be the only writer of a directory's runs for a while; raises WritersMeetError."""
    descriptor = claim_runs(directory)
    try:
        yield
    finally:
        os.close(descriptor)
