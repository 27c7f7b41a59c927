"""Logits of a written ExecuTorch program, from a process of its own: a program that is wrong may end the process that runs it."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy
from numpy.typing import NDArray

from trials.machine.subprocesses import TIMEOUT_SECONDS, run_apart


def logits_apart(program: Path, tokens: Sequence[int]) -> NDArray[numpy.float32]:
    """Logits after each token, read one by one, and after all of them, read at once: [tokens + 1, vocab_size].

    Raises WorkError where the process does not end well, or not in time.
    """
    with tempfile.TemporaryDirectory(prefix="archfront-executorch-") as folder:
        answer = Path(folder, "logits.npy")
        arguments = [str(program.resolve()), str(answer)]
        what = f"the process that runs {program.name}"
        run_apart(__name__, arguments, what, timeout_seconds=TIMEOUT_SECONDS, said=json.dumps(list(tokens)))
        logits: NDArray[numpy.float32] = numpy.load(answer)
        return logits


def _main(program: str, answer: str) -> None:
    from trials.latency.runtimes.executorch_runtime import open_program

    tokens = json.load(sys.stdin)
    session = open_program(Path(program), threads=1)
    at_once = session.prefill(tokens).copy()
    one_by_one = [session.prefill(tokens[:1]).copy(), *(session.decode(token).copy() for token in tokens[1:])]
    numpy.save(answer, numpy.stack([*one_by_one, at_once]))


if __name__ == "__main__":
    _main(*sys.argv[1:])
