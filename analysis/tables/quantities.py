"""A column of cells as numbers: amounts with their units, shares, and losses from perplexities."""

from __future__ import annotations

import math
import re

import numpy as np

from analysis.statistics.arrays import Array
from analysis.tables.cell_table import CellTable
from analysis.tables.headings import Heading, Meaning
from analysis.tables.numbers import parse_number, unit_factor
from search_space.errors import SpecError, quoted, shortened
from search_space.parse import LEAST_REAL, MOST_REAL


def amounts(table: CellTable, meaning: Meaning, heading: Heading, comma: bool) -> tuple[Array, str]:
    """A column of numbers above 0, its unit applied, and the unit that its cells have behind them.

    Raises SpecError with the line of a cell that is no such number, or has a unit that `meaning` does not know.
    """
    column, factor = heading.name, heading.factor(meaning, table.path)
    values, units = [], dict[str, int]()
    for row, text in enumerate(table[column]):
        try:
            value, unit = parse_number(text or "", comma)
            scale = unit_factor(unit, meaning.units)
            if scale is None:
                raise ValueError(text)
        except ValueError:
            known = f", in {', '.join(list(meaning.units)[:4])} where it has a unit" if text and re.match(r"\s*\d", text) else ""
            raise SpecError(
                f"{table.at(row)}: {column} must be a number{known}, found {quoted(text)}; correct the cell, or flag the row as excluded"
            ) from None
        if unit:
            units.setdefault(unit, row)
        value *= scale if unit and unit.lower() not in meaning.units else scale * factor
        if not (math.isfinite(value) and value > 0):
            raise SpecError(
                f"{table.at(row)}: {column} must be above 0 and finite, found {shortened(text)}; correct the cell, or flag the row "
                "as excluded"
            )
        if not LEAST_REAL <= value <= MOST_REAL:
            raise SpecError(
                f"{table.at(row)}: {column} must be from {LEAST_REAL:g} to {MOST_REAL:g}, found {shortened(text)}; correct the cell, "
                "or flag the row as excluded"
            )
        values.append(value)
    kinds = {unit.lower()[:3]: row for unit, row in units.items()} if meaning.name == "loss" else {}
    if len(kinds) > 1:
        one, other = list(units.items())[:2]
        raise SpecError(
            f"{table.path}: {column} must be in one unit, found {one[0]} on line {table.lines[one[1]]} and {other[0]} on line "
            f"{table.lines[other[1]]}; convert one of them"
        )
    return np.array(values), ", ".join(units) if len(units) <= 3 else "units of their own"


def shares(table: CellTable, column: str, comma: bool) -> Array:
    """Shares of 1, NaN where a cell is empty; 61 % is 0.61."""
    values = []
    for row, cell in enumerate(table[column]):
        text = (cell or "").strip()
        try:
            value, unit = parse_number(text, comma) if text else (math.nan, "")
            value = value / 100 if unit == "%" else value if not unit else math.inf
        except ValueError:
            value = math.inf
        if not (math.isnan(value) or 0 <= value <= 1):
            raise SpecError(
                f"{table.at(row)}: {column} must be a share from 0 to 1 or empty, found {quoted(text)}; divide percentages by 100"
            )
        values.append(value)
    return np.array(values)


def logarithms(table: CellTable, column: str, perplexities: Array) -> Array:
    """Losses in nats from perplexities; raises SpecError with the line of one that is none."""
    for row in np.flatnonzero(perplexities <= 1).tolist():
        raise SpecError(f"{table.at(row)}: {column} must be a perplexity above 1, found {perplexities[row]:g}; leave --perplexity out")
    return np.log(perplexities)
