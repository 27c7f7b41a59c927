"""Why a training run could not go to its end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from analysis.records.training import Training


class TrainingFailed(Exception):  # noqa: N818  the three below say what failed
    """A run that could not go to its end; the message says why, in a sentence that a person can act on."""

    training: Training | None = None
    """What was measured until then; None where no step was made."""


class Diverged(TrainingFailed):
    """The loss was no finite number."""


class OutOfMemory(TrainingFailed):
    """The host or the device had no memory left."""


class TimedOut(TrainingFailed):
    """The deadline passed."""


@contextmanager
def memory_errors() -> Iterator[None]:
    """Turn every way in which Python and torch say that memory is used up into OutOfMemory."""
    import torch  # here, so that the exceptions have names where torch is not wanted

    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise OutOfMemory(_advice(error)) from error
    except RuntimeError as error:  # torch's allocator on the host has no class of its own
        if "can't allocate memory" not in str(error) and "not enough memory" not in str(error):
            raise
        raise OutOfMemory(_advice(error)) from error


def _advice(error: BaseException) -> str:
    said = str(error).strip().splitlines()
    return (
        f"memory ran out ({said[0] if said else type(error).__name__}); lower proxy.batch_sequences, proxy.context_tokens or workers.count"
    )
