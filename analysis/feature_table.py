"""A published table of architecture features and milliseconds, as terms and outlines that a time can be modelled from.

Columns with Hugging Face's names (and a few others' names for the same) make up a decoder, block by block where a cell is a list. Other
tables are taken column by column.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from analysis.decoder_rows import ASSUMED, BESIDE, NAMES, NEEDED, UNKNOWN_WORKLOAD, numbers, size, stack_of, work
from analysis.latency_terms import Stack, columns, decode_terms, outline
from search_space.errors import SpecError, unknown_key

Array = npt.NDArray[np.float64]
OUTCOMES = re.compile(
    r"(^|_)(latency|ms|us|s|seconds|time|energy|power|watts?|ppl|perplexity|loss|acc|accuracy|std|sd|latsd|throughput)(_|$)"
)
"""Columns named so are measurements, not features, unless they are asked for."""
KINDS = 12
"""Most different texts in a column that is a feature."""


@dataclass(frozen=True)
class Features:
    """A table's rows, ready to be modelled."""

    times: Array
    """In ms; shape [rows]."""
    terms: Array
    """Amounts of work, none negative; shape [rows, terms]."""
    outlines: Array
    """Logarithms or scaled values of what tells rows apart; shape [rows, numbers]."""
    sizes: Array | None
    """Weights that a token is multiplied with; None for a table that is taken column by column."""
    used: tuple[str, ...]
    """Columns that were read."""
    notes: tuple[str, ...]
    """What a reader of the errors must know: what was assumed and left out."""

    def __len__(self) -> int:
        return len(self.times)


def read_features(path: Path, column: str = "latency_ms", chosen: Sequence[str] = ()) -> Features:
    """The rows that have a time; `chosen` names columns that are features beside, or in place of, a decoder's.

    Raises SpecError where the table, a column or a cell is not what it must be.
    """
    rows = _rows(path)
    header = list(rows[0])
    for name in (column, *chosen):
        if name not in header:
            raise unknown_key(f"the column {name} of {path}", name, header)
    kept = [(line, row) for line, row in enumerate(rows, start=2) if (row[column] or "").strip()]
    if not kept:
        raise SpecError(f"{path} must have milliseconds in its column {column}, found none")
    times = np.array([_time(path, line, column, row[column]) for line, row in kept])
    notes = [f"{len(rows) - len(kept)} rows without {column} are left out"] if len(kept) < len(rows) else []
    values = {name: [row[name] or "" for _, row in kept] for name in header if name != column}
    found = {name: next((word for word in (name, *others) if word in values), None) for name, others in NAMES.items()}
    named = {name: values[word] for name, word in found.items() if word is not None}
    if all(name in named for name in NEEDED):
        chosen = [*dict.fromkeys([*chosen, *(name for name in BESIDE if name in values)])]
        return _decoders(
            path, times, named, {name: values[name] for name in chosen}, values, [word for word in found.values() if word], notes
        )
    used = list(chosen) or [name for name in values if not OUTCOMES.search(name.lower())]
    left = [name for name in values if name not in used]
    notes += [f"taken column by column, for {' and '.join(NEEDED)} are not both there"]
    notes += [f"not used: {', '.join(left)}"] if left else []
    made = [part for name in used for part in _parts(name, values[name])]
    if not made:
        raise SpecError(f"{path} must have columns of features beside {column}, found none; name them with --features")
    plain, scaled = (np.column_stack(each) for each in zip(*made, strict=True))
    terms = np.column_stack([np.ones(len(times)), plain])
    return Features(times, terms, scaled, None, tuple(used), tuple(notes))


def _decoders(
    path: Path,
    times: Array,
    named: Mapping[str, list[str]],
    chosen: Mapping[str, list[str]],
    values: Mapping[str, list[str]],
    used: list[str],
    notes: list[str],
) -> Features:
    stacks: list[Stack] = []
    works: list[dict[str, float]] = []
    for place in range(len(times)):
        row = {name: cells[place] for name, cells in named.items()}
        try:
            stacks.append(stack_of(row))
            works.append({name: float(row[name]) for name in ("prompt_tokens", "new_tokens") if name in row})
        except (ValueError, IndexError, ZeroDivisionError, SpecError):
            raise SpecError(f"{path}, row {place + 1}: {row} is not a decoder; correct it, or choose columns with --features") from None
    timed = all(len(stated) == 2 for stated in works)
    terms = columns(
        [work(stack, stated) if timed else decode_terms(stack, UNKNOWN_WORKLOAD) for stack, stated in zip(stacks, works, strict=True)]
    )[1]
    outlines = np.log(columns([outline(stack, UNKNOWN_WORKLOAD) for stack in stacks])[1])
    if timed:
        outlines = np.column_stack([outlines, np.log([[stated["prompt_tokens"], stated["new_tokens"]] for stated in works])])
    extra = [scaled for name, cells in chosen.items() for _, scaled in _parts(name, cells)]
    assumed = [f"{name} = {rule}" for name, rule in ASSUMED.items() if name not in named and not (name[0] == "i" and "mlp_ratio" in named)]
    left = [name for name in values if name not in used and name not in chosen]
    notes = [*notes, f"assumed: {', '.join(assumed)}"] if assumed else notes
    notes = [*notes, f"not used: {', '.join(left)}; --features takes some of them in"] if left else notes
    sizes = np.array([size(stack) for stack in stacks])
    return Features(times, terms, np.column_stack([outlines, *extra]), sizes, (*used, *chosen), tuple(notes))


def _parts(name: str, cells: Sequence[str]) -> list[tuple[Array, Array]]:
    """A column as amounts that are not negative, and as what tells rows apart; a list counts with its sum, a text as one column a kind."""
    flags = {"true": "1", "yes": "1", "false": "0", "no": "0", "": "0"}
    try:
        values = np.array([sum(numbers(flags.get(cell.strip().lower(), cell))) for cell in cells])
    except ValueError:
        kinds = sorted(set(cells))
        if len(kinds) > KINDS:
            return []
        return [(column := np.array([float(cell == kind) for cell in cells]), column) for kind in kinds[1:]]
    if not np.isfinite(values).all():
        raise SpecError(f"the column {name} must hold finite numbers; correct it, or choose other columns with --features") from None
    scale = float(np.abs(values).max()) or 1.0
    if values.min() > 0:
        return [(values, np.log(values))]
    return [(np.maximum(values, 0.0), values / scale)] + ([(np.maximum(-values, 0.0), np.abs(values) / scale)] if values.min() < 0 else [])


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        raise SpecError(f"{path} is not a file; name a CSV with a row for each shape")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (csv.Error, UnicodeDecodeError):
        raise SpecError(f"{path} must be a CSV in UTF-8, found other bytes; export the table as CSV") from None
    if not rows:
        raise SpecError(f"{path} must have a line of column names and rows below it, found none")
    return rows


def _time(path: Path, line: int, column: str, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise SpecError(f"{path}:{line} must have milliseconds above 0 in {column}, found {cell!r}; correct it, or leave the cell empty")
    return value
