"""Reads runs to fit a law to from a person's table: which column is what, which rows enter, what its cells say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis.laws.options import Columns
from analysis.laws.run_checks import doubts_of, is_training_compute
from analysis.laws.runs import FLOPS_PER_PARAMETER_TOKEN, Runs, kept_checkpoints, runs_of
from analysis.statistics.arrays import Array
from analysis.tables.cell_table import CellTable, read_cells
from analysis.tables.headings import MEANING_OF, PERPLEXITIES, Heading, Meaning, heading_meaning, heading_named
from analysis.tables.numbers import has_decimal_commas, largest_number
from analysis.tables.quantities import amounts, logarithms, shares
from search_space.errors import SpecError, quoted, unknown_key

FLAGS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False, "": False}
FINISHED = frozenset(("finished", "completed", "complete", "succeeded", "success", "done"))
ENDED_EARLY = frozenset(("crashed", "failed", "killed", "running", "pending", "queued", "preempted", "preempting", "canceled", "cancelled"))
EXCLUDED = "excluded"
"""Usual name of the column of exclusions, which may be absent."""
NEEDED_MEANINGS = {"params": "params", "tokens": "tokens", "loss": "loss"}
"""What every table must tell, with the usual name of its column."""
STATES = ("state", "status", "run_state", "run_status")
"""Columns in which exports of Weights & Biases and MLflow say how a run ended."""


def read_runs(path: Path, columns: Columns, checkpoints: str = "all") -> Runs:
    """Runs of a table (`analysis.tables.cell_table.read_cells`); columns that are not named are found by their headings.

    Rows of one training are those with the same group, parameters, width and depth; without a group column every row is a training of its
    own. `checkpoints` keeps all rows, the `last` of each training, or the lower `hull` of loss against FLOPs. Raises SpecError for a
    missing column, for a cell that is no positive number, with its line, and for a column that as a whole cannot be what it is taken for.
    """
    table, notes = read_cells(path), list[str]()
    out = np.zeros(len(table), dtype=np.bool_)
    headings = _headings(table, columns)
    for left_out, said in (_flagged(table, columns.exclude), _unfinished(table)):
        out, notes = out | left_out, [*notes, *said]
    rows, table = len(table), table.rows((~out).tolist())
    if not len(table):
        raise SpecError(f"{path} must hold at least one run, found {rows} rows{''.join(f'; {note}' for note in notes)}; add rows")
    comma = has_decimal_commas(cell for heading in headings.values() for cell in table[heading.name])
    numbers = {
        name: amounts(table, MEANING_OF.get(name, Meaning(name, (), {})), heading, comma)
        for name, heading in headings.items()
        if name not in ("group", "accuracy")
    }
    if "accuracy" in headings:
        numbers["accuracy"] = shares(table, headings["accuracy"].name, comma), ""
    first, said = table.without_repeated(_keys(table, headings, {name: values for name, (values, _) in numbers.items()}))
    table, notes = table.rows(first), [*notes, *said]
    values = {name: column[first] for name, (column, _) in numbers.items()}
    losses = values.pop("loss")
    if columns.perplexity:
        losses = logarithms(table, headings["loss"].name, losses)
        notes.append(f"losses are the logarithms of the perplexities in `{headings['loss'].name}`")
    taken = {name: heading.name for name, heading in headings.items()}
    notes += [f"cells of `{taken[name]}` are in {unit}" for name, (_, unit) in numbers.items() if unit]
    if "flops" in values and not columns.flops and not is_training_compute(values):
        notes.append(
            f"`{headings['flops'].name}` is left aside, for it is not near 6 N D; name it with --flops where it is training compute"
        )
        values.pop("flops")
        taken.pop("flops")
    for missing, other in (("params", "tokens"), ("tokens", "params")):
        if missing not in values:
            values[missing] = values["flops"] / (FLOPS_PER_PARAMETER_TOKEN * values[other])
            taken[missing] = f"C / (6 {'D' if other == 'tokens' else 'N'})"
            notes.append(f"the table has no {missing}: they are FLOPs / (6 x {other}), attention left out")
    if columns.of_shape and "depth" in values and not {"executed_depth", "repeats"} & values.keys():
        values["repeats"] = np.ones(len(losses))
        notes.append("no column says how many blocks are executed: each is taken to be executed once, so rho is not known")
    vocabulary = heading_named("vocab_size", table.names)
    notes += doubts_of(table, values, losses, taken, largest_number(table[vocabulary.name]) if vocabulary else None)
    labels = [(cell or "").strip() for cell in table[headings["group"].name]] if "group" in headings else None
    runs = runs_of(losses, values, labels, notes, np.array(table.lines), taken)
    return kept_checkpoints(runs, checkpoints, labels is not None)


def _headings(table: CellTable, columns: Columns) -> dict[str, Heading]:
    """The heading of everything that is read, by what it is; raises SpecError for what is not there."""
    found: dict[str, Heading] = {}
    missing: dict[str, SpecError] = {}
    unnamed = NEEDED_MEANINGS.keys() - columns.named.keys()
    for option, name in (*(NEEDED_MEANINGS | columns.named).items(), *((name, name) for name in columns.effects)):
        heading = _usual(table, option, columns.perplexity) if option in unnamed else None
        heading = heading or heading_named(name, table.names)
        if heading is not None:
            found[option] = heading
        else:
            flag = "effect" if option in columns.effects else option.replace("_", "-")
            missing[option] = SpecError(f"{table.path}: {unknown_key(f'column {name}', name, table.names)}; name the column with --{flag}")
    named = columns.params is not None or columns.tokens is not None
    if "flops" not in found and (not named or {"params", "tokens"} & missing.keys()):
        flops = heading_meaning(MEANING_OF["flops"], table.names, table.path)
        found |= {"flops": flops} if flops else {}
    if "flops" in found and len({"params", "tokens"} & missing.keys()) == 1:  # the third follows from two, where nobody named it
        for name in ("params", "tokens"):
            if name in unnamed:
                missing.pop(name, None)
    if "loss" in missing and (perplexity := heading_meaning(PERPLEXITIES, table.names, table.path)):
        raise _perplexity(table, perplexity)
    for error in missing.values():
        raise error
    if columns.of_shape:
        found |= _of_shape(table, found)
    if found["loss"].is_perplexity and not columns.perplexity:
        raise _perplexity(table, found["loss"])
    if "executed_depth" in found and "depth" not in found:
        raise SpecError("--executed-depth is read against --depth (blocks stored), found no --depth; name its column too")
    return found


def _usual(table: CellTable, name: str, perplexity: bool) -> Heading | None:
    """The column of parameters, tokens or losses that nobody named; raises SpecError where several may be meant."""
    meaning = PERPLEXITIES if name == "loss" and perplexity else MEANING_OF[name]
    if name not in table.names or meaning is PERPLEXITIES:
        return heading_meaning(meaning, table.names, table.path)
    _require_once(table, Heading.of(name), meaning)
    return Heading.of(name)


def _require_once(table: CellTable, heading: Heading, meaning: Meaning) -> None:
    """Raise SpecError where another column has the same name but for case, unit or the number that pandas gives a second one."""
    others = ((place, Heading.of(name)) for place, name in enumerate(table.names, 1))
    same = [f"`{other.name}` (column {place})" for place, other in others if other.plain == heading.plain and other.has_unit_of(meaning)]
    if len(same) > 1:
        raise SpecError(
            f"{table.path} must have each column once, found {' and '.join(same)}; rename or remove one, or name one with {meaning.option}"
        )


def _of_shape(table: CellTable, found: Mapping[str, Heading]) -> dict[str, Heading]:
    """Width, stored and executed blocks (or repeats) by their headings, those aside that are `found` already."""
    more: dict[str, Heading] = {}
    for name in ("width", "depth", "executed_depth", "repeats"):
        both = {**found, **more}
        if name in found or (name == "executed_depth" and "depth" not in both) or (name == "repeats" and "executed_depth" in both):
            continue
        taken = {heading.name for heading in both.values()}
        heading = heading_meaning(MEANING_OF[name], [other for other in table.names if other not in taken], table.path)
        more |= {} if heading is None else {name: heading}
    return more


def _perplexity(table: CellTable, heading: Heading) -> SpecError:
    return SpecError(f"{table.path}: a law is fitted to losses, found perplexities in `{heading.name}`; add --perplexity, which takes them")


def _flagged(table: CellTable, named: str | None) -> tuple[NDArray[np.bool_], list[str]]:
    """Which rows say true in the column of exclusions, and the note on it."""
    column = EXCLUDED if named is None else named
    heading = heading_named(column, table.names)
    if heading is None:
        if named is not None:
            raise SpecError(f"{table.path}: {unknown_key(f'column {column}', column, table.names)}; name the column with --exclude")
        return np.zeros(len(table), dtype=np.bool_), []
    flags = []
    for row, cell in enumerate(table[heading.name]):
        value = (cell or "").strip().lower()
        if value not in FLAGS:
            raise SpecError(f"{table.at(row)}: {column} must be true or false, found {quoted(value)}; correct the cell")
        flags.append(FLAGS[value])
    return np.array(flags, dtype=np.bool_), [f"{sum(flags)} rows flagged in `{heading.name}` are left out"] if any(flags) else []


def _unfinished(table: CellTable) -> tuple[NDArray[np.bool_], list[str]]:
    """Which rows are runs that did not finish, by an export's column of states, and the note on it."""
    for name in table.names:
        states = [(cell or "").strip().lower() for cell in table[name]]
        if Heading.of(name).plain in STATES and set(states) <= FINISHED | ENDED_EARLY:
            ended = np.array([state in ENDED_EARLY for state in states])
            counts = Counter(state for state in states if state in ENDED_EARLY)
            said = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
            return ended, [f"runs that did not finish are left out by `{name}`: {said}"] if said else []
    return np.zeros(len(table), dtype=np.bool_), []


def _keys(table: CellTable, headings: Mapping[str, Heading], values: Mapping[str, Array]) -> Iterator[tuple[object, ...]]:
    """What makes two rows equal: their numbers where they are read as such, their letters elsewhere."""
    read = {heading.name for name, heading in headings.items() if name in values}
    columns = [*(column.tolist() for column in values.values()), *(table[name] for name in table.names if name not in read)]
    for row in zip(*columns, strict=True):
        yield tuple(cell.strip() if isinstance(cell, str) else cell for cell in row)


def columns_sentences(columns: Mapping[str, str]) -> list[str]:
    """Which column of a table was taken as what; nothing for the runs of a study."""
    said = [f"`{column}` as {name.replace('_', ' ')}" for name, column in columns.items()]
    return [f"columns: {', '.join(said)}"] if said else []
