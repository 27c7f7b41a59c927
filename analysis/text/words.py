"""How numbers are written for people: the same in figures, sentences and tables."""

from __future__ import annotations

from math import floor, log10

from analysis.records.record import Outcome
from search_space.architecture import Architecture
from search_space.fields import OPTIONAL

ABSENT = "–"
SIGNIFICANT_DIGITS = 15
"""Significant digits that every number has."""
YEAR_SECONDS = 365.25 * 86_400
JOULES_PER_KILOWATT_HOUR = 3.6e6
OUTCOMES = {
    Outcome.FINISHED: "finished",
    Outcome.STOPPED: "stopped early",
    Outcome.OVER_LIMIT: "was over a limit",
    Outcome.DIVERGED: "diverged",
    Outcome.OUT_OF_MEMORY: "ran out of memory",
    Outcome.TIMED_OUT: "timed out",
    Outcome.FAILED: "failed",
    Outcome.LOST: "was lost",
}


def milliseconds(value: float | None) -> str:
    """`24.0 ms`, three significant digits."""
    return ABSENT if value is None else f"{_significant(value)} ms"


def bits_text(value: float | None) -> str:
    """A loss in bits per byte: `2.071`."""
    return ABSENT if value is None else f"{value:.3f}"


def bits_range(low: float | None, high: float | None) -> str:
    """`2.058 to 2.084`."""
    return ABSENT if low is None else f"{bits_text(low)} to {bits_text(high)}"


def probability(value: float | None) -> str:
    """`87%`; `<1%` and `>99%` near the ends, for nothing is certain here."""
    if value is None:
        return ABSENT
    return "<1%" if value < 0.01 else ">99%" if value > 0.99 else f"{value:.0%}"


def shape(a: Architecture) -> list[str]:
    """Depth and width, heads, MLP and sharing, a line each; then what else departs from the usual, where something does."""
    stored = f" ({a.num_unique_layers} stored)" if a.num_hidden_layers != a.num_unique_layers else ""
    sharing = "" if a.sharing.strategy == "none" else f", {a.sharing.strategy} sharing of the {a.sharing.part} x{a.sharing.repeats}"
    others = [field.label(a) for field in OPTIONAL if field.label is not None and field.departs(a)]
    return [
        f"{plural(a.num_hidden_layers, 'layer')}{stored}, hidden size {a.hidden_size}",
        f"{plural(a.num_attention_heads, 'head')}, {plural(a.num_key_value_heads, 'key-value head')}, head dim {a.head_dim}",
        f"{a.mlp} MLP of {a.intermediate_size}{sharing}",
        *([", ".join(others)] if others else []),
    ]


def quantity(value: float) -> str:
    """`251,384` below a million, then `12.4 million`, `3.1 billion`, and powers of ten from 10^15 on."""
    if value < 1e6:
        return f"{value:,.0f}"
    if value >= 1e15:
        mantissa, exponent = f"{value:.1e}".split("e")
        return f"{mantissa} × 10^{int(exponent)}"
    size, word = max((size, word) for size, word in ((1e6, "million"), (1e9, "billion"), (1e12, "trillion")) if value >= size)
    return f"{value / size:.3g} {word}"


def short(count: float) -> str:
    """`123k`, `1.23M`, `20.4B`, for narrow columns."""
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return f"{count:g}"


def span(seconds: float) -> str:
    """`41 s`, `12 min`, `7.7 h`, `23 days`, `6.3 years`, for narrow columns."""
    steps = ((YEAR_SECONDS, "years"), (2 * 86_400.0, "days"), (3_600.0, "h"), (60.0, "min"))
    for least, unit in steps:
        if seconds >= least:
            return f"{_two(seconds / (86_400 if unit == 'days' else least))} {unit}"
    return f"{seconds:.0f} s"


def hours(count: float) -> str:
    """`0.0012`, `1.7`, `10,438`: GPU hours to about two digits."""
    return f"{count:.2g}" if count < 10 else f"{count:,.0f}"


def disk(count: float) -> str:
    """`4.0 MB`, `40 GB`, in powers of ten as disks are sold."""
    size, unit = next(((size, unit) for size, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB")) if count >= size), (1e3, "kB"))
    return f"{_two(count / size)} {unit}"


def bytes_text(count: float) -> str:
    """`131 kB`, `4.19 MB`, in powers of ten, three significant digits."""
    unit, name = next(((unit, name) for unit, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")) if count >= unit), (1.0, "B"))
    return f"{_significant(count / unit)} {name}" if unit > 1 else f"{count:.0f} B"


def interval_ends(low: float, high: float, digits: int = 4) -> tuple[str, str]:
    """The ends of an interval with as many significant digits as tell them apart, where they differ at all."""
    while digits < SIGNIFICANT_DIGITS and low != high and f"{low:.{digits}g}" == f"{high:.{digits}g}":
        digits += 1
    return f"{low:.{digits}g}", f"{high:.{digits}g}"


def share_less(ours: float, theirs: float) -> str:
    """The share by which ours is less than theirs: `12%`, `<1%`."""
    share = 1 - ours / theirs
    return "<1%" if 0 < share < 0.005 else f"{share:.0%}"


def _two(value: float) -> str:
    return f"{value:.1f}" if value < 10 else f"{value:,.0f}"


def duration(seconds: float) -> str:
    """`41 s`, `3 min 5 s`, `2 h 10 min`, and years from a hundred on."""
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    if seconds >= 100 * YEAR_SECONDS:
        return f"{seconds / YEAR_SECONDS:,.0f} years"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60:,} h {minutes % 60} min"


def plural(count: int, noun: str) -> str:
    """`1 trial`, `2 trials`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def trials_text(shapes: int, references: int, again: int) -> str:
    """What a study's trials are: `9 trials: 6 shapes, 2 references and 1 trained again`; every place counts them so."""
    others = [*([plural(references, "reference")] if references else []), *([f"{again} trained again"] if again else [])]
    parts = f": {joined([plural(shapes, 'shape'), *others])}" if others else ""
    return f"{plural(shapes + references + again, 'trial')}{parts}"


def capitalised(text: str) -> str:
    """The text as the beginning of a sentence; the rest of it stays as it is."""
    return f"{text[:1].upper()}{text[1:]}"


def joined(words: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def _significant(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:#.3g}"


def energy_text(joules: float) -> str:
    """`2.29 J`, and kilowatt hours from a tenth of one on."""
    if joules < JOULES_PER_KILOWATT_HOUR / 10:
        return f"{three_digits(joules)} J"
    return f"{three_digits(joules / JOULES_PER_KILOWATT_HOUR)} kWh"


def three_digits(value: float) -> str:
    """Three digits that count, written out: `2.29`, `3,210`, `0.00042`, `0`."""
    decimals = 0 if value == 0 else max(0, 2 - floor(log10(abs(value))))
    written = f"{float(f'{value:.3g}'):,.{decimals}f}"
    return written.rstrip("0").rstrip(".") if "." in written else written
