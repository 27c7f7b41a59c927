"""How well a published table's times of larger shapes are told from smaller ones, beside plain counts.

    python -m benchmarks.latency_law TABLE.csv --column MS [--column MS ...]

Fits 40 and 200 rows of the smaller half of the sizes, by the median and by half of the largest, with five seeds each, and judges them on
the larger rows and on rows among the fitted sizes. Plain counts are a constant, blocks, weights and heads, by least squares without
negative prices, fitted to the same rows. Prints medians of the error, and how many times lie in their 90 % intervals.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import fmean

import numpy as np

from analysis.latency.errors import Errors, errors, mean_errors
from analysis.latency.feature_table import Features, read_features
from analysis.latency.table_fit import predict_rows
from analysis.latency.time_model import Prices
from analysis.statistics.arrays import Array, Indices

SEEDS, FITTED, JUDGED = 5, (40, 200), 1000


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    arguments.add_argument("table", type=Path, help="CSV with a decoder in each row")
    arguments.add_argument("--column", action="append", required=True, help="of milliseconds; may be given again")
    options = arguments.parse_args()
    for column in options.column:
        features = read_features(options.table, column)
        if features.sizes is None or features.backbone is None:
            raise SystemExit(f"{options.table} has no decoders whose sizes are known")
        for name, border in (("median size", float(np.median(features.sizes))), ("half of the largest", float(features.sizes.max()) / 2)):
            for count in FITTED:
                print(f"{column}, fitted below the {name}, {count} rows: {judge(features, border, count)}", flush=True)


def judge(features: Features, border: float, count: int) -> str:
    """Errors beyond the border and below it."""
    assert features.sizes is not None
    assert features.backbone is not None
    small, large = np.flatnonzero(features.sizes <= border), np.flatnonzero(features.sizes > border)
    large = np.random.default_rng(0).permutation(large)[:JUDGED]
    beyond: list[Errors] = []
    within: list[Errors] = []
    plain: list[float] = []
    for seed in range(SEEDS):
        order = np.random.default_rng(seed).permutation(small)
        seen, unseen = order[:count], order[count : count + JUDGED]
        for rows, found in ((large, beyond), (unseen, within)):
            means, deviations = predict_rows(features, seen, rows)
            found.append(errors(np.exp(means), deviations, features.times[rows]))
        plain.append(float(np.median(np.abs(by_plain_counts(features, seen, large) / features.times[large] - 1))))
    return f"beyond {mean_errors(beyond)}; plain counts {fmean(plain):.1%}; among the fitted sizes {mean_errors(within)}"


def by_plain_counts(features: Features, seen: Indices, rows: Indices) -> Array:
    """Times of rows, in ms."""
    assert features.backbone is not None
    assert features.sizes is not None
    columns = np.column_stack([features.backbone[:, :2], features.backbone[:, -1], features.sizes])
    prices = Prices().fit(columns[seen], features.times[seen], np.ones(len(seen)), 0.0)
    return np.asarray(columns[rows] @ prices)


if __name__ == "__main__":
    main()
