"""What a latency device says late, or not at all, costs no trial what it was trained to, and judges it by no less than a proposal knew."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from analysis.records.record import Outcome, TrialRecord, read_records
from analysis.records.unmeasured import UnmeasuredTrial, read_unmeasured
from search_space.architecture import Architecture
from search_space.errors import WorkError
from tests.support import fakes
from tests.trials.driver.test_late_latency import agenda_of, goes_on, unmeasured
from trials.driver import late_latency
from trials.driver.agenda import Agenda
from trials.driver.late_latency import LateLatencies
from trials.driver.record_writer import RecordWriter
from trials.driver.still_to_do import still_unmeasured
from trials.progress.watch import AWAY, RunWatch
from trials.study.directory import weights_file
from trials.trial.task import DeviceEnded, DeviceLost, TrialTask

STUDY, _ = fakes.small_study(search={"trials": 12, "sampler": "random"}, workers={"count": 2})
GONE = DeviceEnded("the process that takes latencies does not start: no runtime")
NO_RECORD: list[TrialRecord] = []


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the device says of every shape, one answer for all; where empty it says its latency."""
    answers = list[Any]()

    def ask(device: Any, shape: Architecture, away: Any, goes_on: Any) -> Any:
        if answers:
            raise answers[0]
        return fakes.latency(shape)

    monkeypatch.setattr(late_latency, "ask_device", ask)
    return answers


def late_of(directory: Path, agenda: Agenda, earlier: list[UnmeasuredTrial], watch: RunWatch | None = None) -> LateLatencies:
    tracker: Any = SimpleNamespace(record=lambda _: None)
    watch = watch or RunWatch()
    return LateLatencies(STUDY, agenda, None, RecordWriter(directory, agenda, None, tracker, watch), watch, goes_on, earlier)


def tasks(agenda: Agenda, count: int) -> list[TrialTask]:
    found = [agenda.next() for _ in range(count)]
    return [task for task in found if isinstance(task, TrialTask)]


def wait_for(holds: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.005)


def recorded(late: LateLatencies, agenda: Agenda) -> bool:
    late.record()
    return bool(agenda.records)


@pytest.mark.parametrize("error", [GONE, RuntimeError("the latency process was ended by SIGTERM"), DeviceLost("lost 3 times")])
def test_what_fails_while_a_run_is_interrupted_is_no_verdict(error: Exception, tmp_path: Path, said: list[Any]) -> None:
    agenda = agenda_of(STUDY, [])
    said.append(error)
    with late_of(tmp_path, agenda, []) as late:
        [task] = tasks(agenda, 1)
        late.keep(unmeasured(fakes.answer(task)), b"weights")
        agenda.interrupt()
        wait_for(lambda: late._answers.qsize())
        late.record()
    assert read_records(tmp_path) == NO_RECORD
    assert weights_file(tmp_path, 0).read_bytes() == b"weights"
    assert list(still_unmeasured(tmp_path, [], read_unmeasured(tmp_path), has_weights=True)) == [0]


def test_a_device_that_was_ended_for_good_ends_the_run_in_a_sentence_and_the_next_goes_on(tmp_path: Path, said: list[Any]) -> None:
    agenda = agenda_of(STUDY, [])
    said.append(GONE)
    with late_of(tmp_path, agenda, []) as late:
        [task] = tasks(agenda, 1)
        late.keep(unmeasured(fakes.answer(task)), b"weights")
        wait_for(lambda: late._answers.qsize())
        with pytest.raises(WorkError, match=r"does not start: no runtime; see to the node .* and run the same command again"):
            late.record()
        assert late._writer.complaint is not None
    assert read_records(tmp_path) == NO_RECORD
    said.clear()
    waiting = still_unmeasured(tmp_path, [], read_unmeasured(tmp_path), has_weights=True)
    again = agenda_of(STUDY, [], {number: trial.record for number, trial in waiting.items()})
    with late_of(tmp_path, again, list(waiting.values())) as late:
        wait_for(lambda: recorded(late, again))
    assert [record.outcome for record in read_records(tmp_path)] == [Outcome.FINISHED]
    assert weights_file(tmp_path, 0).read_bytes() == b"weights"


def test_a_trained_trial_that_was_lost_is_measured_and_not_trained_again(tmp_path: Path, said: list[Any]) -> None:
    agenda = agenda_of(STUDY, [])
    said.append(DeviceLost("lost 3 times while it measured this shape"))
    with late_of(tmp_path, agenda, []) as late:
        [task] = tasks(agenda, 1)
        late.keep(unmeasured(fakes.answer(task)), b"weights")
        wait_for(lambda: recorded(late, agenda))
    [record] = read_records(tmp_path)
    assert record.outcome is Outcome.LOST
    waiting = still_unmeasured(tmp_path, [record], read_unmeasured(tmp_path), has_weights=True)
    again = agenda_of(STUDY, [record], {number: trial.record for number, trial in waiting.items()})
    assert [each.number for each in tasks(again, 1)] == [1]
    said.clear()
    with late_of(tmp_path, again, list(waiting.values())) as late:
        wait_for(lambda: recorded(late, again))
    assert read_records(tmp_path)[0].outcome is Outcome.FINISHED
    assert again.lost == {}


def test_only_what_no_record_settles_and_has_its_weights_is_still_to_be_measured(tmp_path: Path) -> None:
    records = [fakes.answer(task) for task in tasks(agenda_of(STUDY, []), 4)]
    trials = {record.number: unmeasured(record) for record in records}
    settled, lost, untouched, diverged = records
    trials[diverged.number] = unmeasured(replace(diverged, outcome=Outcome.DIVERGED, training=None))
    known = [settled, replace(lost, outcome=Outcome.LOST, training=None)]
    assert list(still_unmeasured(tmp_path, known, trials, has_weights=False)) == [1, 2, 3]
    assert list(still_unmeasured(tmp_path, known, trials, has_weights=True)) == [3], "who has no weights is trained again"
    weights_file(tmp_path, untouched.number).parent.mkdir()
    weights_file(tmp_path, untouched.number).touch()
    assert list(still_unmeasured(tmp_path, known, trials, has_weights=True)) == [2, 3]


def test_a_trial_is_not_judged_late_before_the_records_that_its_proposal_knew_are_back(tmp_path: Path, said: list[Any]) -> None:
    first, whole = agenda_of(STUDY, []), list[TrialRecord]()
    while len(whole) < 6 and isinstance(task := first.next(), TrialTask):
        whole.append(fakes.answer(task))
        first.add(whole[-1])
    trial = unmeasured(whole[5])
    assert trial.looks
    records = [replace(whole[0], outcome=Outcome.LOST, training=None, latency=None), *whole[1:5]]
    agenda = agenda_of(STUDY, records, {5: trial.record})
    with late_of(tmp_path, agenda, [trial]) as late:
        [again] = tasks(agenda, 1)
        assert again.number == 0
        wait_for(lambda: late._answers.qsize())
        late.record()
        assert 5 not in agenda.records, "the record of trial 0 is known to its proposal"
        agenda.add(whole[0])
        late.record()
        assert 5 in agenda.records


def test_what_is_handed_out_again_does_not_wait_for_those_that_wait_for_it() -> None:
    first, whole = agenda_of(STUDY, []), list[TrialRecord]()
    while len(whole) < 8 and isinstance(task := first.next(), TrialTask):
        whole.append(fakes.answer(task))
        first.add(whole[-1])
    records = [replace(whole[0], outcome=Outcome.LOST, training=None, latency=None), *whole[1:4]]
    agenda = agenda_of(STUDY, records, {record.number: replace(record, latency=None) for record in whole[4:]})
    assert [task.number for task in tasks(agenda, 2)] == [0]
    assert agenda.waits_for_device
    agenda.try_again(0)
    assert agenda.waits_for_device
    assert not any(agenda.knows_enough_of(record.number) for record in whole[4:])
    assert [task.number for task in tasks(agenda, 2)] == [0]


def test_a_watch_says_that_no_other_begins_where_that_is_so(tmp_path: Path) -> None:
    agenda, watch, full = agenda_of(STUDY, []), RunWatch(), ", and no other begins before, for as many may be ahead of it"
    watch.begin_search([], STUDY.problem, 14, 2, lambda: agenda.waits_for_device)
    watch.device_is_away(True)
    for count in range(1, 5):
        [task] = tasks(agenda, 1)
        agenda.set_aside(task.number)
        watch.set_aside(fakes.answer(task))
        assert watch.standing.waits_for.startswith(f"{AWAY}: {count} trained trial")
        assert watch.standing.waits_for.endswith(full) is (count == 4)
