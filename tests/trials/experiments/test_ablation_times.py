"""Workloads of an ablation that differ in anything have times and names of their own."""

from __future__ import annotations

import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from search_space.architecture import Architecture
from tests.support.sample_study import sample_records
from trials.experiments.ablation_times import labels, timed_arms
from trials.study.latency_spec import LatencySpec

PLAIN: dict[str, Any] = {"runtime": "onnxruntime", "prompt_tokens": 8, "new_tokens": 8}
OTHERS: dict[str, dict[str, Any]] = {
    "onnxruntime float32 prompt_tokens=16": {"prompt_tokens": 16},
    "onnxruntime float32 new_tokens=16": {"new_tokens": 16},
    "onnxruntime float32 context_positions=32 64": {"context_positions": (32, 64)},
    "onnxruntime float32 threads=2": {"threads": 2},
    "onnxruntime float32 repeats=7": {"repeats": 7},
    "torch float32": {"runtime": "torch"},
}


@pytest.mark.parametrize("label", OTHERS)
def test_two_workloads_are_told_apart_by_what_differs(label: str) -> None:
    found = labels([LatencySpec(**PLAIN), LatencySpec(**PLAIN | OTHERS[label])])
    assert found[1] == label
    assert found[0].startswith("onnxruntime float32")
    assert len(found[0].split()) == len(labels([LatencySpec(**PLAIN)])[0].split()) + (label.count("=") > 0)


def test_two_commands_are_told_apart() -> None:
    found = labels([LatencySpec(runtime="command", command=("./measure", place)) for place in ("a", "b")])
    assert found == ["command float32 command=./measure a", "command float32 command=./measure b"]


def test_each_workload_keeps_times_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [record for record in sample_records() if record.latency is not None][:2]
    taken = []

    class Measured:
        """Answers at once with what a record has."""

        def __init__(self, workload: LatencySpec, earlier: object = ()) -> None:
            self.workload = workload

        def measure(self, shape: Architecture) -> Any:
            """The record's own."""
            taken.append(self.workload)
            return next(record.latency for record in records if record.architecture == shape)

        def close(self) -> None:
            """There is nothing to end."""

    monkeypatch.setattr("trials.latency.process.LatencyProcess", Measured)
    workloads = [LatencySpec(**PLAIN), *(LatencySpec(**PLAIN | changes) for changes in OTHERS.values())]
    arms: Any = [SimpleNamespace(name=name, architecture=record.architecture) for name, record in zip("ab", records, strict=True)]
    scales, published = {"one": SimpleNamespace(latency=workloads, rounds=2)}, SimpleNamespace(execution_ms={})
    ablation: Any = SimpleNamespace(name="sample", baseline="a", scales=scales, published=published)
    for _ in range(2):
        found = timed_arms(ablation, "one", arms, tmp_path, lambda _: None)
        assert len({each.workload for each in found}) == len(workloads)
    assert [workload for workload, _ in itertools.groupby(taken)] == workloads, "each is measured once, and none is another's"
    assert len(list(tmp_path.iterdir())) == len(workloads)
