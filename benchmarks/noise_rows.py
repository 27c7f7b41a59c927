"""How much a seed moved the bits per byte of trainings that were made with several: the rows of analysis/statistics/noise_rows.py.

    python -m benchmarks.noise_rows

Reads the results of benchmarks/results that have several seeds of one shape, recipe and length: the standard deviation within shapes,
pooled over them, over their mean.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

from analysis.statistics import noise_rows
from analysis.statistics.noise_rows import NoiseRow
from analysis.statistics.seed_noise import squares_within

RESULTS = Path(__file__).parent / "results"
FILES = {"proxy-0.3M": 300_000, "proxy-1M": 1_000_000}
"""Files and about how many parameters their shapes have."""
ROWS_FILE = Path(noise_rows.__file__)
LEAST_FREEDOM = 4
"""Degrees of freedom below which a deviation says nothing."""


def main() -> None:
    """Write the module anew."""
    ROWS_FILE.write_text(module(rows()), encoding="utf-8")


def rows() -> list[NoiseRow]:
    """What the results say, by optimizer and length."""
    found = [row for name, parameters in FILES.items() for row in _rows_of(RESULTS / f"{name}.jsonl", parameters)]
    return sorted(found, key=lambda row: (row.optimizer, row.parameters, row.tokens))


def module(found: list[NoiseRow]) -> str:
    """The file with these rows, its head and end as they stand."""
    text = ROWS_FILE.read_text(encoding="utf-8")
    head, end = text.partition("NOISE_ROWS = (")[0], text.rpartition(")\n")[2]
    lines = (
        f'    NoiseRow("{row.optimizer}", {row.parameters:_}, {row.tokens:_}, {row.share:.5f}, {row.freedom}, "{row.source}"),\n'
        for row in found
    )
    return f"{head}NOISE_ROWS = (\n{''.join(lines)})\n{end}"


def _rows_of(path: Path, parameters: int) -> Iterator[NoiseRow]:
    cells: dict[tuple[str, int], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for line in path.read_text(encoding="utf-8").splitlines():
        run: dict[str, Any] = json.loads(line)
        for point in run["points"]:
            if point["bits_per_byte"] is not None:
                cells[run["recipe"], point["tokens"]][run["key"]].append(point["bits_per_byte"])
    for (recipe, tokens), shapes in cells.items():
        several = [values for values in shapes.values() if len(values) > 1]
        freedom, squares = squares_within(several) if several else (0, 0.0)
        if freedom >= LEAST_FREEDOM:
            share = (squares / freedom) ** 0.5 / fmean(map(fmean, several))
            yield NoiseRow(json.loads(recipe).get("optimizer", "muon"), parameters, tokens, round(share, 5), freedom, path.name)


if __name__ == "__main__":
    main()
