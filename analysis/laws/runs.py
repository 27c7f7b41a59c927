"""Reads runs to fit a law to: any CSV with named columns, or a study's records."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis.laws.options import CHECKPOINT_ROWS, Columns
from analysis.records.record import TrialRecord
from analysis.statistics.arrays import Array
from search_space.errors import SpecError, quoted, unknown_key

POSITIVE = ("params", "tokens", "flops", "width", "depth", "executed_depth")
"""Variables that are positive numbers; what a row may hold beside them is its loss, its group and its accuracy."""
FLAGS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False, "": False}
FLOPS_PER_PARAMETER_TOKEN = 6
"""Training FLOPs per parameter and token, attention left out (Kaplan et al. 2020, arXiv 2001.08361)."""


@dataclass(frozen=True)
class Runs:
    """Losses and what they were reached with, one row a checkpoint."""

    losses: Array
    """Nats per token (or any positive loss), shape (rows,)."""
    variables: Mapping[str, Array]
    """`params`, `tokens`, `flops`, and where known `width`, `depth`, `repeats` and further columns; each (rows,), positive."""
    groups: NDArray[np.int64]
    """Rows with the same number belong to one training and are resampled together, shape (rows,)."""
    notes: tuple[str, ...] = field(default=())
    """What a reader of the result must know of how the rows were chosen."""

    def __len__(self) -> int:
        return len(self.losses)

    def where(self, rows: NDArray[np.bool_]) -> Runs:
        """The rows where the mask is true."""
        variables = {name: values[rows] for name, values in self.variables.items()}
        return Runs(self.losses[rows], variables, self.groups[rows], self.notes)


def read_runs(path: Path, columns: Columns, checkpoints: str = "all") -> Runs:
    """Runs of a CSV with a header; raises SpecError for a missing column, and for a cell that is not a positive number, with its line.

    Rows of one training are those with the same group, parameters, width and depth; without a group column every row is a training of its
    own. `checkpoints` keeps all rows, the `last` of each training, or the lower `hull` of loss against FLOPs.
    """
    if not path.is_file():
        raise SpecError(f"{path} is not a file; name a CSV with one row a run")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            header = list(reader.fieldnames or [])
            rows = [(reader.line_num, row) for row in reader]
    except (csv.Error, UnicodeDecodeError):
        raise SpecError(f"{path} must be a CSV in UTF-8, found other bytes; export the table as CSV") from None
    if not header:
        raise SpecError(f"{path} must begin with a line of column names, found nothing; name a CSV with one row a run")
    _check_columns(path, header, columns)
    kept = [(line, row) for line, row in rows if not _flagged(path, line, row, columns.exclude)]
    if not kept:
        raise SpecError(f"{path} must hold at least one run, found none that is not excluded; add rows")
    notes = [f"{len(rows) - len(kept)} rows flagged in `{columns.exclude}` are left out"] if len(kept) < len(rows) else []
    names = {name: column for name, column in columns.named.items() if name in POSITIVE} | {name: name for name in columns.effects}
    values = {name: _numbers(path, kept, column) for name, column in names.items()}
    if columns.accuracy:
        values["accuracy"] = _shares(path, kept, columns.accuracy)
    labels = [row[columns.group] for _, row in kept] if columns.group else None
    return _runs(_numbers(path, kept, columns.loss), values, labels, notes, checkpoints)


def runs_from_records(records: Sequence[TrialRecord], params: str = "parameters") -> Runs:
    """Runs of a study's finished trials, each cooldown a row of its trial.

    `params` is `parameters`, `non_embedding_parameters` or `non_input_embedding_parameters`.
    """
    counts = ("parameters", "non_embedding_parameters", "non_input_embedding_parameters")
    if params not in counts:
        raise unknown_key(f"parameter count {params}", params, counts)
    trained = [(record, training) for record in records if record.finished and (training := record.training) and training.validation]
    if not trained:
        raise SpecError("a law needs finished trials with a validation loss, found none; run the study first")
    values: dict[str, list[float]] = {name: [] for name in ("params", "tokens", "flops", "width", "depth", "executed_depth", "kv_heads")}
    losses, labels = [], []
    for record, training in trained:
        shape = record.architecture
        table = 0 if shape.tie_word_embeddings else shape.vocab_size * shape.hidden_size
        count = record.costs.parameters - table if params.startswith("non_input") else getattr(record.costs, params)
        sizes = (shape.hidden_size, shape.num_unique_layers, shape.num_hidden_layers, shape.num_key_value_heads)
        final = training.validation.loss if training.validation else math.nan
        for tokens, loss in (*((cooldown.tokens, cooldown.loss) for cooldown in training.cooldowns), (training.tokens, final)):
            flops = record.costs.training_flops_per_token * tokens
            for name, value in zip(values, (count, tokens, flops, *sizes), strict=True):
                values[name].append(float(value))
            losses.append(loss)
            labels.append(str(record.number))
    skipped = len(records) - len(trained)
    notes = [f"{skipped} trials that did not finish are left out"] if skipped else []
    return _runs(np.array(losses), {name: np.array(column) for name, column in values.items()}, labels, notes, "all")


def together(parts: Sequence[Runs], notes: Sequence[str] = ()) -> Runs:
    """Several tables as one, with the variables that all have; trainings of different tables stay different."""
    shared = [name for name in parts[0].variables if all(name in part.variables for part in parts)]
    groups, first = [], 0
    for part in parts:
        groups.append(part.groups + first)
        first = int(groups[-1].max()) + 1
    return Runs(
        np.concatenate([part.losses for part in parts]),
        {name: np.concatenate([part.variables[name] for part in parts]) for name in shared},
        np.concatenate(groups),
        (*notes, *(note for part in parts for note in part.notes)),
    )


def lower_hull(flops: Array, losses: Array) -> NDArray[np.bool_]:
    """Which points are on the lower convex hull of log loss against log FLOPs, up to the lowest loss."""
    order = sorted(range(len(flops)), key=lambda i: (flops[i], losses[i]))
    x, y = np.log(flops), np.log(losses)
    hull: list[int] = []
    for i in order[: order.index(int(np.argmin(losses))) + 1]:
        if hull and x[hull[-1]] == x[i]:
            continue
        while len(hull) > 1 and _above(x, y, hull[-2], hull[-1], i):
            hull.pop()
        hull.append(i)
    chosen = np.zeros(len(flops), dtype=np.bool_)
    chosen[hull] = True
    return chosen


def _above(x: Array, y: Array, left: int, middle: int, right: int) -> bool:
    return bool((y[middle] - y[left]) * (x[right] - x[left]) >= (y[right] - y[left]) * (x[middle] - x[left]))


def _check_columns(path: Path, header: Sequence[str], columns: Columns) -> None:
    for option, name in (*columns.named.items(), *(("effect", name) for name in columns.effects)):
        if name not in header:
            raise SpecError(f"{path}: {unknown_key(f'column {name}', name, header)}; name the column with --{option.replace('_', '-')}")
    if columns.executed_depth and not columns.depth:
        raise SpecError("--executed-depth is read against --depth (blocks stored), found no --depth; name its column too")


def _flagged(path: Path, line: int, row: Mapping[str, str | None], column: str) -> bool:
    value = (row.get(column) or "").strip().lower()
    if value not in FLAGS:
        raise SpecError(f"{path}:{line}: {column} must be true or false, found {quoted(value)}; correct the cell")
    return FLAGS[value]


def _numbers(path: Path, rows: Iterable[tuple[int, Mapping[str, str | None]]], column: str) -> Array:
    values = []
    for line, row in rows:
        text = row[column]
        try:
            value = float(text or "")
        except ValueError:
            raise SpecError(
                f"{path}:{line}: {column} must be a number, found {quoted(text)}; correct the cell, or flag the row as excluded"
            ) from None
        if not (math.isfinite(value) and value > 0):
            raise SpecError(
                f"{path}:{line}: {column} must be above 0 and finite, found {text}; correct the cell, or flag the row as excluded"
            )
        values.append(value)
    return np.array(values)


def _shares(path: Path, rows: Iterable[tuple[int, Mapping[str, str | None]]], column: str) -> Array:
    """Shares of 1, NaN where a cell is empty."""
    values = []
    for line, row in rows:
        text = (row[column] or "").strip()
        try:
            value = float(text) if text else math.nan
        except ValueError:
            value = math.inf
        if not (math.isnan(value) or 0 <= value <= 1):
            raise SpecError(
                f"{path}:{line}: {column} must be a share from 0 to 1 or empty, found {quoted(text)}; divide percentages by 100"
            )
        values.append(value)
    return np.array(values)


def _runs(losses: Array, values: dict[str, Array], labels: Sequence[str] | None, notes: list[str], checkpoints: str) -> Runs:
    if checkpoints not in CHECKPOINT_ROWS:
        raise unknown_key(f"checkpoints {checkpoints}", checkpoints, CHECKPOINT_ROWS)
    values.setdefault("flops", FLOPS_PER_PARAMETER_TOKEN * values["params"] * values["tokens"])
    if "executed_depth" in values:
        values["repeats"] = values.pop("executed_depth") / values["depth"]
    runs = replace(Runs(losses, values, _groups(values, labels, len(losses))), notes=tuple(notes))
    if checkpoints == "all":
        return runs
    if checkpoints == "last":
        if labels is None:
            raise SpecError(
                "checkpoints `last` needs to know which rows belong to one training, found no group column; name it with --group"
            )
        latest = {group: i for i, group in sorted(enumerate(runs.groups), key=lambda pair: values["tokens"][pair[0]])}
        chosen = np.isin(np.arange(len(losses)), list(latest.values()))
    else:
        chosen = lower_hull(values["flops"], losses)
    kept = runs.where(chosen)
    return replace(kept, notes=(*notes, f"{len(kept)} of {len(losses)} rows are kept: checkpoints `{checkpoints}`"))


def _groups(values: Mapping[str, Array], labels: Sequence[str] | None, rows: int) -> NDArray[np.int64]:
    if labels is None:
        return np.arange(rows)
    shape = [values[name] for name in ("params", "width", "depth", "repeats") if name in values]
    keys = [(label, *(float(column[i]) for column in shape)) for i, label in enumerate(labels)]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return np.array([numbers[key] for key in keys], dtype=np.int64)
