"""The same study with the same seed on the same machine has the same records, bit for bit, but for what a clock or a memory says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from analysis.records.record import read_finals, read_records
from tests.support.real_study import RealStudy
from trials.study.directory import weights_file

pytestmark = pytest.mark.filterwarnings("default::ResourceWarning", "ignore::DeprecationWarning:ray", "ignore::FutureWarning:ray")
CLOCKS = {
    "started_at", "wall_seconds", "process_seconds", "evaluation_seconds", "cooldown_seconds", "seconds", "tokens_per_second", "latency",
    "measured_at",
}  # fmt: skip
"""Fields that a clock decides, wherever they stand; a latency is one as a whole."""
MEMORY = {"peak_memory_bytes"}


def untimed(value: Any) -> Any:
    """A record's JSON without what is timed."""
    if isinstance(value, dict):
        return {name: untimed(inner) for name, inner in value.items() if name not in CLOCKS | MEMORY}
    return [untimed(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.more
@pytest.mark.slow
def test_the_same_study_run_twice_has_the_same_records_bit_for_bit(tmp_path: Path, real_study: RealStudy) -> None:
    real_study.run(tmp_path / "two")
    runs = []
    for directory in (real_study.directory, tmp_path / "two"):
        records = read_records(directory)
        assert all(record.finished and record.latency and record.training for record in records)
        assert all(record.training.reused_from is None for record in records if record.training)
        weights = [weights_file(directory, record.number).read_bytes() for record in records]
        tests = {n: final.test for n, final in read_finals(directory).items()}
        runs.append(([untimed(record.as_dict()) for record in records], weights, tests))
    (first, weights, tests), (second, again, tests_again) = runs
    assert len(first) == 3
    assert first == second
    assert weights == again
    assert {n: tests[n] for n in tests.keys() & tests_again.keys()} == {n: tests_again[n] for n in tests.keys() & tests_again.keys()}
