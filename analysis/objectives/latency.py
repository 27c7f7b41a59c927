"""What a shape takes in time where it runs: the workload and its phases, and the start from cold."""

from __future__ import annotations

from collections.abc import Callable

from analysis.objectives.objective import Objective, Phase, Wording
from analysis.objectives.observed import Observed
from analysis.records.latency import Latency, Spread
from analysis.text.words import milliseconds, share_less

WORKLOAD = "{prompt_tokens} prompt and {new_tokens} new tokens"
LATENCY_BETWEEN = 0.03
"""A tenth between the 10th and the 90th percentile is what the protocol lets pass within one measurement
(`trials.latency.repeats.LARGEST_SPREAD`), which is 0.037."""
BETWEEN_STARTS = 0.1
"""A start is taken once, and none of the yardstick's turns corrects it for the machine's pace."""


def _words(label: str, axis: str, phrase: str, best: str, noun: str, meaning: str) -> Wording:
    return Wording(
        label=label,
        axis=axis,
        write=milliseconds,
        unit="ms",
        phrase=phrase,
        best=best,
        no_worse=f"in no more {noun}",
        gain=lambda ours, theirs: f"takes {share_less(ours, theirs)} less {noun}",
        amount=milliseconds,
        meaning=meaning,
    )


def _repeated(name: str, words: Wording, spread: Callable[[Latency], Spread], phase: Phase) -> Objective:
    """A time that is the median of repeats."""

    def repeats(seen: Observed) -> Spread | None:
        return None if seen.latency is None else spread(seen.latency)

    def value(seen: Observed) -> float | None:
        return None if seen.latency is None else spread(seen.latency).median

    return Objective(
        name=name,
        words=words,
        value=value,
        scale="log",
        known="device",
        noise="measurement",
        spread=repeats,
        between=LATENCY_BETWEEN,
        phase=phase,
    )


def _once(name: str, words: Wording, time: Callable[[Latency], float | None]) -> Objective:
    """A time that is taken once."""

    def value(seen: Observed) -> float | None:
        return None if seen.latency is None else time(seen.latency)

    return Objective(name=name, words=words, value=value, scale="log", known="device", noise="measurement", between=BETWEEN_STARTS)


def _cold_start(latency: Latency) -> float | None:
    if latency.load_ms is None or latency.first_prefill_ms is None:
        return None
    return latency.load_ms + latency.first_prefill_ms


LATENCY = (
    _repeated(
        "total_ms",
        _words(
            "latency", f"Latency, ms for {WORKLOAD}", "{}", "fastest", "time",
            "Time of the whole workload of the study's `latency`, prompt and new tokens, batch 1: the median of its repeats.",
        ),
        lambda latency: latency.total_ms,
        "total",
    ),
    _repeated(
        "prefill_ms",
        _words(
            "prefill", "Prefill, ms for {prompt_tokens} tokens", "{} of prefill", "fastest to read a prompt", "prefill time",
            "Time of the prompt, read in one pass: the median of the repeats.",
        ),
        lambda latency: latency.prefill_ms,
        "prefill",
    ),
    _repeated(
        "decode_ms_per_token",
        _words(
            "decoding", "Decoding, ms a token", "{} a decoded token", "fastest to decode", "decoding time",
            "Time of a new token, decoded with the KV cache: the mean over the workload's, the median of the repeats.",
        ),
        lambda latency: latency.decode_ms_per_token,
        "decode",
    ),
    _once(
        "load_ms",
        _words(
            "load", "Load, ms", "{} to load", "fastest to load", "loading time",
            "From prepared files, which are in the system's cache, to a session that can run; taken once.",
        ),
        lambda latency: latency.load_ms,
    ),
    _once(
        "first_prefill_ms",
        _words(
            "first prefill", "First prefill, ms", "{} of first prefill", "fastest to read its first prompt", "first prefill time",
            "The first time that a fresh session reads the prompt, with whatever the runtime puts off until then; taken once.",
        ),
        lambda latency: latency.first_prefill_ms,
    ),
    _once(
        "cold_start_ms",
        _words(
            "cold start", "Cold start, ms", "{} from cold", "fastest from cold", "time from cold",
            "Load and first prefill together: from prepared files to the first token. Absent where the runtime does not tell both.",
        ),
        _cold_start,
    ),
)  # fmt: skip
