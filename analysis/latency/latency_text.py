"""A latency in words, for a terminal."""

from __future__ import annotations

from analysis.records.latency import Latency


def latency_text(taken: Latency) -> str:
    """A line for each time, and one that says how they were taken."""
    spreads = {"total": taken.total_ms, "prefill": taken.prefill_ms, "decode, a token": taken.decode_ms_per_token}
    spreads |= {f"at {at.cached_tokens:,}{', disturbed' if at.disturbed else ''}": at.decode_ms_per_token for at in taken.at_positions}
    lines = [f"{name:<16} {spread.median:10.3f} ms   p10 {spread.p10:.3f}   p90 {spread.p90:.3f}" for name, spread in spreads.items()]
    if taken.yardstick is not None:
        ratio = taken.yardstick.ratio
        lines.append(f"{'ratio':<16} {ratio.median:10.3f}      p10 {ratio.p10:.3f}   p90 {ratio.p90:.3f}, to {taken.yardstick.label}")
    for name, once in (("load", taken.load_ms), ("first prefill", taken.first_prefill_ms)):
        if once is not None:
            lines.append(f"{name:<16} {once:10.3f} ms   once")
    if taken.peak_memory_bytes is not None:
        lines.append(f"{'memory':<16} {taken.peak_memory_bytes / (1 << 20):10.1f} MiB  at most")
    if taken.bandwidth_share is not None:
        lines.append(f"{'decoding reads':<16} {taken.bandwidth_share:10.1%}      of the memory's bandwidth")
    tokens, runtime = f"{taken.prompt_tokens} + {taken.new_tokens} tokens", f"{taken.runtime} {taken.runtime_version}"
    lines.append(f"{tokens}, {taken.repeats} repeats, {runtime}, {taken.device}")
    return "\n".join(lines)
