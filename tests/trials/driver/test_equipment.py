"""What trials are given of a directory that was begun before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest

from analysis.records.record import TrialRecord
from tests.support.fakes import plausible, small_study
from tests.support.sample_study import as_rounded, sample_records
from trials.driver.preparation import equipped
from trials.driver.trial_actor import TrialActor
from trials.machine.provenance import code_digest
from trials.study.directory import claim


def in_int4(record: TrialRecord) -> TrialRecord:
    return replace(record, latency=replace(record.latency, precision="int4")) if record.latency else record


@pytest.mark.parametrize(
    ("records", "as_deployed"),
    [
        ([], True),
        ([as_rounded(in_int4(record), 0.01) for record in sample_records()], True),
        ([in_int4(record) for record in sample_records()], False),
    ],
    ids=["none yet", "as deployed", "in float32"],
)
def test_a_directory_goes_on_with_the_kind_of_quality_that_it_began_with(
    records: list[TrialRecord], as_deployed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for started in ("ray", "latency_device"):
        monkeypatch.setattr(f"trials.driver.preparation.{started}", MagicMock())
    study, text = small_study(latency={"precision": "int4"})
    with claim(tmp_path, text), equipped(study, tmp_path, {}, records, None) as equipment:
        assert equipment.as_deployed is as_deployed
        assert equipment.activations == ("int8" if records and as_deployed else None)


def test_a_worker_names_the_code_that_it_read_before_the_first_record_is_written(tmp_path: Path) -> None:
    study, text = small_study()
    worker: Any = SimpleNamespace()
    with claim(tmp_path, text), equipped(study, tmp_path, {}, [], plausible) as equipment:
        code_digest.cache_clear()
        TrialActor.setup(worker, {}, equipment)
    assert code_digest.cache_info().currsize == 1
