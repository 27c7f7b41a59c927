"""Another machine in the place of the one that takes a study's latencies is told by what it is, in one sentence with both."""

from __future__ import annotations

import os
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support import fakes
from trials.driver import latency_device
from trials.driver.latency_device import SameMachine
from trials.latency.fingerprint import Fingerprint
from trials.trial.references import references
from trials.trial.task import DeviceEnded

STUDY, _ = fakes.small_study()
SHAPE = references(STUDY.references, STUDY.search_space)[0][1]
MACHINE: dict[str, Any] = {"device": "AMD EPYC 9354P", "device_processors": 2, "device_memory_bytes": 8_000_000_000}
TAKEN = replace(fakes.latency(SHAPE), runtime_version="1.27.0", **MACHINE)
FIRST = Fingerprint.of(TAKEN)
OTHERS: dict[str, dict[str, Any]] = {
    "another processor": {"device": "Intel Xeon 8481C"},
    "more processors": {"device_processors": 4},
    "more memory": {"device_memory_bytes": 16_000_000_000},
    "less memory": {"device_memory_bytes": 7_500_000_000},
    "another version": {"runtime_version": "1.28.0"},
    "another runtime": {"runtime": "llama.cpp"},
    "another version of another build": {"runtime_version": "1.28.0+cpu"},
}
CURES = {
    "another processor": "which differs in device: bring that machine back, or begin anew in another --directory",
    "more memory": "which differs in memory: bring that machine back, or begin anew in another --directory",
    "another version": f"which differs in the runtime's version: install {TAKEN.runtime} 1.27.0 there",
    "another version of another build": f"which differs in the runtime's version: install {TAKEN.runtime} 1.27.0 there",
}
SAME: dict[str, dict[str, Any]] = {
    "itself": {},
    "another kernel": {"device_memory_bytes": 7_900_000_000},
    "records of before": {"device_memory_bytes": None, "device_processors": None},
    "another build": {"runtime_version": "1.27.0+cpu"},
    "another day": {"load_average": 3.0, "clock_mhz_before": 1_000.0},
}


@pytest.mark.parametrize("kind", OTHERS)
def test_another_machine_is_refused_with_both(kind: str) -> None:
    other = Fingerprint.of(replace(TAKEN, **OTHERS[kind]))
    assert not FIRST.is_same(other)
    assert not other.is_same(FIRST)
    said = FIRST.refusal(other)
    assert f"({FIRST}), found another ({other})" in said
    assert str(FIRST) != str(other), "the sentence would say the same twice"
    assert said.endswith(CURES.get(kind, ""))


@pytest.mark.parametrize("kind", SAME)
def test_the_same_machine_is_not(kind: str) -> None:
    other = Fingerprint.of(replace(TAKEN, **SAME[kind]))
    assert FIRST.is_same(other)
    assert other.is_same(FIRST)
    assert Fingerprint.from_text(other.as_text()) == other


def test_the_first_latency_of_a_study_counts_wherever_the_process_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    store: dict[bytes, bytes] = {}

    def put(key: bytes, value: bytes, overwrite: bool, namespace: bytes) -> None:
        store.update({key: value} if overwrite or key not in store else {})

    monkeypatch.setattr(
        latency_device, "internal_kv", SimpleNamespace(_internal_kv_put=put, _internal_kv_get=lambda key, namespace: store[key])
    )
    other = replace(TAKEN, device="Intel Xeon 8481C")
    SameMachine("one", ()).require(TAKEN)
    SameMachine("one", ()).require(TAKEN)
    with pytest.raises(
        DeviceEnded, match=r"must be the one that took this study's first \(AMD EPYC 9354P, 2 processors, 8\.00 GB of memory, "
    ):
        SameMachine("one", ()).require(other)
    SameMachine("another study", ()).require(other)
    with pytest.raises(DeviceEnded, match=r"found another \(AMD EPYC 9354P, "):
        SameMachine("a run that goes on", [Fingerprint.of(other)]).require(TAKEN)
    SameMachine("a study of before, which both took", [Fingerprint.of(other), FIRST]).require(TAKEN)


def test_a_measurement_says_its_machine() -> None:
    assert os.cpu_count() is not None
    assert str(replace(FIRST, processors=None, memory_bytes=None)) == f"AMD EPYC 9354P, {FIRST.runtime} 1.27.0"
