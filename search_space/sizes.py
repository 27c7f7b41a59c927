"""Sizes as people write them, `32k`, `1M`, `2.5GB`, `30s`, as numbers in the unit that a name ends in."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

COUNT_UNITS: dict[str, int | Decimal] = {"k": 10**3, "K": 10**3, "M": 10**6, "B": 10**9, "G": 10**9, "T": 10**12}
"""Multiples of a count: thousands, millions, billions, trillions."""
BYTE_UNITS: dict[str, int | Decimal] = {
    "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
    **{letter: factor for letter, factor in COUNT_UNITS.items() if letter != "B"},
}  # fmt: skip
"""Multiples of a byte; a kB is 1,000 bytes, a KiB 1,024."""
SECOND_UNITS: dict[str, int | Decimal] = {"ms": Decimal("0.001"), "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
MILLISECOND_UNITS: dict[str, int | Decimal] = {"ms": 1, "s": 1000}
WRITTEN = re.compile(r"([-+]?(?:\d{1,3}(?:,\d{3})+|\d[\d_]*)?(?:\.\d*)?(?:[eE][-+]?\d+)?)\s*([A-Za-z]*)")
LONGEST_EXPONENT = 400
"""Largest power of ten that is written out; a larger number is infinite."""


def written_number(text: str, name: str = "") -> int | float | None:
    """The number that a text says, whole where it is whole; None where it says none.

    Multiples are those of bytes where the name says bytes, of seconds or milliseconds where it ends in them, else those of counts.
    """
    found = WRITTEN.fullmatch(text.strip())
    multiples = _multiples(name)
    if found is None or (found[2] and found[2] not in multiples):
        return _float(text)
    try:
        value = Decimal(found[1].replace("_", "").replace(",", ""))
    except InvalidOperation:
        return _float(text)
    if abs(value.adjusted()) > LONGEST_EXPONENT:
        return _float(found[1])
    value *= multiples.get(found[2], 1)
    return int(value) if value == value.to_integral_value() else float(value)


def _multiples(name: str) -> dict[str, int | Decimal]:
    if "bytes" in name:
        return BYTE_UNITS
    if name.endswith("seconds"):
        return SECOND_UNITS
    return MILLISECOND_UNITS if name.endswith("_ms") or "_ms_" in name else COUNT_UNITS


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
