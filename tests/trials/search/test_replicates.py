"""Contenders are trained again with other seeds: chosen from the records alone, and never taken for new shapes."""

from __future__ import annotations

import dataclasses
import random

import pytest

from analysis.fronts.front import front_of
from analysis.fronts.membership import estimate_membership
from analysis.records.record import Kind, Outcome, TrialRecord
from analysis.records.replicates import averaged
from tests.support.around_the_best import NAMED
from tests.support.fakes import answer, small_study
from tests.trials.search.test_proposer import agenda_of, search, stored
from trials.driver.agenda import Agenda, NoTask, contender
from trials.search.proposer import Proposer
from trials.study.search_spec import SearchSpec
from trials.study.spec import StudySpec
from trials.tracking.mlflow_trial_content import trial_run
from trials.trial.task import TrialTask


def noisy(task: TrialTask) -> TrialRecord:
    """Smooth numbers and the noise of the seed."""
    record = answer(task)
    assert record.training is not None
    assert record.training.validation is not None
    bits = record.training.validation.bits_per_byte + random.Random(f"{task.architecture.key} {task.seed}").gauss(0, 0.02)
    quality = dataclasses.replace(record.training.validation, bits_per_byte=bits)
    return stored(dataclasses.replace(record, training=dataclasses.replace(record.training, validation=quality)))


def work(agenda: Agenda, seed: int = 0, workers: int = 2, stop_after: int | None = None) -> dict[int, TrialRecord]:
    """Workers that end in a random order; the records by number."""
    running: list[TrialTask] = []
    draw = random.Random(seed)
    while stop_after is None or len(agenda.records) < stop_after:
        task = agenda.next() if len(running) < workers else NoTask.WAIT
        if isinstance(task, TrialTask):
            running.append(task)
        elif running:
            agenda.add(noisy(running.pop(draw.randrange(len(running)))))
        else:
            break
    return {number: agenda.records[number] for number in sorted(agenda.records)}


def study_of(trials: int, share: float = 0.15) -> StudySpec:
    return small_study(search={"trials": trials, "replicates": share})[0]


def tried(records: dict[int, TrialRecord]) -> dict[int, tuple[str, int, int | None]]:
    return {number: (record.architecture.key, record.seed, record.replicates) for number, record in records.items()}


@pytest.mark.parametrize(("shapes", "share", "replicates"), [(12, 0.15, 2), (3, 0.15, 0), (34, 0.15, 6), (10, 0.5, 10), (12, 0.0, 0)])
def test_the_share_is_one_of_all_trials_and_comes_on_top(shapes: int, share: float, replicates: int) -> None:
    assert SearchSpec(trials=shapes, replicates=share).replicates_of(shapes) == replicates


def test_a_study_ends_with_replicates_of_its_contenders() -> None:
    agenda = agenda_of(study_of(34))
    records = work(agenda)
    assert agenda.finished
    assert agenda.count == len(records) == 2 + 34 + 6
    again = [record for record in records.values() if record.kind is Kind.REPLICATE]
    assert [record.number for record in again] == list(range(36, 42))
    for record in again:
        assert record.replicates is not None
        original = records[record.replicates]
        assert (record.architecture, record.point) == (original.architecture, original.point)
        assert record.seed != original.seed
        assert record.name is None
    assert len({(record.architecture, record.seed) for record in records.values()}) == len(records), "no training is made twice"
    shapes = list(records.values())[:36]
    front = front_of(shapes, problem=study_of(34).problem)
    odds = {number: standing.on_front for number, standing in estimate_membership(front).posteriors.items()}
    assert again[0].replicates == min(odds, key=lambda number: abs(odds[number] - 0.5))


def test_replicates_do_not_depend_on_the_order_in_which_trials_end_or_on_interruptions() -> None:
    study = study_of(20, share=0.3)
    whole = work(agenda_of(study))
    assert sum(record.replicates is not None for record in whole.values()) == 8
    for seed in (1, 2):
        assert tried(work(agenda_of(study), seed)) == tried(whole)
    records: dict[int, TrialRecord] = {}
    for stop in (5, 21, 23, 25, None):
        records = work(agenda_of(study, [stored(record) for record in records.values()]), seed=9, stop_after=stop)
    assert tried(records) == tried(whole)


def test_a_continued_study_tries_new_shapes_after_its_replicates_and_then_has_more_of_them() -> None:
    few = work(agenda_of(study_of(12)))
    agenda = agenda_of(study_of(24), list(few.values()))
    assert not agenda.finished
    more = work(agenda)
    assert {number: more[number] for number in few} == few
    kinds = [record.kind for record in more.values()]
    assert kinds == [Kind.REFERENCE] * 2 + [Kind.SAMPLED] * 12 + [Kind.REPLICATE] * 2 + [Kind.SAMPLED] * 12 + [Kind.REPLICATE] * 2


def test_repetitions_that_fail_or_run_make_way_for_other_contenders() -> None:
    records = list(work(agenda_of(study_of(20, share=0.0))).values())
    first = contender(records, [])
    assert first is not None
    task = dataclasses.replace(TrialTask.of(records[first]), number=22, kind=Kind.REPLICATE, replicates=first, seed=1)
    assert contender(records, [task]) != first
    failed = answer(task, outcome=Outcome.DIVERGED, reason="no", training=None)
    assert contender([*records, failed], []) != first


def test_a_study_without_a_finished_trial_has_nothing_to_repeat() -> None:
    study = study_of(4, share=0.5)
    agenda = agenda_of(study)
    while isinstance(task := agenda.next(), TrialTask):
        outcome = Outcome.DIVERGED if task.number % 2 else Outcome.TIMED_OUT
        agenda.add(answer(task, outcome=outcome, reason="no", training=None, latency=None))
    assert agenda.hopeless or agenda.finished
    assert all(record.replicates is None for record in agenda.records.values())


@pytest.mark.parametrize("sampler", NAMED)
def test_the_sampler_learns_the_mean_of_a_shape_and_not_two_shapes(sampler: str) -> None:
    space = study_of(12).search_space
    records = search(Proposer(space, 0, sampler), 14)
    task = dataclasses.replace(TrialTask.of(records[3]), number=14, kind=Kind.REPLICATE, replicates=3, seed=1)
    with_replicate = [*records, noisy(task)]
    one_each = averaged(with_replicate)
    assert one_each[3] != records[3]
    assert Proposer(space, 0, sampler).propose(15, with_replicate, []) == Proposer(space, 0, sampler).propose(15, one_each, [])
    assert Proposer(space, 0, sampler).propose(15, records, [task]) == Proposer(space, 0, sampler).propose(15, records, [])


def test_mlflow_says_what_a_replicate_repeats() -> None:
    record = next(record for record in work(agenda_of(study_of(12))).values() if record.replicates is not None)
    content = trial_run(record)
    assert content.name.startswith(f"#{record.number} replicate of #{record.replicates}: ")
    assert content.tags["archfront.replicates"] == str(record.replicates)
    assert content.tags["archfront.kind"] == "replicate"
    assert content.parameters["seed"] == "1"
