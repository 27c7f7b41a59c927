"""A GGUF file read by llama.cpp in a process of its own, since a library that crashes takes its process with it.

    python -m trials.export.llama_cpp_reading MODEL REQUEST ANSWER

REQUEST is JSON with `tokens` and `strings`, ANSWER becomes JSON with `version`, `logits` and `ids`.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
TIMEOUT_SECONDS = 1800.0


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
        command = [sys.executable, "-m", __name__, str(model.resolve()), str(request), str(answer)]
        try:
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            raise LlamaCppError(f"it did not end within {TIMEOUT_SECONDS:g} seconds") from None
        if done.returncode or not answer.is_file():
            said = done.stderr.strip().splitlines()
            code = done.returncode
            how = f"it was ended by {signal.Signals(-code).name}" if code < 0 else f"it ended with exit code {code}"
            raise LlamaCppError(f"{how}{': ' + said[-1] if said else ''}")
        return Reading(**json.loads(answer.read_text(encoding="utf-8")))


def _answer(model: Path, asked: dict[str, Any]) -> dict[str, Any]:
    from trials.runtimes import llama_cpp_runtime

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
