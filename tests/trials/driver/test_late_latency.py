"""A trial that was trained before it could be measured ends as one that was measured first; and no more than may lag are trained so."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray

from analysis.records.latency import Latency
from analysis.records.record import Outcome, TrialRecord, read_records
from analysis.records.unmeasured import UnmeasuredTrial, read_unmeasured
from search_space.errors import SpecError
from tests.support import fakes
from trials.driver.agenda import Agenda, NoTask
from trials.driver.late_latency import LateLatencies, judged_late
from trials.driver.record_writer import RecordWriter
from trials.driver.stopper import FrontStopper
from trials.driver.trial_actor import stopped_at
from trials.progress.watch import AWAY, RunWatch
from trials.search.proposer import Proposer
from trials.study.spec import StudySpec
from trials.trial.references import references
from trials.trial.task import DeviceLost, TrialTask

SHARES = (0.25, 0.5)


def agenda_of(study: StudySpec, records: list[TrialRecord], unmeasured: dict[int, TrialRecord] | None = None) -> Agenda:
    space, search = study.search_space, study.search
    named = references(study.references, space)
    return Agenda(study, named, records, lambda: Proposer(space, search.seed, search.sampler), unmeasured=unmeasured or {})


def unmeasured(record: TrialRecord) -> UnmeasuredTrial:
    looks = tuple(replace(stopped_at(record, share), latency=None) for share in SHARES) if record.training else ()
    return UnmeasuredTrial(record=replace(record, latency=None), looks=looks)


def goes_on(record: TrialRecord) -> None:
    return None


def test_a_trial_is_judged_late_as_it_would_have_been_at_first() -> None:
    study, _ = fakes.small_study()
    task = agenda_of(study, []).next()
    assert isinstance(task, TrialTask)
    record = fakes.with_a_curve(task)
    latency, waiting = record.latency, unmeasured(record)
    assert latency is not None

    assert judged_late(study, waiting, latency, goes_on) == record

    failed = judged_late(study, waiting, ValueError("no such kernel"), goes_on)
    assert (failed.outcome, failed.reason, failed.training) == (Outcome.FAILED, "ValueError: no such kernel", None)
    assert judged_late(study, waiting, DeviceLost("lost 3 times"), goes_on).outcome is Outcome.LOST

    bounded, _ = fakes.small_study(limits={"total_ms": latency.total_ms.median / 2})
    over = judged_late(bounded, waiting, latency, goes_on)
    assert (over.outcome, over.latency, over.training) == (Outcome.OVER_LIMIT, latency, None)
    assert "is above limits.total_ms" in (over.reason or "")
    assert "which counts for nothing" in (over.reason or "")

    stopped = judged_late(study, waiting, latency, lambda look: "without hope" if look.training and look.training.tokens > 6_000 else None)
    assert stopped == replace(stopped_at(record, SHARES[1]), latency=latency, reason="without hope")


def test_what_a_stopper_says_late_is_what_it_says_at_once() -> None:
    study, _ = fakes.small_study(search={"trials": 24, "sampler": "random", "early_stopping": "front"}, workers={"count": 1})
    agenda = agenda_of(study, [])
    while isinstance(task := agenda.next(), TrialTask):
        agenda.add(fakes.with_a_curve(task))
    records = [agenda.records[number] for number in sorted(agenda.records)]
    stopper, late = FrontStopper(agenda), FrontStopper(agenda)
    found = []
    for record in records:
        looks = [stopped_at(record, share) for share in SHARES]
        at_once = next((look for look in looks if stopper(f"{record.number}", {"record": look})), None)
        reason = None if at_once is None else stopper.why_stopped(at_once)
        assert all(late.why_stopped(look) is None for look in unmeasured(record).looks), "who is not measured is not stopped"
        latency = record.latency
        assert latency is not None
        then = judged_late(study, unmeasured(record), latency, late.why_stopped)
        assert then == (record if at_once is None else replace(at_once, reason=reason))
        found.append(then.outcome)
    assert Outcome.STOPPED in found


def test_no_more_trials_are_trained_ahead_of_the_device_than_may_lag() -> None:
    study, _ = fakes.small_study(search={"trials": 12, "sampler": "random"}, workers={"count": 2})
    agenda = agenda_of(study, [])
    waiting = []
    while isinstance(task := agenda.next(), TrialTask):
        agenda.set_aside(task.number)
        waiting.append(task)
    assert task is NoTask.WAIT
    assert len(waiting) == 4
    assert agenda.waits_for_device
    assert not agenda.finished
    agenda.add(fakes.answer(waiting.pop(0)))
    assert not agenda.waits_for_device

    again = agenda_of(study, [agenda.records[0]], {task.number: replace(fakes.answer(task), latency=None) for task in waiting})
    following = again.next()
    assert isinstance(following, TrialTask), "those that are trained are not handed out again, and count among those that lag"
    assert following.number == 4
    assert again.next() is NoTask.WAIT
    for task in (*waiting, following):
        again.add(fakes.answer(task))
    assert isinstance(again.next(), TrialTask)


def test_what_is_chosen_does_not_depend_on_when_latencies_came() -> None:
    study, _ = fakes.small_study(search={"trials": 12, "sampler": "nsga2", "replicates": 0.2}, workers={"count": 2})
    undisturbed, disturbed = agenda_of(study, []), agenda_of(study, [])
    while isinstance(task := undisturbed.next(), TrialTask):
        undisturbed.add(fakes.answer(task))
    waiting = list[TrialTask]()
    while not disturbed.finished:
        task = disturbed.next()
        if isinstance(task, TrialTask) and task.number % 3:
            disturbed.set_aside(task.number)
            waiting.append(task)
        elif isinstance(task, TrialTask):
            disturbed.add(fakes.answer(task))
        else:
            disturbed.add(fakes.answer(waiting.pop()))
    assert {number: TrialTask.of(record) for number, record in disturbed.records.items()} == {
        number: TrialTask.of(record) for number, record in undisturbed.records.items()
    }


class Patient:
    """A device that measures once it may."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def measure(self, shape: Any, asker: str) -> Latency:
        while not (self._folder / "there").exists():
            time.sleep(0.01)
        if shape.mlp == "relu":
            raise SpecError("no such kernel")
        return fakes.latency(shape)


@pytest.mark.more
@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_trials_are_kept_until_they_are_measured_and_by_the_next_run_too(tmp_path: Path) -> None:
    study, _ = fakes.small_study(search={"trials": 4, "sampler": "random"}, workers={"count": 2})
    agenda, watch, tracker = agenda_of(study, []), RunWatch(), SimpleNamespace(record=lambda _: None)
    watch.begin_search([], study.problem, 6, 2, lambda: agenda.waits_for_device)
    device = ray.remote(Patient).options(num_cpus=0).remote(tmp_path)

    def late(agenda: Agenda, earlier: list[UnmeasuredTrial]) -> LateLatencies:
        writer = RecordWriter(tmp_path, agenda, None, tracker, watch)  # type: ignore[arg-type]
        return LateLatencies(study, agenda, device, writer, watch, goes_on, earlier)

    with late(agenda, []) as first:
        for _ in range(4):
            task = agenda.next()
            assert isinstance(task, TrialTask)
            first.keep(unmeasured(fakes.answer(task)), b"weights")
        first.record()
        watch.device_is_away(True)
        assert (
            watch.standing.waits_for
            == f"{AWAY}: 4 trained trials to be measured, and no other begins before, for as many may be ahead of it"
        )
        assert watch.standing.counts == "0 of 6 trials, 4 to be measured"
        watch.device_is_away(False)
        assert watch.standing.waits_for == "4 trained trials to be measured"
    waiting = read_unmeasured(tmp_path)
    assert sorted(waiting) == [0, 1, 2, 3]
    assert read_records(tmp_path) == []

    again = agenda_of(study, [], {number: trial.record for number, trial in waiting.items()})
    (tmp_path / "there").touch()
    with late(again, list(waiting.values())) as second:
        while len(again.records) < 4:
            second.record()
            time.sleep(0.01)
    ray.kill(device)
    assert watch.standing.unmeasured == 0
    for record in read_records(tmp_path):
        is_refused = record.architecture.mlp == "relu"
        assert record.outcome is (Outcome.FAILED if is_refused else Outcome.FINISHED)
        assert (tmp_path / "weights" / f"{record.number:04d}.safetensors").exists() is not is_refused
    following = again.next()
    assert isinstance(following, TrialTask)
    assert following.number == 4
