"""What a shape takes in bytes where it runs."""

from __future__ import annotations

from analysis.objectives.objective import Objective, Wording
from analysis.text.words import bytes_text, share_less

MEMORY_BETWEEN = 0.02
"""Four fresh processes agreed within 0.2 MiB from 1M to 125M parameters (docs/runtimes.md): this is that at 10 MiB."""


def _words(label: str, phrase: str, best: str, noun: str, meaning: str) -> Wording:
    return Wording(
        label=label,
        axis=f"{label[0].upper()}{label[1:]}, bytes",
        tick_format="~s",
        tick=lambda value: bytes_text(value).replace(".00 ", " ").replace(".0 ", " "),
        write=bytes_text,
        phrase=phrase,
        best=best,
        no_worse=f"in no more {noun}",
        gain=lambda ours, theirs: f"takes {share_less(ours, theirs)} less {noun}",
        amount=bytes_text,
        meaning=meaning,
    )


MEMORY = (
    Objective(
        name="weight_bytes",
        words=_words(
            "weights", "{} of weights", "smallest", "memory for weights",
            "Bytes of the stored weights in the precision of the study's `latency`, scales and file headers left out.",
        ),
        value=lambda seen: float(seen.costs.weight_bytes),
        scale="log",
        known="shape",
        noise="none",
    ),
    Objective(
        name="kv_cache_bytes",
        words=_words(
            "KV cache", "{} of KV cache", "smallest in its KV cache", "memory for the KV cache",
            "Bytes of the cached keys and values of every executed block in float16, after the workload of the study's `latency`.",
        ),
        value=lambda seen: float(seen.costs.kv_cache_bytes),
        scale="log",
        known="shape",
        noise="none",
    ),
    Objective(
        name="peak_memory_bytes",
        words=_words(
            "peak memory", "{} of memory at its peak", "smallest in memory", "memory at the peak",
            "Most memory that a fresh process takes, beyond the runtime's libraries, to load the shape, read the prompt and decode some "
            "tokens; of a GPU what is allocated there.",
        ),
        value=lambda seen: None if seen.latency is None else seen.latency.peak_memory_bytes,
        scale="log",
        known="device",
        noise="measurement",
        between=MEMORY_BETWEEN,
    ),
)  # fmt: skip
