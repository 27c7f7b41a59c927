"""A written model read by its runtime in a process of its own, since a library that crashes takes its process with it.

    python -m trials.export.subprocess_reading ANSWER < REQUEST

REQUEST is JSON with `runtime`, `path`, `architecture`, `tokens` and `strings`; ANSWER becomes a file of numpy's with what `Reading` has.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy

from analysis.records.json_text import parse_json
from analysis.records.json_writer import json_of
from search_space.architecture import Architecture
from trials.latency.runtimes import find_runtime
from trials.latency.runtimes.interface import Logits, Session
from trials.machine.subprocesses import TIMEOUT_SECONDS, run_in_subprocess


@dataclass(frozen=True, slots=True)
class Reading:
    """What a runtime makes of a file."""

    version: str
    """Version of the library that does the work."""
    logits: Logits
    """Logits as `both_ways` gives them."""
    ids: list[list[int]]
    """Token ids of each string that was asked for, by the file's own tokenizer."""


def both_ways(session: Session, tokens: Sequence[int]) -> Logits:
    """Logits after each token, read one by one, and after all of them, read at once: [tokens + 1, vocab_size]."""
    rows = [session.prefill(tokens[:1]).copy(), *(session.decode(token).copy() for token in tokens[1:])]  # the runtime reuses its memory
    return numpy.stack([*rows, session.prefill(tokens)])


def read_in_subprocess(
    runtime: str, path: Path, architecture: Architecture, tokens: Sequence[int], strings: Sequence[str] = (), what: str | None = None
) -> Reading:
    """What a runtime makes of a file; only llama.cpp's have a tokenizer, which `strings` are given to.

    Raises WorkError where the process does not end well, or not in time; `what` names it there.
    """
    asked = {"runtime": runtime, "path": str(path.resolve()), "architecture": architecture.as_dict(), "tokens": tokens, "strings": strings}
    with tempfile.TemporaryDirectory(prefix="archfront-reading-") as folder:
        answer = Path(folder, "answer.npz")
        called = what or f"the process that runs {path.name}"
        run_in_subprocess(__name__, [str(answer)], called, timeout_seconds=TIMEOUT_SECONDS, said=json_of(asked))
        with numpy.load(answer) as found:
            return Reading(str(found["version"]), found["logits"], parse_json(str(found["ids"])))


def _main(answer: str) -> None:
    asked = parse_json(sys.stdin.read())
    module, tokens = find_runtime(asked["runtime"]), asked["tokens"]
    session: Any = module.load(Path(asked["path"]).parent, Architecture.from_dict(asked["architecture"]), len(tokens), threads=1)
    ids = [session.tokenize(text) for text in asked["strings"]]
    numpy.savez(answer, version=module.version(), logits=both_ways(session, tokens), ids=json_of(ids))
    session.close()


if __name__ == "__main__":
    _main(sys.argv[1])
