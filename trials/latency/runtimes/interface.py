"""The functions of a runtime's file: prepare a shape's files, load them, read a prompt, decode, close."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy
from numpy.typing import NDArray

from search_space.architecture import Architecture
from trials.formats.model import Model

Logits = NDArray[numpy.float32]
"""Scores of the next token, [vocab_size]; valid until the session runs again."""
LAST_POSITION = numpy.ones(1, numpy.int64)
"""What asks an exported graph for the logits of the last position alone."""


class Session(Protocol):
    """One model in memory, one text at a time, batch 1."""

    def prefill(self, tokens: Sequence[int]) -> Logits:
        """Forget the previous text and read a prompt in one pass."""

    def decode(self, token: int) -> Logits:
        """Read one more token, keeping keys and values of those before."""

    def close(self) -> None:
        """Give the memory back; the session is of no use afterwards."""


class RuntimeModule(Protocol):
    """A runtime's module; which shapes and precisions it is asked for stands in its row of `trials.catalogue.runtimes`."""

    def version(self) -> str:
        """Version of the library that does the work."""

    def prepare(self, directory: Path, model: Model) -> None:
        """Write the files that `load` reads."""

    def load(self, directory: Path, architecture: Architecture, max_tokens: int, threads: int) -> Session:
        """Bring prepared files into memory, with room for a text of that many tokens."""
