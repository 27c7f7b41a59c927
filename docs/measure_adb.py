"""Measures a GGUF model on an Android phone for archfront, by adb and llama.cpp's own llama-bench: copy it beside your study.

    latency: {runtime: command, command: [python3, measure_adb.py], format: gguf, precision: int8}

It needs Python alone here, and `llama-bench` built for the phone at PHONE there; docs/howto/device.md says how it comes there, and
docs/runtimes.md what is asked and answered. Which of several phones is measured says adb's own variable ANDROID_SERIAL.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import PurePosixPath
from typing import Any

PHONE = PurePosixPath("/data/local/tmp/archfront")
"""Folder on the phone, where programs may be run from: llama-bench with its libraries, and the models while they are measured."""


def adb(*words: str) -> str:
    """What an adb command printed; its complaint ends this program, and is the trial's reason."""
    done = subprocess.run(["adb", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"adb {words[0]} failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def shell(*words: object) -> str:
    """What a program on the phone printed."""
    return adb("shell", shlex.join(map(str, words)))


class Model:
    """One file on the phone, and its repeats so far."""

    def __init__(self, name: str, asked: dict[str, Any], threads: int) -> None:
        self.path = PHONE / f"{name}.gguf"
        adb("push", asked["path"], str(self.path))
        self.prompt_tokens, self.new_tokens, self.threads = asked["prompt_tokens"], asked["new_tokens"], threads
        self.prefill_ms: list[float] = []
        self.decode_ms_per_token: list[float] = []

    def repeat(self) -> dict[str, Any]:
        """Take one repeat: the prompt in one pass, then new tokens behind it; llama-bench warms up before each."""
        self.prefill_ms.append(self._run("-p", self.prompt_tokens, "-n", 0)["samples_ns"][0] / 1e6)
        found = self._run("-p", 0, "-n", self.new_tokens, "-d", self.prompt_tokens)
        self.decode_ms_per_token.append(found["samples_ns"][0] / 1e6 / self.new_tokens)
        return found

    def _run(self, *workload: object) -> dict[str, Any]:
        options = ("-m", self.path, "-r", 1, "-t", self.threads, "-ngl", 0, "-o", "json")
        said = shell("env", f"LD_LIBRARY_PATH={PHONE}", PHONE / "llama-bench", *options, *workload)
        [found] = json.loads(said)
        return dict(found)

    def times(self) -> dict[str, list[float]]:
        """Every repeat."""
        return {"prefill_ms": self.prefill_ms, "decode_ms_per_token": self.decode_ms_per_token}


def main() -> None:
    """Measure what is asked for: the model's repeats, each between two of the yardstick's, so that a phone that gets warm moves both."""
    asked = json.load(sys.stdin)
    shell("mkdir", "-p", PHONE)
    model, yardstick = (Model(name, asked[name], asked["threads"]) for name in ("model", "yardstick"))
    for _ in range(asked["repeats"]):
        yardstick.repeat()
        model.repeat()
    found = yardstick.repeat()
    known = {
        "device": f"{shell('getprop', 'ro.product.model').strip()} ({found['cpu_info'] or 'processor not known'})",
        "runtime": "llama.cpp",
        "runtime_version": f"b{found['build_number']}",
    }
    shell("rm", "-f", model.path, yardstick.path)
    print(json.dumps({**known, **model.times(), "yardstick": yardstick.times()}))


if __name__ == "__main__":
    main()
