"""A trial's checkpoint on a worker that does not see the study's directory: kept on the driver's node; nothing stays on this disk."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.records.latency import Latency
from analysis.records.record import TrialRecord
from trials.cluster.state_keeper import fetch, send
from trials.trial.checkpoint import Checkpoint, Kept


@dataclass(frozen=True, slots=True)
class SentCheckpoint(Checkpoint):
    """The place of one trial's checkpoint, beyond this machine."""

    keeper: Any
    """Ray's handle of the StateKeeper."""
    name: str
    """Name of the state in the directory that the keeper has."""

    def write(self, state: Mapping[str, Any], latency: Latency | None, looks: Sequence[TrialRecord] = ()) -> bool:
        """Put the state in place of an earlier one, there; what goes wrong costs the state, never the trial.

        Returns whether it was sent.
        """
        with suppress(OSError), self._here() as here:
            if here.write(state, latency, looks):
                send(self.keeper, self.name, here.path)
                return True
        return False

    def read(self) -> Kept | None:
        """What was written last; None where there is none that is whole, of this very training, and can be fetched."""
        with suppress(OSError), self._here() as here:
            fetch(self.keeper, self.name, here.path)
            return here.read()
        return None

    @contextmanager
    def _here(self) -> Iterator[Checkpoint]:
        """A checkpoint of the same training on this disk, for as long as it is on its way."""
        with tempfile.TemporaryDirectory(prefix="archfront-state-", ignore_cleanup_errors=True) as folder:
            yield Checkpoint(Path(folder) / self.path.name, self.key)
