"""Latencies that were measured or predicted, and devices' tables, as plain text."""

from __future__ import annotations

from analysis.fronts.device_front import DeviceTransfer, device_cells, device_columns, transfer_rows, transfer_sentences
from analysis.latency.device_report import table_facts
from analysis.latency.device_table import DeviceTable
from analysis.records.latency import Latency
from analysis.text.columns import ON_THE_LEFT, wrapped_table


def transfer_text(transfer: DeviceTransfer, width: int | None = None) -> str:
    """The front that a device's table predicts, then what is to be known of the prediction; `width` is that of a terminal."""
    columns = device_columns(transfer)
    rows = [columns, *(device_cells(row, transfer) for row in transfer_rows(transfer)["front"])]
    left = [place for place, name in enumerate(columns) if name in ON_THE_LEFT]
    return "\n".join([*wrapped_table(rows, left, width), "", *transfer_sentences(transfer)])


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


LEAST_NAMED_SHARE = 0.005
"""Share of the time below which a term is not named."""


def device_table_text(table: DeviceTable) -> str:
    """What a device's table was fitted to, how well it predicts, and what the time is made of."""
    found = table_facts(table)
    low, high = found["parameters"]
    checks = table.check_errors()
    lines = [
        f"device   {table.header}",
        f"shapes   {found['fitted']} fitted, {found['checks']} to check, {low:,} to {high:,} parameters"
        + (f"; {found['disturbed']} disturbed" if found["disturbed"] else ""),
        f"left out {table.left_out_errors}",
    ]
    lines += [f"checks   {checks}"] if checks is not None else []
    for phase in ("prefill", "decode"):
        shares = sorted(found[f"{phase}_shares"].items(), key=lambda each: -each[1])
        lines.append(f"{phase:<8} {', '.join(f'{name} {share:.0%}' for name, share in shares if share >= LEAST_NAMED_SHARE)}")
    return "\n".join(lines)
