"""Timed workloads: the shape's, each between two of the yardstick's, until enough of them are calm and agree."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

import numpy

from analysis.records.latency import Spread, Yardstick
from trials.latency.runtimes.interface import Session
from trials.machine.processors import waited_seconds

ATTEMPTS = 2
"""Most repeats, as a multiple of those asked for."""
LARGEST_WAIT = 0.03
"""Share of a repeat that its threads may have waited for a processor."""
LARGEST_SPREAD = 0.10
"""Largest excess of the 90th percentile over the 10th, of the shape's times at the device's pace and of the yardstick's own."""
LARGEST_MOVE = 0.25
"""Largest difference of the yardstick's time from the device's, either way: beyond, more than the clock has changed."""
TURN_MS, LONGEST_TURN = 30.0, 16
"""A short workload takes its turn several times over, until that long has passed, and the median counts: single ones of 5 to 12 ms repeated
within 4 %, turns of 3 to 6 of them within 0.5 to 1.5 % (docs/findings.md, 2026-11-25: turns of a short workload)."""
ENOUGH_SECONDS, LEAST_REPEATS = 4.0, 2
"""A workload is repeated less often than asked for where the repeats would take longer, but never less often than this."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """One timed workload."""

    prefill_ms: float
    decode_ms: float
    """All new tokens together."""
    waited: float
    """Share of the time that threads of this process waited for a processor."""

    @property
    def total_ms(self) -> float:
        """The whole workload."""
        return self.prefill_ms + self.decode_ms


@dataclass(frozen=True, slots=True)
class Pair:
    """A repeat of the shape's workload, and the yardstick around it."""

    shape: Repeat
    yardstick: Repeat
    """Mean of the repeat before and the one after."""

    @property
    def waited(self) -> float:
        """The larger of the two shares."""
        return max(self.shape.waited, self.yardstick.waited)

    @property
    def ratio(self) -> float:
        """The shape's time over the yardstick's."""
        return self.shape.total_ms / self.yardstick.total_ms

    def at_pace_of(self, device: Repeat) -> Repeat:
        """What the shape would have taken while the yardstick takes the device's time; prefill and decoding each by its own pace."""
        return Repeat(
            self.shape.prefill_ms / self.yardstick.prefill_ms * device.prefill_ms,
            self.shape.decode_ms / self.yardstick.decode_ms * device.decode_ms,
            self.waited,
        )


def some_tokens(vocab_size: int, prompt_tokens: int, new_tokens: int) -> tuple[list[int], list[int]]:
    """A prompt and what follows it, always the same: the time does not depend on them."""
    tokens: list[int] = numpy.random.default_rng(0).integers(vocab_size, size=prompt_tokens + new_tokens).tolist()
    return tokens[:prompt_tokens], tokens[prompt_tokens:]


def run_once(session: Session, prompt: Sequence[int], new: Sequence[int]) -> Repeat:
    """Time one workload."""
    waited = waited_seconds()
    start = time.perf_counter()
    session.prefill(prompt)
    filled = time.perf_counter()
    for token in new:
        session.decode(token)
    end = time.perf_counter()
    return Repeat((filled - start) * 1e3, (end - filled) * 1e3, (waited_seconds() - waited) / (end - start))


def decode_on(session: Session, new: Sequence[int]) -> Repeat:
    """Time some more tokens of a text."""
    waited, start = waited_seconds(), time.perf_counter()
    for token in new:
        session.decode(token)
    end = time.perf_counter()
    return Repeat(0.0, (end - start) * 1e3, (waited_seconds() - waited) / (end - start))


def turn(run: Callable[[], Repeat], expected_ms: float) -> Repeat:
    """A workload's turn, where one takes about so long: once, or the medians of several in a row and the mean of what they waited."""
    runs = [run() for _ in range(min(LONGEST_TURN, max(1, math.ceil(TURN_MS / expected_ms))))]
    return Repeat(median(one.prefill_ms for one in runs), median(one.decode_ms for one in runs), fmean(one.waited for one in runs))


def pairs(shape: Callable[[], Repeat], yardstick: Callable[[], Repeat]) -> Iterator[Pair]:
    """Yardstick, shape, yardstick, shape, ... without end."""
    before = yardstick()
    while True:
        between, after = shape(), yardstick()
        yield Pair(between, _mean(before, after))
        before = after


def calm_pairs(taken: Iterator[Pair], repeats: int, device: Repeat) -> tuple[list[Pair], bool]:
    """Take pairs until the latest undisturbed ones are enough and agree; else the calmest of all attempts, flagged with True."""
    attempts = [next(taken)]
    seconds = (attempts[0].shape.total_ms + attempts[0].yardstick.total_ms) / 1e3
    wanted = max(min(repeats, LEAST_REPEATS), min(repeats, int(ENOUGH_SECONDS / seconds)))
    while True:
        calm = [pair for pair in attempts if pair.waited <= LARGEST_WAIT][-wanted:]
        if len(calm) == wanted and steady(calm, device):
            return calm, False
        if len(attempts) >= ATTEMPTS * wanted:
            return sorted(attempts, key=lambda pair: pair.waited)[:wanted], True
        attempts.append(next(taken))


def steady(taken: Sequence[Pair], device: Repeat) -> bool:
    """Whether the pairs agree with each other, and the yardstick with itself and with the device."""
    pace = median(pair.yardstick.total_ms for pair in taken) / device.total_ms
    return (
        _agree([pair.at_pace_of(device).total_ms for pair in taken])
        and _agree([pair.yardstick.total_ms for pair in taken])
        and 1 / (1 + LARGEST_MOVE) <= pace <= 1 + LARGEST_MOVE
    )


def spread_of_values(values: Sequence[float]) -> Spread:
    """Median, 10th and 90th percentile."""
    p10, middle, p90 = numpy.percentile(values, (10, 50, 90))
    return Spread(median=float(middle), p10=float(p10), p90=float(p90))


def _agree(values: Sequence[float]) -> bool:
    found = spread_of_values(values)
    return found.p90 <= found.p10 * (1 + LARGEST_SPREAD)


def _mean(one: Repeat, other: Repeat) -> Repeat:
    return Repeat(fmean((one.prefill_ms, other.prefill_ms)), fmean((one.decode_ms, other.decode_ms)), max(one.waited, other.waited))


def times_of(taken: Sequence[Pair], device: Repeat, new_tokens: int) -> dict[str, Any]:
    """The fields of a Latency that pairs of a workload decide: times at the device's pace, and how many there are."""
    repeats = [pair.at_pace_of(device) for pair in taken]
    return {
        "total_ms": spread_of_values([repeat.total_ms for repeat in repeats]),
        "prefill_ms": spread_of_values([repeat.prefill_ms for repeat in repeats]),
        "decode_ms_per_token": spread_of_values([repeat.decode_ms / new_tokens for repeat in repeats]),
        "repeats": len(repeats),
    }


def beside_of(taken: Sequence[Pair], device: Repeat, label: str) -> Yardstick:
    """What the yardstick of that label took in these pairs."""
    return Yardstick(
        label=label,
        ratio=spread_of_values([pair.ratio for pair in taken]),
        total_ms=spread_of_values([pair.yardstick.total_ms for pair in taken]),
        device_prefill_ms=device.prefill_ms,
        device_decode_ms=device.decode_ms,
    )
