"""A latency device that is another machine ends finals and tables in a sentence, and the same command takes what they lack."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from analysis.records.latency import Latency
from analysis.records.record import Kind, TrialRecord, read_finals
from search_space.errors import WorkError
from tests.support import fakes
from trials.driver import finals_on_ray, workplace_on_ray
from trials.driver.finals import measure_finals, missing_finals
from trials.latency.process import LatencyError
from trials.progress.watch import RunWatch
from trials.trial.references import references
from trials.trial.task import DeviceEnded, DeviceLost, TrialTask

STUDY, _ = fakes.small_study(references=["deep-thin", "wide-shallow"])
RECORDS = [
    fakes.answer(TrialTask(number=number, kind=Kind.REFERENCE, name=name, architecture=shape, seed=0))
    for number, (name, shape) in enumerate(references(STUDY.references, STUDY.search_space))
]


def is_elsewhere(record: TrialRecord) -> Latency:
    raise DeviceEnded("found another machine")


def of_test(record: TrialRecord) -> Any:
    assert record.training is not None
    return record.training.validation


def test_another_machine_leaves_no_final_without_a_latency_and_the_next_run_takes_it(tmp_path: Path) -> None:
    with pytest.raises(DeviceEnded, match="found another machine"):
        measure_finals(tmp_path, RECORDS, {}, is_elsewhere, of_test)
    assert read_finals(tmp_path) == {}
    assert len(missing_finals(RECORDS, {})) == len(RECORDS)
    found = measure_finals(tmp_path, RECORDS, {}, lambda record: fakes.latency(record.architecture), of_test)
    assert set(found) == {record.number for record in RECORDS}
    assert all(final.latency is not None for final in found.values())


def test_the_study_ends_in_a_sentence_with_the_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(*_: Any) -> Latency:
        raise DeviceEnded("found another machine")

    examiner = SimpleNamespace(options=lambda **_: SimpleNamespace(remote=lambda: None))
    monkeypatch.setattr(finals_on_ray, "ray", SimpleNamespace(remote=lambda _: examiner))
    monkeypatch.setattr(finals_on_ray, "ask_device", ended)
    monkeypatch.setattr(finals_on_ray, "measure_finals", lambda directory, records, finals, measure, *_: measure(records[0]))
    equipment: Any = SimpleNamespace(study=STUDY, directory=tmp_path, device=None)
    with pytest.raises(WorkError, match=r"^found another machine; see to the node that takes latencies and run the same command again$"):
        finals_on_ray.finish_finals(equipment, None, RECORDS, {}, RunWatch())  # type: ignore[arg-type]


@pytest.mark.parametrize(("raised", "said"), [(DeviceEnded("gone"), WorkError), (DeviceLost("lost three times"), LatencyError)])
def test_beside_a_study_only_a_loss_leaves_a_shape_out(raised: Exception, said: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(*_: Any) -> Latency:
        raise raised

    monkeypatch.setattr(workplace_on_ray, "ask_device", ended)
    monkeypatch.setattr(workplace_on_ray, "latency_device", lambda *_: None)
    with pytest.raises(said, match=str(raised)) as found:
        workplace_on_ray._Device(STUDY.latency, ()).measure(RECORDS[0].architecture)
    assert (found.type is LatencyError) is not str(found.value).endswith("run the same command again")
