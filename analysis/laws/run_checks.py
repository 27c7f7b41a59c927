"""Whether a table's columns can be what they are taken for, each as a whole; knows no heading and no file format."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from analysis.statistics.arrays import Array
from analysis.tables.cell_table import CellTable, lines_text
from search_space.errors import SpecError

LEAST = {"params": 1e3, "tokens": 1e4}
"""Half of the rows have more; less is millions or billions whose unit nobody wrote."""
TOKENS_PER_PARAMETER = (1e-3, 1e7)
"""Ends of the median of a table; each row is within a thousand times of them."""
COMPUTE_OVER_6ND = (0.1, 1e3)
"""Ends of the median of training FLOPs over 6 N D, which hold small networks with large vocabularies too."""
LARGEST_VOCABULARY = 1_000_000
UNTRAINED = 1.2
"""Times the logarithm of the vocabulary that an untrained network's loss may reach."""
STILL = 1e-4
"""Relative range of losses that do not move."""
COMPARED = 2_000
"""Rows, spread over the table, whose pairs are compared."""
FAR_OUT, LEAST_OUT = 10.0, 0.02
"""A residual of log loss is an outlier from so many usual ones, and from that much, on."""


def over_six_n_d(values: Mapping[str, Array]) -> float:
    """FLOPs over 6 N D in the median row; 1 where one of the three is not known."""
    if not {"params", "tokens", "flops"} <= values.keys():
        return 1.0
    return float(np.median(values["flops"] / (6 * values["params"] * values["tokens"])))


def is_training_compute(values: Mapping[str, Array]) -> bool:
    """Whether the FLOPs can be those of a training of so many parameters with so many tokens."""
    low, high = COMPUTE_OVER_6ND
    return low <= over_six_n_d(values) <= high


def doubts_of(
    table: CellTable, values: Mapping[str, Array], losses: Array, taken: Mapping[str, str], vocabulary: float | None = None
) -> list[str]:
    """Notes on what is odd; raises SpecError where a column cannot be what it is taken for. `taken` names the columns."""
    _require_sizes(table, values, taken)
    if not is_training_compute(values):
        raise SpecError(
            f"{table.path}: {taken['flops']} must be training FLOPs, about 6 N D, found {over_six_n_d(values):.2g} times that; write its "
            "unit into the heading, such as `C (PF-days)`, or name another column with --flops"
        )
    _require_losses(table, losses, taken["loss"], max(vocabulary or LARGEST_VOCABULARY, 2.0))
    return _require_falling(table, values, losses, taken["loss"])


def _require_sizes(table: CellTable, values: Mapping[str, Array], taken: Mapping[str, str]) -> None:
    ratios = values["tokens"] / values["params"]
    low, high = TOKENS_PER_PARAMETER
    unit = "write a column's unit into its heading, such as `D (B)` for billions"
    cell = "correct the cell, or flag the row as excluded"
    whole = not low <= np.median(ratios) <= high
    odd = np.flatnonzero((ratios < low) | (ratios > high) if whole else (ratios <= low / 1e3) | (ratios >= high * 1e3))
    if len(odd):
        tokens, params = values["tokens"][odd[0]], values["params"][odd[0]]
        raise SpecError(
            f"{table.path}: no run has {ratios[odd[0]]:.2g} tokens per parameter, found {tokens:,g} of `{taken['tokens']}` for {params:,g} "
            f"of `{taken['params']}` ({table.named_lines(odd.tolist())}); {unit if whole else cell}"
        )
    for name, least in LEAST.items():
        middle = float(np.median(values[name]))
        if middle < least:
            wanted = f"{name}, {least:,g} or more of them in most rows"
            raise SpecError(f"{table.path}: {taken[name]} must hold {wanted}, found {middle:,g} in the median row; {unit}")


def _require_losses(table: CellTable, losses: Array, column: str, vocabulary: float) -> None:
    guess = math.log(vocabulary)
    high = losses > UNTRAINED * guess
    if np.mean(high) > 0.5:
        raise SpecError(
            f"{table.path}: {column} must hold losses in nats, of which a guess has ln({vocabulary:,.0f}) = {guess:.1f}, found "
            f"{float(np.median(losses)):.4g} in the median row; add --perplexity where these are perplexities"
        )
    if high.any():
        lines = table.named_lines(np.flatnonzero(high).tolist())
        raise SpecError(
            f"{table.path}: {column} must hold losses in nats, of which a guess has ln({vocabulary:,.0f}) = {guess:.1f}, found "
            f"{losses.max():.4g} ({lines}); correct the cell, or flag the row as excluded"
        )


def _require_falling(table: CellTable, values: Mapping[str, Array], losses: Array, column: str) -> list[str]:
    """Losses move, and mostly fall where a run has more parameters and more tokens than another."""
    if len(losses) > 1 and np.ptp(losses) <= STILL * np.median(losses):
        raise SpecError(
            f"{table.path}: {column} must fall as networks grow, found {losses.min():.6g} to {losses.max():.6g} in all {len(losses)} rows; "
            "name the column of losses with --loss"
        )
    rows = np.unique(np.linspace(0, len(losses) - 1, min(len(losses), COMPARED)).astype(int))
    params, tokens, sampled = values["params"][rows], values["tokens"][rows], losses[rows]
    pairs = falling = 0
    for params_here, tokens_here, loss in zip(params, tokens, sampled, strict=True):
        larger = (params >= params_here) & (tokens >= tokens_here) & ((params > params_here) | (tokens > tokens_here)) & (sampled != loss)
        pairs += int(larger.sum())
        falling += int((sampled[larger] < loss).sum())
    if pairs >= 3 and falling < 0.5 * pairs:
        raise SpecError(
            f"{table.path}: {column} must fall with size, found it lower in {falling:,} of {pairs:,} pairs of runs in which one has more "
            "parameters or tokens and no less of either; name the column of losses with --loss"
        )
    if falling < 0.75 * pairs:
        return [f"{column} falls in only {falling / pairs:.0%} of the pairs of runs in which one has more parameters or tokens"]
    return []


def outlier_notes(residuals: Array, lines: NDArray[np.int64] | None) -> list[str]:
    """Which lines of a table lie far off the law, by the residuals of their log loss, shape (rows,)."""
    if lines is None:
        return []
    sizes = np.abs(residuals)
    usual = float(np.median(sizes))
    far = np.flatnonzero(sizes > max(FAR_OUT * usual, LEAST_OUT))
    if not len(far):
        return []
    most = float(np.expm1(sizes[far].max()))
    return [f"outliers, up to {most:.0%} off the law where half of the runs are within {usual:.2%}: {lines_text(lines[far].tolist())}"]
