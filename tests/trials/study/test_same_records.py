"""The same study with the same seed on the same machine has the same records, bit for bit, but for what a clock or a memory says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from analysis.records.record import read_finals, read_records
from tests.trials.driver.test_run_study import run
from trials.study.directory import weights_file

pytestmark = pytest.mark.filterwarnings("default::ResourceWarning", "ignore::DeprecationWarning:ray", "ignore::FutureWarning:ray")
CLOCKS = {"started_at", "wall_seconds", "process_seconds", "seconds", "tokens_per_second", "latency", "measured_at"}
"""Fields that a clock decides, wherever they stand; a latency is one as a whole."""
MEMORY = {"peak_memory_bytes"}
WORDS = ("the", "shape", "of", "a", "small", "model", "matters", "more", "than", "its", "size")
CHANGES: dict[str, Any] = {
    "budget": {"parameters": 20_000, "tolerance": 0.05},
    "space": {
        "vocab_size": 280,
        "num_unique_layers": [1, 2, 3],
        "hidden_size": [24, 32],
        "head_dim": 8,
        "intermediate_size": {"solve": True, "ratio": [0.25, 12]},
    },
    "latency": {"prompt_tokens": 8, "new_tokens": 8, "repeats": 2},
    "proxy": {"tokens": 4_096, "context_tokens": 32, "evaluation_tokens": 1_024},
    "search": {"trials": 2, "workers": 2, "fresh_seed": False},
    "references": ["deep-thin"],
}


def untimed(value: Any) -> Any:
    """A record's JSON without what is timed."""
    if isinstance(value, dict):
        return {name: untimed(inner) for name, inner in value.items() if name not in CLOCKS | MEMORY}
    return [untimed(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_the_same_study_run_twice_has_the_same_records_bit_for_bit(tmp_path: Path, tracking: str) -> None:
    text = "\n".join(" ".join(WORDS[(line * place + place * place) % len(WORDS)] for place in range(12)) for line in range(4_000))
    (tmp_path / "text.txt").write_text(text)
    runs = []
    for name in ("one", "two"):
        directory = tmp_path / name
        run(directory, tracking, corpus={"name": None, "files": [str(tmp_path / "text.txt")]}, **CHANGES)
        records = read_records(directory)
        assert all(record.finished and record.latency and record.training for record in records)
        weights = [weights_file(directory, record.number).read_bytes() for record in records]
        tests = {n: final.test for n, final in read_finals(directory).items()}
        runs.append(([untimed(record.as_dict()) for record in records], weights, tests))
    (first, weights, tests), (second, again, tests_again) = runs
    assert len(first) == 3
    assert first == second
    assert weights == again
    assert {n: tests[n] for n in tests.keys() & tests_again.keys()} == {n: tests_again[n] for n in tests.keys() & tests_again.keys()}
