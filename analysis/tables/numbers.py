"""Numbers and units as people write them in tables: `1,000,000`, `1.000.000,5`, `1e6`, `3 x 10^8`, `1.3B`, `6.7 nats`, `N (M)`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

SCALES = {
    **dict.fromkeys(("k", "thousand", "thousands"), 1e3),
    **dict.fromkeys(("m", "mm", "mio", "mn", "million", "millions"), 1e6),
    **dict.fromkeys(("b", "bn", "g", "giga", "billion", "billions"), 1e9),
    **dict.fromkeys(("t", "tn", "tera", "trillion", "trillions"), 1e12),
}
"""What a word or a letter, in any case, multiplies a number by."""
BEFORE_A_UNIT = {**SCALES, "p": 1e15, "peta": 1e15, "e": 1e18, "exa": 1e18, "z": 1e21, "zetta": 1e21}
"""What a word or a letter multiplies a unit by, such as the E of EFLOPs."""
POWER = re.compile(r"(?:\s*[x×*·]\s*|^)10\s*(?:\^|\*\*)\s*(?=[-+]?\d)")
SPACES = " _'’\u00a0\u2009\u202f"
NUMBER = re.compile(rf"\s*(?P<digits>[-+]?[\d.,{SPACES}]*\d[.,]?)(?P<power>[eE][-+]?\d+)?\s*(?P<unit>.*?)\s*", re.DOTALL)
THOUSANDS = re.compile(rf"[-+]?\d{{1,3}}(?:(?P<mark>[,{SPACES}])\d{{3}})(?:(?P=mark)\d{{3}})*(?:\.\d*)?")
DOTTED = re.compile(r"[-+]?\d{1,3}(?:\.\d{3}){2,}")
DECIMAL_COMMA = re.compile(r"[-+]?(?:0,\d+|\d+,(?:\d{1,2}|\d{4,})|\d{4,},\d+)")
"""A comma in such digits cannot stand between groups of three."""
POINTS_AND_COMMAS = str.maketrans(",.", ".,")
"""What makes points of commas, and commas of points."""


def has_decimal_commas(cells: Iterable[str | None]) -> bool:
    """Whether some cell's comma can only be a decimal one, so that all are."""
    return any(DECIMAL_COMMA.fullmatch(found["digits"]) for cell in cells if cell and (found := NUMBER.fullmatch(_with_hyphen(cell))))


def has_decimal_points(cells: Iterable[str | None]) -> bool:
    """Whether some cell's point can only be a decimal one, so that a comma is none."""
    return has_decimal_commas(cell and cell.translate(POINTS_AND_COMMAS) for cell in cells)


def _with_hyphen(text: str) -> str:
    """The text with the minus sign that Python's numbers have, in place of the one that typesetters and some locales have."""
    return text.replace("\N{MINUS SIGN}", "-")


def parse_number(text: str, decimal_comma: bool = False) -> tuple[float, str]:
    """A cell's number and the unit behind it, empty where there is none; raises ValueError for other text."""
    text = _with_hyphen(text.strip())
    found = NUMBER.fullmatch(POWER.sub(lambda match: "e" if match.start() else "1e", text, count=1))
    if found is None:
        return float(text), ""  # such as `inf`
    digits = found["digits"]
    swapped = digits.translate(POINTS_AND_COMMAS) if decimal_comma else digits
    if THOUSANDS.fullmatch(swapped):
        digits = re.sub(rf"[,{SPACES}]", "", swapped)
    elif DOTTED.fullmatch(digits):
        digits = digits.replace(".", "")
    elif decimal_comma and "," in digits:
        digits = swapped
    return float(digits + (found["power"] or "")), found["unit"]


def largest_number(cells: Iterable[str | None]) -> float | None:
    """The largest number in a column; None where a cell holds something else."""
    try:
        return max((parse_number(cell)[0] for cell in cells if cell), default=None)
    except ValueError:
        return None


def plain_numbers(cells: Sequence[str], may_have_decimal_commas: bool) -> list[str]:
    """A column of numbers as Python writes them; as it is where a cell is no number, or may be a list with commas or spaces.

    `may_have_decimal_commas` says that no comma stands between cells, and nothing else tells that a comma in a number is none of its own.
    """
    texts = [cell.strip() for cell in cells]
    comma = may_have_decimal_commas and has_decimal_commas(texts) and not any(text.count(",") > 1 for text in texts)
    grouped = not comma and any("," in text for text in texts)
    if any(" " in text for text in texts) or (grouped and not any(re.search(r"\d,0\d\d", text) for text in texts)):
        return list(cells)
    try:
        found = [parse_number(text, comma) if text else None for text in texts]
        values = [None if each is None else each[0] * SCALES[each[1].lower()] if each[1] else each[0] for each in found]
    except (ValueError, KeyError):
        return list(cells)
    return ["" if value is None else str(int(value)) if value.is_integer() else repr(value) for value in values]


def unit_factor(unit: str, own: Mapping[str, float]) -> float | None:
    """What a unit multiplies by: one of its `own` words, a scale, both, or a power of ten; None for an unknown one."""
    word = re.sub(r"^(in|of|x|×|\*)\s+|^[x×*](?=\d)|\.$", "", unit.strip().lower()).strip()
    if not word:
        return 1.0
    if word in own:
        return own[word]
    if word in SCALES:
        return SCALES[word]
    for name, factor in own.items():
        if word.endswith(name) and (scale := word[: -len(name)].strip(" -")) in BEFORE_A_UNIT:
            return BEFORE_A_UNIT[scale] * factor
    power = re.fullmatch(r"(?:1e|10\s*(?:\^|\*\*)\s*)(\d{1,2})|10(0*)", word.replace(",", ""))
    return None if power is None else 10.0 ** (int(power[1]) if power[1] else len(power[2]) + 1)
