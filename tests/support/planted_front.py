"""Records of many shapes along a planted front."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from analysis.records.record import Kind, TrialRecord
from tests.support.sample_study import sample_records

BASE = next(record for record in sample_records() if record.finished and record.kind is Kind.SAMPLED)


def planted(count: int, noise: float, spread: float, replicates: int = 0) -> list[TrialRecord]:
    """Shapes around a curve of quality over latency, with caches of all sizes, the first few trained again."""
    random = np.random.default_rng(0)
    latencies = np.exp(random.uniform(np.log(5), np.log(40), count))
    truths = 2.2 + 0.25 * np.exp(-np.log(latencies / 5) / 0.7) + spread * random.standard_gamma(1, count)
    caches = random.integers(1, 40, count)
    records: list[TrialRecord] = []
    for number in [*range(count), *range(replicates)]:
        bits = truths[number] + 2.2 * noise * random.standard_normal()
        assert BASE.latency is not None
        assert BASE.training is not None
        assert BASE.training.validation is not None
        total = replace(BASE.latency.total_ms, median=latencies[number], p10=0.99 * latencies[number], p90=1.01 * latencies[number])
        made = replace(
            BASE,
            number=len(records),
            costs=replace(BASE.costs, kv_cache_bytes=1024 * int(caches[number])),
            latency=replace(BASE.latency, total_ms=total),
            training=replace(BASE.training, validation=replace(BASE.training.validation, loss=bits, bits_per_byte=bits)),
        )
        records.append(made if len(records) < count else replace(made, kind=Kind.REPLICATE, replicates=number, seed=1))
    return records
