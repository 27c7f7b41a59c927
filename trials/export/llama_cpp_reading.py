"""A GGUF file read by llama.cpp in a process of its own, since a library that crashes takes its process with it.

    python -m trials.export.llama_cpp_reading MODEL REQUEST ANSWER

REQUEST is JSON with `tokens` and `strings`, ANSWER becomes JSON with `version`, `logits` and `ids`.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search_space.errors import WorkError
from trials.machine.subprocesses import TIMEOUT_SECONDS, run_apart


class LlamaCppError(Exception):
    """Why llama.cpp gave no answer."""


@dataclass(frozen=True)
class Reading:
    """What llama.cpp makes of a file."""

    version: str
    logits: list[list[float]]
    """[positions + 1, vocab_size] after each token, read one by one, and after all of them read in one pass."""
    ids: list[list[int]]
    """Of each string."""


def read_by_llama_cpp(model: Path, tokens: list[int], strings: list[str]) -> Reading:
    """Logits and token ids of a file; raises LlamaCppError with the last thing that it said."""
    with tempfile.TemporaryDirectory(prefix="archfront-gguf-") as folder:
        request, answer = Path(folder) / "request.json", Path(folder) / "answer.json"
        request.write_text(json.dumps({"tokens": tokens, "strings": strings}), encoding="utf-8")
        try:
            run_apart(__name__, [str(model.resolve()), str(request), str(answer)], "it", timeout_seconds=TIMEOUT_SECONDS)
        except WorkError as failure:
            raise LlamaCppError(str(failure)) from None
        return Reading(**json.loads(answer.read_text(encoding="utf-8")))


def _answer(model: Path, asked: dict[str, Any]) -> dict[str, Any]:
    from trials.latency.runtimes import llama_cpp_runtime

    tokens = asked["tokens"]
    session = llama_cpp_runtime.open_model(model, len(tokens), threads=1)
    rows = [session.prefill(tokens[:1]).tolist(), *(session.decode(token).tolist() for token in tokens[1:])]
    rows.append(session.prefill(tokens).tolist())
    ids = [session.tokenize(text) for text in asked["strings"]]
    session.close()
    return {"version": llama_cpp_runtime.version(), "logits": rows, "ids": ids}


if __name__ == "__main__":
    given = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    Path(sys.argv[3]).write_text(json.dumps(_answer(Path(sys.argv[1]), given)), encoding="utf-8")
