"""How well times of larger shapes are told from smaller ones, beside plain counts: of published tables, and of this machine's own.

    python -m benchmarks.latency_law TABLE.csv --column MS [--column MS ...]
    python -m benchmarks.latency_law TABLE.jsonl [TABLE.jsonl ...]

Of a published table it fits 40 and 200 rows of the smaller half of the sizes, by the median and by half of the largest, with five seeds
each, and judges them on the larger rows and on rows among the fitted sizes. Of a device's own table it fits all shapes below each border
and judges those above. Plain counts are a constant, blocks, weights and heads, by least squares without negative prices, fitted to the same
rows. Prints medians of the error, and how many times lie in their 90 % intervals.

Two runtimes of a machine, 24 shapes and 8 checks each from a quarter to twice a million parameters, on a quiet machine (about 4 minutes):

    for runtime in onnxruntime openvino; do
      archfront profile-device studies/search-1m.yaml --runtime $runtime --shapes 24 --checks 8 --output $runtime-1m.jsonl
    done
    python -m benchmarks.latency_law onnxruntime-1m.jsonl openvino-1m.jsonl
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import fmean

import numpy as np

from analysis.latency.device_table import DeviceTable, Row, read_table
from analysis.latency.errors import Errors, errors, mean_errors
from analysis.latency.feature_table import Features, read_features
from analysis.latency.latency_model import LEAST_SHAPES, LatencyModel
from analysis.latency.table_fit import predict_rows
from analysis.latency.time_model import Prices
from analysis.statistics.arrays import Array, Indices
from search_space.cost import executed_matrix_parameters, parameters

SEEDS, FITTED, JUDGED = 5, (40, 200), 1000
OWN_TABLE = ".jsonl"


def main() -> None:
    """Print a line for each table, column and border."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument(
        "table", type=Path, nargs="+", help="CSV with a decoder in each row, or a device's own table by `archfront profile-device`"
    )
    arguments.add_argument("--column", action="append", default=[], help="of milliseconds, in a CSV; may be given again")
    options = arguments.parse_args()
    for path in options.table:
        if path.suffix == OWN_TABLE:
            print("\n".join(judge_own(read_table(path))), flush=True)
        elif not options.column:
            arguments.error(f"--column must name the milliseconds of {path}")
        for column in options.column if path.suffix != OWN_TABLE else []:
            features = read_features(path, column)
            if features.sizes is None or features.backbone is None:
                raise SystemExit(f"{path} has no decoders whose sizes are known")
            for name, border in borders(features.sizes).items():
                for count in FITTED:
                    print(f"{column}, fitted below the {name}, {count} rows: {judge(features, border, count)}", flush=True)


def borders(sizes: Array) -> dict[str, float]:
    """Sizes at which a table is cut, by their names."""
    return {"median size": float(np.median(sizes)), "half of the largest": float(sizes.max()) / 2}


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
    return priced(columns[seen], features.times[seen], columns[rows])


def priced(seen: Array, times: Array, rows: Array) -> Array:
    """Times of rows in ms by least squares without negative prices, [rows], from counts [seen, counts] and their times."""
    return np.asarray(rows @ Prices().fit(seen, times, np.ones(len(seen)), 0.0))


def judge_own(table: DeviceTable) -> list[str]:
    """Errors of a device's own table beyond each border, and of its fit to all sizes on the shapes that only judge it."""
    sizes = np.array([parameters(row.architecture) for row in table.rows], dtype=float)
    lines = [f"{table.name}: {table.header}, {len(sizes)} shapes of {sizes.min():,.0f} to {sizes.max():,.0f} parameters"]
    for name, border in borders(sizes).items():
        small = [row for row, size in zip(table.rows, sizes, strict=True) if size <= border]
        large = [row for row, size in zip(table.rows, sizes, strict=True) if size > border]
        if len(small) < LEAST_SHAPES or not large:
            lines.append(f"  fitted below the {name}: {len(small)} shapes, and {len(large)} beyond; too few to tell")
            continue
        plain = np.median(np.abs(priced(own_counts(small), total_ms(small), own_counts(large)) / total_ms(large) - 1))
        beyond = f"{len(large)} beyond {beyond_errors(table, small, large)}"
        lines.append(f"  fitted below the {name}, {len(small)} shapes: {beyond}; plain counts {plain:.1%}")
    checks = table.check_errors()
    return lines if checks is None else [*lines, f"  fitted to all sizes: {checks}"]


def beyond_errors(table: DeviceTable, small: list[Row], large: list[Row]) -> Errors:
    """Errors on some shapes of a model that has seen the others alone."""
    model = LatencyModel(table.header.workload, [row.architecture for row in small], [row.latency for row in small])
    found = [prediction.total for prediction in model.predict([row.architecture for row in large])]
    return errors(np.array([total.ms for total in found]), np.array([total.deviation for total in found]), total_ms(large))


def own_counts(rows: list[Row]) -> Array:
    """A constant, executed blocks, executed weights and heads of each shape; [rows, 4]."""
    shapes = [row.architecture for row in rows]
    blocks = [(1.0, s.num_hidden_layers, executed_matrix_parameters(s), s.num_hidden_layers * s.num_attention_heads) for s in shapes]
    return np.array(blocks, dtype=float)


def total_ms(rows: list[Row]) -> Array:
    """Measured milliseconds; [rows]."""
    return np.array([row.latency.total_ms.median for row in rows])


if __name__ == "__main__":
    main()
