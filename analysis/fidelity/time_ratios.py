"""How much longer an arm takes than the baseline, from measurements in turn, beside what was published."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.fidelity.ablation import PooledNoise, estimate_interval
from analysis.records.latency import Latency


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeRatio:
    """One arm's times in one workload over the baseline's."""

    arm: str
    baseline: str
    workload: str
    """Runtime and precision, `onnxruntime int8`."""
    published: Mapping[str, float]
    """Published ratio of executing the network once, by scale; empty where there is none."""
    prefill: float
    """Geometric mean over the rounds."""
    decode: float
    """Ratio of a decoded token, geometric mean over the rounds."""
    interval: tuple[float, float] | None
    """Central 90 % interval of `decode`; None with fewer than two rounds."""
    file_bytes: float | None
    """Bytes of the model file over the baseline's; None where the runtime has no file."""
    rounds: int

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "arm": self.arm,
            "baseline": self.baseline,
            "workload": self.workload,
            "published_ratio": dict(self.published),
            "prefill_ratio": self.prefill,
            "decode_ratio": self.decode,
            "decode_interval": self.interval,
            "file_bytes_ratio": self.file_bytes,
            "rounds": self.rounds,
        }


def time_ratios(
    taken: Mapping[str, Sequence[Latency]], baseline: str, workload: str, published_ms: Mapping[str, Mapping[str, float]]
) -> list[TimeRatio]:
    """Each arm of `taken` but the baseline, whose latencies by round stand beside each other; `published_ms` by scale and arm."""
    rows = []
    for arm, latencies in taken.items():
        if arm == baseline:
            continue
        pairs = list(zip(latencies, taken[baseline], strict=True))
        decode = np.log([one.decode_ms_per_token.median / base.decode_ms_per_token.median for one, base in pairs])
        prefill = np.log([one.prefill_ms.median / base.prefill_ms.median for one, base in pairs])
        noise = PooledNoise(float(decode.std(ddof=1)), len(pairs) - 1) if len(pairs) > 1 else None
        logarithms = estimate_interval(float(decode.mean()), noise, 1 / math.sqrt(len(pairs)))
        interval = None if logarithms is None else (math.exp(logarithms[0]), math.exp(logarithms[1]))
        sizes = pairs[0][0].file_bytes, pairs[0][1].file_bytes
        rows.append(
            TimeRatio(
                arm=arm,
                baseline=baseline,
                workload=workload,
                published={scale: ms[arm] / ms[baseline] for scale, ms in published_ms.items() if {arm, baseline} <= ms.keys()},
                prefill=math.exp(prefill.mean()),
                decode=math.exp(decode.mean()),
                interval=interval,
                file_bytes=sizes[0] / sizes[1] if sizes[0] and sizes[1] else None,
                rounds=len(pairs),
            )
        )
    return rows
