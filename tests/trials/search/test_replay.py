"""A finished study's records, given back one at a time, make the agenda hand out the tasks that they answer."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable

import pytest

from analysis.records.record import Outcome, TrialRecord
from tests.support.around_the_best import NAMED
from tests.support.fakes import answer, small_study
from trials.driver.agenda import Agenda, NoTask
from trials.search.proposer import Proposer
from trials.study.spec import StudySpec
from trials.trial.references import references
from trials.trial.task import TrialTask

TRIALS, WORKERS = 20, 3


def agenda_of(study: StudySpec) -> Agenda:
    space, search = study.search_space, study.search
    return Agenda(study, references(study.references, space), [], lambda: Proposer(space, search.seed, search.sampler))


def finished(study: StudySpec) -> list[TrialRecord]:
    """As a study leaves them, a failed and a lost trial among them."""
    agenda = agenda_of(study)
    while isinstance(task := agenda.next(), TrialTask):
        failed = {6: Outcome.DIVERGED, 9: Outcome.LOST}.get(task.number)
        agenda.add(answer(task, outcome=failed, reason="no", latency=None, training=None) if failed else answer(task))
    return [TrialRecord.from_dict(json.loads(json.dumps(record.as_dict()))) for record in agenda.records.values()]


def replayed(study: StudySpec, records: Iterable[TrialRecord], arrivals: random.Random | None) -> list[TrialTask]:
    """The tasks, each asked for as soon as it can be; a record arrives in the order of the numbers, or as `arrivals` draws among those
    handed out.
    """
    known, agenda = {record.number: record for record in records}, agenda_of(study)
    tasks: list[TrialTask] = []
    running: list[TrialTask] = []
    while True:
        task = agenda.next() if len(running) < WORKERS else NoTask.WAIT
        if isinstance(task, TrialTask):
            tasks.append(task)
            running.append(task)
        elif running:
            agenda.add(known[running.pop(arrivals.randrange(len(running)) if arrivals else 0).number])
        else:
            assert task is NoTask.END
            return tasks


@pytest.mark.parametrize("sampler", NAMED)
def test_replaying_a_finished_study_hands_out_the_same_tasks(sampler: str) -> None:
    study, _ = small_study(search={"trials": TRIALS, "sampler": sampler, "seed": 3, "replicates": 0.2}, workers={"count": WORKERS})
    records = finished(study)
    said = [TrialTask.of(record) for record in sorted(records, key=lambda record: record.number)]
    assert replayed(study, records, None) == said
    for seed in range(3):
        assert replayed(study, records, random.Random(seed)) == said
