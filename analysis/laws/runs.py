"""Runs that a law is fitted to, and what makes them of a study's records."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from analysis.laws.options import CHECKPOINT_ROWS
from analysis.records.record import TrialRecord
from analysis.statistics.arrays import Array
from search_space.errors import SpecError, unknown_key

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
    lines: NDArray[np.int64] | None = None
    """Where each row stands in its table, shape (rows,); None for rows of a study."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Which of the table's columns was taken as what, and what was computed; empty for rows of a study."""

    def __len__(self) -> int:
        return len(self.losses)

    @property
    def found(self) -> str:
        """How many rows there are and what was left out or brought together before, for a refusal that counts them."""
        return f"{len(self):,} ({'; '.join(self.notes)})" if self.notes else f"{len(self):,}"

    def where(self, rows: NDArray[np.bool_]) -> Runs:
        """The rows where the mask is true."""
        variables = {name: values[rows] for name, values in self.variables.items()}
        lines = None if self.lines is None else self.lines[rows]
        return Runs(self.losses[rows], variables, self.groups[rows], self.notes, lines, self.columns)


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
    return runs_of(np.array(losses), {name: np.array(column) for name, column in values.items()}, labels, notes)


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


def runs_of(
    losses: Array,
    values: Mapping[str, Array],
    labels: Sequence[str] | None,
    notes: Sequence[str],
    lines: NDArray[np.int64] | None = None,
    columns: Mapping[str, str] | None = None,
) -> Runs:
    """Rows as runs, FLOPs by 6 N D where they have none; those with one label, size and shape are one training."""
    variables = {"flops": FLOPS_PER_PARAMETER_TOKEN * values["params"] * values["tokens"], **values}
    if "executed_depth" in variables:
        variables["repeats"] = variables.pop("executed_depth") / variables["depth"]
    return Runs(losses, variables, _groups(variables, labels, len(losses)), tuple(notes), lines, columns or {})


def kept_checkpoints(runs: Runs, checkpoints: str, grouped: bool) -> Runs:
    """All rows, the `last` of each training (where trainings are `grouped`) or the lower `hull`; raises SpecError for another word."""
    if checkpoints not in CHECKPOINT_ROWS:
        raise unknown_key(f"checkpoints {checkpoints}", checkpoints, CHECKPOINT_ROWS)
    if checkpoints == "all":
        return runs
    if checkpoints == "last":
        if not grouped:
            raise SpecError(
                "checkpoints `last` needs to know which rows belong to one training, found no group column; name it with --group"
            )
        latest = {group: i for i, group in sorted(enumerate(runs.groups), key=lambda pair: runs.variables["tokens"][pair[0]])}
        chosen = np.isin(np.arange(len(runs)), list(latest.values()))
    else:
        chosen = lower_hull(runs.variables["flops"], runs.losses)
    kept = runs.where(chosen)
    return replace(kept, notes=(*runs.notes, f"{len(kept)} of {len(runs)} rows are kept: checkpoints `{checkpoints}`"))


def _groups(values: Mapping[str, Array], labels: Sequence[str] | None, rows: int) -> NDArray[np.int64]:
    if labels is None:
        return np.arange(rows)
    shape = [values[name] for name in ("params", "width", "depth", "repeats") if name in values]
    keys = [(label, *(float(column[i]) for column in shape)) for i, label in enumerate(labels)]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return np.array([numbers[key] for key in keys], dtype=np.int64)
