"""The verdicts on what the quickstart recommends: within 1 % of the best shape that is no slower, and not beaten by the references."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from analysis.records.files import append_line
from benchmarks.demo import REFERENCE, Known, interpolated, latencies_file, reference_shapes, report, seed_noise
from benchmarks.proxy import SETS, Comparison
from search_space.architecture import Architecture

COMPARISON = Comparison.of(yaml.safe_load(SETS.read_text(encoding="utf-8"))["demo"], [REFERENCE])
FAST, MIDDLE, SLOW = COMPARISON.shapes[0], COMPARISON.shapes[4], COMPARISON.shapes[8]


def verdicts(folder: Path, told: dict[Architecture, tuple[float, float]], chosen: Architecture, capsys: pytest.CaptureFixture[str]) -> str:
    """The line of a run that recommends that shape; `told` has bits per byte and milliseconds, seeds 0.2 % apart."""
    key = COMPARISON.references[REFERENCE].key
    for shape, (bits, total_ms) in told.items():
        append_line(latencies_file(folder), {"key": shape.key, "label": shape.label, "total_ms": total_ms})
        for seed, share in zip(COMPARISON.seeds, (0.999, 1.001), strict=True):
            points = [{"tokens": 5_000_000, "bits_per_byte": bits * share, "core_seconds": 1.0}]
            append_line(folder / "results.jsonl", {"key": shape.key, "recipe": key, "seed": seed, "points": points})
    report(COMPARISON, {3: chosen}, folder / "results.jsonl", latencies_file(folder))
    printed = capsys.readouterr().out
    assert all(shape.label in printed for shape in told)
    return next(line for line in printed.splitlines() if line.startswith("| 3 |"))


def known(deep: float = 1.80, wide: float = 1.80) -> dict[Architecture, tuple[float, float]]:
    deep_thin, wide_shallow = reference_shapes()
    return {deep_thin: (deep, 20.0), wide_shallow: (wide, 10.0)}


def test_a_slower_shape_that_is_better_is_no_reproach(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = verdicts(tmp_path, {**known(), FAST: (1.80, 8.0), SLOW: (1.70, 30.0)}, FAST, capsys)
    assert "+0.00%, met" in line
    assert "not beaten" in line


def test_a_faster_shape_that_is_better_by_more_than_one_percent_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = verdicts(tmp_path, {**known(), FAST: (1.75, 8.0), MIDDLE: (1.78, 9.0)}, MIDDLE, capsys)
    assert "+1.71%, MISSED" in line
    assert FAST.label in line


def test_references_beat_where_they_are_better_by_more_than_seeds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "| BEATEN |" in verdicts(tmp_path, {**known(wide=1.77), SLOW: (1.80, 10.0)}, SLOW, capsys)


def test_references_within_the_noise_do_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "| not beaten |" in verdicts(tmp_path, {**known(wide=1.799), SLOW: (1.80, 10.0)}, SLOW, capsys)


def test_the_noise_is_that_of_pairs_of_seeds_and_between_references_their_losses_go_along_the_logarithm() -> None:
    assert seed_noise([[1.98, 2.02], [1.0]]) == pytest.approx(0.01 * 2**0.5)
    assert seed_noise([[2.0]]) == 0.004
    two = [Known("fast", 2.0, 2, 10.0), Known("slow", 1.8, 2, 40.0)]
    assert [interpolated(two, at) for at in (5.0, 20.0, 80.0)] == pytest.approx([2.0, 1.9, 1.8])
