"""ExecuTorch on the processor, matrices on XNNPACK: the runtime of the MobileLLM paper, from a program that is written directly."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from executorch.extension.pybindings import _portable_lib as library

from search_space.architecture import Architecture
from search_space.errors import SpecError
from trials.catalogue.formats import EXECUTORCH
from trials.formats.executorch import LONGEST_TEXT, write_executorch
from trials.formats.model import Model
from trials.latency.runtimes.interface import Logits


def version() -> str:
    """Version of executorch."""
    return metadata.version("executorch")


def prepare(directory: Path, model: Model) -> None:
    """Write the program with its weights."""
    write_executorch(directory / EXECUTORCH, model)


def load(directory: Path, architecture: Architecture, max_tokens: int, threads: int) -> ExecutorchSession:
    """Open the prepared program; the number of threads holds for the whole process, also for sessions that are open."""
    if max_tokens > LONGEST_TEXT:
        raise SpecError(
            f"prompt_tokens and new_tokens must be {LONGEST_TEXT} at most together in executorch, found {max_tokens}; lower them"
        )
    return open_program(directory / EXECUTORCH, threads)


def open_program(path: Path, threads: int) -> ExecutorchSession:
    """Open a program that `write_executorch` wrote, under whatever name."""
    # the package's own portable_lib imports the writing side too
    torch.set_num_threads(1)  # its threads would compete with ExecuTorch's
    library._unsafe_reset_threadpool(threads)
    return ExecutorchSession(library._load_for_executorch(str(path)))


class ExecutorchSession:
    """A `Session` of one program, which keeps the cache itself."""

    def __init__(self, program: Any) -> None:
        self._program = program
        self._length = 0

    def prefill(self, tokens: Sequence[int]) -> Logits:
        """Logits after the prompt, [vocab_size]."""
        self._length = 0
        return self._read(torch.tensor([tokens]))

    def decode(self, token: int) -> Logits:
        """Logits after one more token, [vocab_size]."""
        return self._read(torch.tensor([[token]]))

    def close(self) -> None:
        """Let go of the program."""
        del self._program

    def _read(self, tokens: torch.Tensor) -> Logits:
        (found,) = self._program.run_method("forward", (tokens, torch.tensor([self._length])), clone_outputs=False)
        self._length += tokens.shape[1]
        logits: Logits = found[0].numpy()
        return logits
