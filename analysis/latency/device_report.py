"""What a device's table says of itself: what was measured, what the time is made of, and how well other shapes are predicted."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from analysis.latency.device_table import DeviceTable
from search_space.architecture import Architecture
from search_space.cost import parameters


def table_facts(table: DeviceTable) -> dict[str, Any]:
    """Ready for JSON."""
    sizes = [parameters(row.architecture) for row in table.rows]
    prefill, decode = table.model.shares()
    checks = table.check_errors()
    return {
        "name": table.name,
        **asdict(table.header),
        "activations": table.activations,
        "fitted": sum(row.role != "check" for row in table.rows),
        "checks": sum(row.role == "check" for row in table.rows),
        "disturbed": sum(row.latency.disturbed for row in table.rows),
        "parameters": [min(sizes), max(sizes)],
        "left_out_errors": asdict(table.left_out_errors),
        "check_errors": None if checks is None else asdict(checks),
        "prefill_shares": prefill,
        "decode_shares": decode,
    }


def predicted_facts(table: DeviceTable, shape: Architecture, *, far: bool) -> dict[str, Any]:
    """What the table says of a shape's latency, ready for JSON; SpecError where the shape is too far outside of it, unless `far`."""
    found = table.predict([shape], far=far)[0]
    low, high = found.total.between()
    return {
        "device": str(table.header),
        "total_ms": round(found.total.ms, 4),
        "total_ms_low": round(low, 4),
        "total_ms_high": round(high, 4),
        "prefill_ms": round(found.prefill.ms, 4),
        "decode_ms_per_token": round(found.decode.ms, 4),
        "outside": found.outside,
        "times_outside": round(found.times_outside, 3),
    }
