"""A published table of architecture features and milliseconds, as terms and outlines that a time can be modelled from.

Columns with Hugging Face's names (and a few others' names for the same) make up a decoder, block by block where a cell is a list. Other
tables are taken column by column.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analysis.latency.cost_terms import columns, decode_terms, outline, pass_terms
from analysis.latency.decoder_rows import (
    ASSUMED,
    EXTRA_FEATURES,
    NEEDED,
    OTHER_NAMES,
    UNKNOWN_WORKLOAD,
    UNSTATED_TOKENS,
    numbers,
    positive_number,
    size,
    stack_of,
    unread,
    work,
)
from analysis.statistics.arrays import Array
from analysis.tables.cell_table import CellTable, read_cells
from analysis.tables.headings import Heading
from analysis.tables.numbers import has_decimal_points, parse_number, plain_numbers
from search_space.errors import SpecError, quoted, unknown_key

MEASURED_COLUMNS = re.compile(
    r"(^|_)(latency|ms|us|s|seconds|time|energy|power|watts?|ppl|perplexity|loss|acc|accuracy|std|sd|latsd|throughput)(_|$)"
)
"""Columns named so are measurements, not features, unless they are asked for."""
MILLISECONDS = {"": 1.0, "ms": 1.0, "s": 1e3, "us": 1e-3, "µs": 1e-3, "μs": 1e-3, "ns": 1e-6}
"""What a unit in a cell makes of a time."""
MOST_KINDS = 12
"""Most different texts in a column that is a feature."""


@dataclass(frozen=True)
class Features:
    """A table's rows, ready to be modelled."""

    times: Array
    """Measured times in ms; shape [rows]."""
    terms: Array
    """Amounts of work, none negative; shape [rows, terms]."""
    outlines: Array
    """Logarithms or scaled values of what tells rows apart; shape [rows, numbers]."""
    backbone: Array | None
    """The few amounts of work that a time outside of the measured rows is told by; shape [rows, terms]. None for a table that is taken
    column by column, and where rows say how many tokens they timed."""
    widths: Array | None
    """Widths of the residual streams, shape [rows]; None for a table that is taken column by column."""
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
    whole = read_cells(path)
    if not len(whole):
        raise SpecError(f"{path} must have a line of column names and rows below it, found none; export the table again")
    for name in (column, *chosen):
        if name not in whole.names:
            raise unknown_key(f"the column {name} of {path}", name, whole.names)
    table = whole.rows([bool((cell or "").strip()) for cell in whole[column]])
    if not len(table):
        raise SpecError(f"{path} must have milliseconds in its column {column}, found none; name another column")
    if column in chosen:
        raise SpecError(f"--features must name other columns than {column}, which is what is predicted; leave it out")
    notes = [f"{len(whole) - len(table)} rows without {column} are left out"] if len(table) < len(whole) else []
    first, said = table.without_repeated(zip(*([(cell or "").strip() for cell in cells] for cells in table.columns), strict=True))
    table, notes = table.rows(first), [*notes, *said]
    commas = table.may_have_decimal_commas and not has_decimal_points(table[column])
    times = np.array([_time(table.at(row), column, cell) for row, cell in enumerate(_cells(table, column, commas))])
    values = {name: _cells(table, name, commas) for name in table.names if name != column}
    words = {Heading.of(name).plain: name for name in reversed(values)}
    found = {name: next((words[word] for word in (name, *others) if word in words), None) for name, others in OTHER_NAMES.items()}
    named = {name: values[word] for name, word in found.items() if word is not None}
    if all(name in named for name in NEEDED):
        beside = {
            name: _parts(name, values[name]) for name in dict.fromkeys([*chosen, *(name for name in EXTRA_FEATURES if name in values)])
        }
        idle = unread(named)
        read = [word for name, word in found.items() if word and name not in idle]
        return _decoders(table, times, named, beside, list(values), read, notes)
    parts = {name: _parts(name, values[name]) for name in chosen or [name for name in values if not MEASURED_COLUMNS.search(name.lower())]}
    used = [name for name, made in parts.items() if made]
    left = [name for name in values if name not in used]
    notes += [f"taken column by column, for {' and '.join(NEEDED)} are not both there"]
    notes += [f"not used: {', '.join(left)}"] if left else []
    made = [part for name in used for part in parts[name]]
    if not made:
        raise SpecError(f"{path} must have columns of features beside {column}, found none; name them with --features")
    plain, scaled = (np.column_stack(each) for each in zip(*made, strict=True))
    terms = np.column_stack([np.ones(len(times)), plain])
    return Features(times, terms, scaled, None, None, None, tuple(used), tuple(notes))


def _decoders(
    table: CellTable,
    times: Array,
    named: Mapping[str, list[str]],
    beside: Mapping[str, list[tuple[Array, Array]]],
    header: Sequence[str],
    read: list[str],
    notes: list[str],
) -> Features:
    stated = [name for name in UNSTATED_TOKENS if name in named]
    sizes: list[float] = []
    widths: list[float] = []
    terms: list[dict[str, float]] = []
    backbone: list[dict[str, float]] = []
    outlines: list[dict[str, float]] = []
    for place in range(len(table)):
        row = {name: cells[place] for name, cells in named.items()}
        try:
            stack, tokens = stack_of(row), {name: positive_number(row[name]) for name in stated}
            sizes.append(positive_number(size(stack)))
            widths.append(stack.hidden_size)
            terms.append(work(stack, tokens) if stated else decode_terms(stack, UNKNOWN_WORKLOAD))
            backbone += [] if stated else [pass_terms(stack, UNKNOWN_WORKLOAD)]
            outlines.append({name: positive_number(number) for name, number in {**outline(stack, UNKNOWN_WORKLOAD), **tokens}.items()})
            positive_number(sum(terms[-1].values()))
        except (ValueError, IndexError, ArithmeticError):
            raise SpecError(
                f"{table.at(place)} must hold a decoder in numbers above 0, sizes and counts in whole ones, found {row}; "
                "correct it, or choose columns with --features"
            ) from None
    extra = [scaled for made in beside.values() for _, scaled in made]
    used = [*read, *(name for name, made in beside.items() if made and name not in read)]
    known = {*named, *(["intermediate_size"] if "mlp_ratio" in named else []), *([] if stated else UNSTATED_TOKENS)}
    assumed = [f"{name} = {rule}" for name, rule in (*ASSUMED.items(), *UNSTATED_TOKENS.items()) if name not in known]
    left = [name for name in header if name not in used]
    notes = [*notes, f"assumed: {', '.join(assumed)}"] if assumed else notes
    notes = [*notes, f"not used: {', '.join(left)}; --features takes some of them in"] if left else notes
    logs = np.log(columns(outlines)[1])
    return Features(
        times=times,
        terms=columns(terms)[1],
        outlines=np.column_stack([logs, *extra]),
        backbone=columns(backbone)[1] if backbone else None,
        widths=np.array(widths),
        sizes=np.array(sizes),
        used=tuple(used),
        notes=tuple(notes),
    )


def _parts(name: str, cells: Sequence[str]) -> list[tuple[Array, Array]]:
    """A column as amounts that are not negative, and as what tells rows apart; a list counts with its sum, a text as one column a kind."""
    flags = {"true": "1", "yes": "1", "false": "0", "no": "0", "": "0"}
    try:
        values = np.array([sum(numbers(flags.get(cell.strip().lower(), cell))) for cell in cells])
    except ValueError:
        kinds = sorted(set(cells))
        if len(kinds) > MOST_KINDS:
            return []
        return [(column := np.array([float(cell == kind) for cell in cells]), column) for kind in kinds[1:]]
    if not np.isfinite(values).all():
        raise SpecError(f"the column {name} must hold finite numbers; correct it, or choose other columns with --features") from None
    scale = float(np.abs(values).max()) or 1.0
    if values.min() > 0:
        return [(values, np.log(values))]
    return [(np.maximum(values, 0.0), values / scale)] + ([(np.maximum(-values, 0.0), np.abs(values) / scale)] if values.min() < 0 else [])


def _cells(table: CellTable, name: str, may_have_decimal_commas: bool) -> list[str]:
    return plain_numbers([(cell or "").strip() for cell in table[name]], may_have_decimal_commas)


def _time(where: str, column: str, cell: str) -> float:
    try:
        value, unit = parse_number(cell)
        value *= MILLISECONDS[unit.lower()]
    except (ValueError, KeyError):
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise SpecError(f"{where} must have milliseconds above 0 in {column}, found {quoted(cell)}; correct it, or leave the cell empty")
    return value
