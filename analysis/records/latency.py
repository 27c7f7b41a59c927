"""What a latency measurement says, and under which conditions it was taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from analysis.records.checked import Measurement, PositiveCount, PositiveFloat, absent_from_json

Activations = Literal["int8", "float32"]
"""What a product of rounded weights reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A repeated measurement: median, tenth and ninetieth percentile."""

    median: PositiveFloat
    p10: PositiveFloat
    p90: PositiveFloat


@dataclass(frozen=True, slots=True, kw_only=True)
class Yardstick(Measurement):
    """The fixed model that took its turns with the shape in the same process, so that a change of the machine's pace cancels out."""

    label: str
    """Label of the yardstick's shape."""
    ratio: Spread
    """Time of the shape's workload over that of the yardstick's: what to compare across time."""
    total_ms: Spread
    """Time of the yardstick's own workload, 64 prompt and 16 new tokens, in this measurement."""
    device_prefill_ms: PositiveFloat
    """What its prefill counts as on this device: the time that it took when the study first measured here."""
    device_decode_ms: PositiveFloat
    """The device's milliseconds of the yardstick's new tokens, together."""

    @property
    def pace(self) -> float:
        """How long the yardstick took, relative to the device's time: 1.25 on a machine that is a quarter slower than it was."""
        return self.total_ms.median / (self.device_prefill_ms + self.device_decode_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class AtPosition:
    """What a new token takes where so many are in the cache."""

    cached_tokens: int
    decode_ms_per_token: Spread
    disturbed: bool
    """Whether other work disturbed it, judged as for a whole latency."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency(Measurement):
    """Time of a stated workload, and how it was taken. Times are at the device's own pace, see Yardstick, but for load and first run."""

    total_ms: Spread
    """Prompt and all new tokens, batch 1."""
    prefill_ms: Spread
    decode_ms_per_token: Spread
    repeats: PositiveCount
    prompt_tokens: PositiveCount
    new_tokens: PositiveCount
    runtime: str
    runtime_version: str
    precision: str
    threads: PositiveCount
    pinned_cpus: tuple[int, ...] | None
    """Processors that the process was held to; None where the platform cannot."""
    device: str
    load_average: float | None
    """Load average of the last minute, when the measurement began."""
    disturbed: bool
    """Whether the repeats spread, or the yardstick moved, more than the protocol allows even after a second try."""
    protocol: str
    """Version of the protocol, such as `archfront-3`."""
    yardstick: Yardstick | None = None
    """The yardstick beside the measurement; None in records of the first protocol, which had none."""
    load_ms: float | None = None
    """Milliseconds from the prepared files to a session that can run, files in the system's cache."""
    first_prefill_ms: float | None = None
    """The first time the prompt is read: with what the runtime puts off until then."""
    peak_memory_bytes: int | None = None
    """Bytes that loading, the prompt and some new tokens take in a fresh process beyond the runtime's libraries, or allocate on a GPU; of a
    command of the user's, what it says."""
    file_bytes: int | None = None
    """Bytes of the files that the runtime loads."""
    decode_bytes_per_token: int | None = None
    """Weights of every executed block and of the output, and cached keys and values, read for the middle one of the new tokens."""
    bandwidth_bytes_per_second: PositiveFloat | None = None
    """Speed at which the pinned processors read memory beyond their caches."""
    at_positions: tuple[AtPosition, ...] = ()
    """Latencies of a new token at the positions that `latency.context_positions` asks for."""
    clock_mhz_before: float | None = None
    """Clock of the pinned processors, as the system says it."""
    clock_mhz_after: float | None = None
    load_average_after: float | None = None
    device_processors: int | None = None
    """Processors of the machine that measured; with the next field, the device and the runtime's version they tell it from another one."""
    device_memory_bytes: int | None = None
    """Memory of that machine. Both are None where a command measures, which may do so anywhere, and in records of before."""
    niceness: int | None = None
    """Niceness of the process that measured; None where a command measures, and in records of before."""
    activations: Activations | None = None
    """What the products of rounded weights read on that device, as a small known network showed: `int8` or `float32`. None where no weights
    are rounded, where it is neither, and where nobody asked: in records of before, and of a command that does not say it."""

    @property
    def decode_tokens_per_second(self) -> float:
        """New tokens per second of decoding."""
        return 1e3 / self.decode_ms_per_token.median

    @property
    def bandwidth_share(self) -> float | None:
        """Bytes per second that decoding asks for over the memory's; above 1 where weights stay in a cache. None where not measured."""
        if self.decode_bytes_per_token is None or self.bandwidth_bytes_per_second is None:
            return None
        return self.decode_bytes_per_token * self.decode_tokens_per_second / self.bandwidth_bytes_per_second


def latency_from_dict(values: Mapping[str, Any] | None) -> Latency | None:
    """A Latency from its JSON form; None from None, and where one of its numbers is absent. Raises ValueError where a field is wrong."""
    return absent_from_json(Latency, values)
