"""Measures an ONNX model for archfront with numpy and onnxruntime alone: copy it to a device, and change it where that one differs.

    latency: {runtime: command, command: [python3, measure_onnx.py]}

It reads the request on its standard input and prints the answer, as docs/runtimes.md has them: the model's repeats, each between two
of the yardstick's, so that a clock that changes moves both.
"""

from __future__ import annotations

import json
import math
import platform
import statistics
import sys
import time
from typing import Any

import numpy
import onnxruntime

WARM_UPS = 3
TURN_MS, LONGEST_TURN = 30.0, 16
"""A short workload is one repeat as often as it fits into that time, and the median counts."""


class Model:
    """One graph in memory, and the workload that it is given."""

    def __init__(self, asked: dict[str, Any], threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        start = time.perf_counter()
        self.session = onnxruntime.InferenceSession(asked["path"], options, providers=["CPUExecutionProvider"])
        self.load_ms = (time.perf_counter() - start) * 1e3
        self.empty = {
            each.name: numpy.empty((1, each.shape[1], 0, each.shape[3]), numpy.float32)
            for each in self.session.get_inputs()
            if each.name.startswith("past_key_values")
        }
        self.outputs = [each.name for each in self.session.get_outputs()]
        self.new_tokens = asked["new_tokens"]
        self.tokens = numpy.random.default_rng(0).integers(asked["vocab_size"], size=(1, asked["prompt_tokens"] + self.new_tokens))
        self.prompt_tokens = asked["prompt_tokens"]
        self.prefill_ms: list[float] = []
        self.decode_ms_per_token: list[float] = []
        self.first_prefill_ms = self.run()[0]
        self.turns = min(LONGEST_TURN, math.ceil(TURN_MS / min(sum(self.run()) for _ in range(WARM_UPS))))

    def run(self) -> tuple[float, float]:
        """Milliseconds of one prefill and of all new tokens together."""
        start = time.perf_counter()
        cache = self.read(0, self.prompt_tokens, self.empty)
        filled = time.perf_counter()
        for place in range(self.prompt_tokens, self.tokens.shape[1]):
            cache = self.read(place, place + 1, cache)
        return (filled - start) * 1e3, (time.perf_counter() - filled) * 1e3

    def read(self, start: int, end: int, cache: dict[str, Any]) -> dict[str, Any]:
        """Read these tokens and return the cache with them."""
        feed = {"input_ids": self.tokens[:, start:end], "position_ids": numpy.arange(start, end)[None]}
        found = self.session.run(self.outputs, {**feed, "num_logits_to_keep": numpy.ones(1, numpy.int64), **cache})
        return dict(zip(cache, found[1:], strict=True))

    def repeat(self) -> None:
        """Take one repeat."""
        runs = [self.run() for _ in range(self.turns)]
        self.prefill_ms.append(statistics.median(prefill for prefill, _ in runs))
        self.decode_ms_per_token.append(statistics.median(decode for _, decode in runs) / self.new_tokens)

    def answer(self) -> dict[str, Any]:
        """What was measured."""
        names = ("prefill_ms", "decode_ms_per_token", "load_ms", "first_prefill_ms")
        return {name: getattr(self, name) for name in names}


def device() -> str:
    """The processor's name."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def memory(name: str) -> int | None:
    """A figure of this process from Linux, in bytes: VmRSS is what it holds, VmHWM the most that it has held; None elsewhere."""
    try:
        with open("/proc/self/status", encoding="utf-8") as lines:
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))
    except (OSError, StopIteration):
        return None


def main() -> None:
    """Measure what is asked for."""
    asked = json.load(sys.stdin)
    before = memory("VmRSS")
    model = Model(asked["model"], asked["threads"])
    after = memory("VmHWM")
    peak = None if before is None or after is None else after - before
    yardstick = Model(asked["yardstick"], asked["threads"])
    yardstick.repeat()
    for _ in range(asked["repeats"]):
        model.repeat()
        yardstick.repeat()
    known = {"device": device(), "runtime": "onnxruntime", "runtime_version": onnxruntime.__version__}
    print(json.dumps({**known, **model.answer(), "peak_memory_bytes": peak, "yardstick": yardstick.answer()}))


if __name__ == "__main__":
    main()
