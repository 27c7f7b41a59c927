"""A device's table learns from a study's trials: what they measured joins the fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from analysis.latency.device_table import Row, append_row, read_table
from analysis.records.latency import Latency, Spread, Yardstick
from analysis.records.record import read_finals, read_records
from trials.latency.device_tables import adding_to


def add_trials(path: Path, directory: Path) -> tuple[int, str | None]:
    """Add the latencies of a study's trials to a table: how many, and why another one was left out.

    A shape that was measured again after the search counts with that; one that the table has is not added. What the yardstick counted as
    in the study may differ from the table's, so times are brought to the table's. Waits until no other process adds to the table.
    """
    with adding_to(path):
        return _add_trials(path, directory)


def _add_trials(path: Path, directory: Path) -> tuple[int, str | None]:
    table, finals = read_table(path), read_finals(directory)
    known = {row.architecture for row in table.rows}
    paces = {stick.label: stick for row in table.rows if (stick := row.latency.yardstick) is not None}
    added, left_out = 0, None
    for record in read_records(directory):
        final = finals.get(record.number)
        latency = (final.latency if final else None) or record.latency
        if latency is None or record.architecture in known:
            continue
        if (other := table.header.differs(latency)) is not None:
            left_out = f"{record.title}: {other}"
            continue
        known.add(record.architecture)
        append_row(path, Row(architecture=record.architecture, role="trial", latency=at_pace_of(latency, paces)))
        added += 1
    return added, left_out


def at_pace_of(latency: Latency, paces: Mapping[str, Yardstick]) -> Latency:
    """The latency with its yardstick counting as another measurement's does; as it is where there is no such yardstick."""
    own = latency.yardstick
    pace = None if own is None else paces.get(own.label)
    if own is None or pace is None:
        return latency
    prefill = _times(latency.prefill_ms, pace.device_prefill_ms / own.device_prefill_ms)
    decode = _times(latency.decode_ms_per_token, pace.device_decode_ms / own.device_decode_ms)
    before, after = (
        one.prefill_ms.median + latency.new_tokens * one.decode_ms_per_token.median
        for one in (latency, replace(latency, prefill_ms=prefill, decode_ms_per_token=decode))
    )
    stick = replace(own, device_prefill_ms=pace.device_prefill_ms, device_decode_ms=pace.device_decode_ms)
    return replace(
        latency, total_ms=_times(latency.total_ms, after / before), prefill_ms=prefill, decode_ms_per_token=decode, yardstick=stick
    )


def _times(spread: Spread, factor: float) -> Spread:
    return Spread(median=factor * spread.median, p10=factor * spread.p10, p90=factor * spread.p90)
