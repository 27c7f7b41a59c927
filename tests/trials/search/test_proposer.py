"""Proposals: valid, new, a pure function of study, seed and records; and the agenda that decides what each of them may know."""

from __future__ import annotations

import dataclasses
import json
import math
import random
from collections.abc import Callable

import pytest

from analysis.fronts.domination import hypervolume
from analysis.records.record import Kind, Outcome, TrialRecord
from search_space.architecture import Architecture
from search_space.space import SearchSpace
from tests.support.around_the_best import NAMED
from tests.support.fakes import answer, small_study
from tests.support.sample_study import SPACE as LARGER
from trials.driver.agenda import HOPELESS, Agenda, NoTask
from trials.search.proposer import Proposer
from trials.search.samplers import POPULATION
from trials.study.spec import StudySpec
from trials.trial.references import references
from trials.trial.task import TrialTask, plain

STUDY, _ = small_study()
SPACE = STUDY.search_space


def stored(record: TrialRecord) -> TrialRecord:
    """The record as a later run reads it."""
    return TrialRecord.from_dict(json.loads(json.dumps(record.as_dict())))


def search(proposer: Proposer, count: int) -> list[TrialRecord]:
    """One trial after another, each in sight of all before it."""
    records: list[TrialRecord] = []
    for number in range(count):
        proposal = proposer.propose(number, records, [])
        assert proposal is not None
        point, shape = proposal
        records.append(answer(TrialTask(number=number, kind=Kind.SAMPLED, point=plain(point), architecture=shape, seed=0)))
    return records


@pytest.mark.parametrize("sampler", NAMED)
def test_every_proposal_is_feasible_and_new(sampler: str) -> None:
    feasible = {shape for _, shape in SPACE.table()}
    records = search(Proposer(SPACE, 0, sampler), 40)
    assert {record.architecture for record in records} <= feasible
    assert len({record.architecture for record in records}) == 40
    for record in records:
        assert record.point is not None
        assert record.point["num_unique_layers"] == record.architecture.num_unique_layers


@pytest.mark.parametrize("sampler", NAMED)
def test_replaying_the_records_one_by_one_proposes_the_same_shapes(sampler: str) -> None:
    records = search(Proposer(SPACE, 3, sampler), 30)
    again = Proposer(SPACE, 3, sampler)
    for number in reversed(range(30)):
        seen = [stored(record) for record in records[:number]]
        random.Random(number).shuffle(seen)
        proposal = again.propose(number, seen, [])
        assert proposal is not None
        assert proposal[1] == records[number].architecture


@pytest.mark.parametrize("sampler", NAMED)
def test_pending_shapes_are_not_proposed_again(sampler: str) -> None:
    proposer = Proposer(SPACE, 0, sampler)
    records = search(proposer, 15)
    pending: list[TrialTask] = []
    for number in range(15, 25):
        proposal = proposer.propose(number, records, pending)
        assert proposal is not None
        pending.append(TrialTask(number=number, kind=Kind.SAMPLED, point=plain(proposal[0]), architecture=proposal[1], seed=0))
    shapes = [record.architecture for record in records] + [task.architecture for task in pending]
    assert len(set(shapes)) == 25


def test_a_shape_that_stands_as_a_reference_is_not_proposed_again() -> None:
    (_, shape), *_ = SPACE.table()
    record = answer(TrialTask(number=0, kind=Kind.REFERENCE, name="mine", architecture=shape, seed=0))
    proposed = search_with(lambda number, records: Proposer(SPACE, number, "random").propose(number, [record, *records], []), 20)
    assert shape not in proposed


def search_with(propose: Callable[[int, list[TrialRecord]], tuple[object, Architecture] | None], count: int) -> list[Architecture]:
    found = [propose(number, []) for number in range(1, count)]
    return [proposal[1] for proposal in found if proposal is not None]


@pytest.mark.parametrize("sampler", NAMED)
def test_a_proposer_that_has_seen_other_records_of_the_same_numbers_proposes_as_a_fresh_one(sampler: str) -> None:
    used, records = Proposer(SPACE, 0, sampler), search(Proposer(SPACE, 0, sampler), 16)
    used.propose(16, records, [])
    lost = [dataclasses.replace(record, outcome=Outcome.FAILED, training=None) for record in records[:4]] + records[4:]
    for seen in (lost, records, records[:12]):
        assert used.propose(20, seen, []) == Proposer(SPACE, 0, sampler).propose(20, seen, [])


def test_another_seed_searches_elsewhere() -> None:
    shapes = [[record.architecture for record in search(Proposer(SPACE, seed, "nsga2"), 6)] for seed in (0, 1)]
    assert shapes[0] != shapes[1]


def test_a_space_is_proposed_to_its_last_shape_and_then_ends() -> None:
    study, _ = small_study(space={"num_unique_layers": [2, 3], "hidden_size": [48, 56], "mlp": "swiglu", "sharing": "none"})
    proposer = Proposer(study.search_space, 0, "nsga2")
    count = len(proposer)
    assert 0 < count < 20
    records = search(proposer, count)
    assert {record.architecture for record in records} == {shape for _, shape in study.search_space.table()}
    assert proposer.propose(count, records, []) is None


def test_nsga2_breeds_from_the_best_it_knows() -> None:
    proposer = Proposer(SPACE, 0, "nsga2")
    good = [row for row in SPACE.table() if row[0]["num_unique_layers"] == 4 and row[0]["mlp"] == "swiglu"][: POPULATION // 2]
    poor = [row for row in SPACE.table() if row[0]["num_unique_layers"] == 1 and row[0]["mlp"] == "relu"][:POPULATION]
    records = []
    for number, (point, shape) in enumerate([*good, *poor]):
        record = answer(TrialTask(number=number, kind=Kind.SAMPLED, point=plain(point), architecture=shape, seed=0))
        assert record.latency is not None
        scale = 1.0 if number < len(good) else 100.0
        spread = dataclasses.replace(record.latency.total_ms, median=scale * record.latency.total_ms.median)
        records.append(dataclasses.replace(record, latency=dataclasses.replace(record.latency, total_ms=spread)))
    depths = [shape.num_unique_layers for _, shape in filter(None, (proposer.propose(n, records, []) for n in range(100, 140)))]
    assert sum(depth >= 3 for depth in depths) > 25


@pytest.mark.parametrize("outcome", [Outcome.DIVERGED, Outcome.STOPPED])
@pytest.mark.parametrize("sampler", NAMED)
def test_trials_without_numbers_are_told_and_do_not_count_as_known(sampler: str, outcome: Outcome) -> None:
    proposer = Proposer(SPACE, 0, sampler)
    records = search(proposer, POPULATION + 5)
    half = len(records) // 3
    failed = [dataclasses.replace(record, outcome=outcome, training=None) for record in records[:half]] + records[half:]
    proposal = proposer.propose(20, failed, [])
    assert proposal is not None
    assert proposal[1] not in {record.architecture for record in records}


@pytest.mark.slow
def test_searching_beats_guessing() -> None:
    """On 2,829 shapes whose numbers are known, so that the share of the true front's hypervolume can be told; the mean of four seeds."""
    everything = {shape: _point_of(shape) for _, shape in LARGER.table()}
    corner = tuple(1.1 * max(point[axis] for point in everything.values()) for axis in (0, 1))

    def share(sampler: str) -> float:
        found = [search(Proposer(LARGER, seed, sampler), 40) for seed in range(4)]
        volumes = [hypervolume([everything[record.architecture] for record in records], (corner[0], corner[1])) for records in found]
        return sum(volumes) / len(volumes) / hypervolume(list(everything.values()), (corner[0], corner[1]))

    shares = {sampler: share(sampler) for sampler in ("random", "tpe", "front")}  # NSGA-II needs more than 40 evaluations for it
    assert shares["front"] > shares["tpe"] > shares["random"]


def _point_of(shape: Architecture) -> tuple[float, float]:
    record = answer(TrialTask(number=0, kind=Kind.SAMPLED, architecture=shape, seed=0))
    assert record.latency is not None
    assert record.training is not None
    assert record.training.validation is not None
    return math.log(record.latency.total_ms.median), record.training.validation.bits_per_byte


def agenda_of(study: StudySpec, records: list[TrialRecord] | None = None) -> Agenda:
    space = study.search_space
    return Agenda(
        study, references(study.references, space), records or [], lambda: Proposer(space, study.search.seed, study.search.sampler)
    )


def work(agenda: Agenda, workers: int, seed: int, stop_after: int | None = None) -> None:
    """Workers that end in a random order."""
    running: list[TrialTask] = []
    draw = random.Random(seed)
    while stop_after is None or len(agenda.records) < stop_after:
        task = agenda.next() if len(running) < workers else NoTask.WAIT
        if isinstance(task, TrialTask):
            running.append(task)
        elif running:
            agenda.add(stored(answer(running.pop(draw.randrange(len(running))))))
        else:
            assert task is NoTask.END
            return


def test_the_order_in_which_trials_end_changes_nothing() -> None:
    study, _ = small_study(search={"trials": 30}, workers={"count": 3})
    tried = []
    for seed in range(4):
        agenda = agenda_of(study)
        work(agenda, 3, seed)
        assert agenda.finished
        tried.append([agenda.records[number].architecture for number in range(32)])
    assert tried[0] == tried[1] == tried[2] == tried[3]
    assert len(set(tried[0])) == 32


def test_an_interrupted_study_tries_what_it_would_have_tried() -> None:
    study, _ = small_study(search={"trials": 30}, workers={"count": 3})
    whole, agenda = agenda_of(study), agenda_of(study)
    work(whole, 3, 0)
    for stop in (1, 4, 5, 13, 21, None):
        agenda = agenda_of(study, [stored(record) for record in agenda.records.values()])
        work(agenda, 3, stop or 9, stop)
    assert {n: r.architecture for n, r in agenda.records.items()} == {n: r.architecture for n, r in whole.records.items()}


def test_more_trials_go_on_where_fewer_ended() -> None:
    few, many = (small_study(search={"trials": trials}, workers={"count": 2})[0] for trials in (8, 16))
    first, whole = agenda_of(few), agenda_of(many)
    work(first, 2, 0)
    work(whole, 2, 1)
    continued = agenda_of(many, list(first.records.values()))
    assert not continued.finished
    work(continued, 2, 2)
    assert {n: r.architecture for n, r in continued.records.items()} == {n: r.architecture for n, r in whole.records.items()}


def test_a_study_in_which_everything_fails_ends_early_and_may_be_tried_again() -> None:
    study, _ = small_study(search={"trials": 30}, workers={"count": 2})

    def fail(agenda: Agenda) -> int:
        count = 0
        while isinstance(task := agenda.next(), TrialTask):
            agenda.add(answer(task, outcome=Outcome.FAILED, reason="no", training=None))
            count += 1
        return count

    agenda = agenda_of(study)
    assert fail(agenda) == HOPELESS
    assert agenda.hopeless
    again = agenda_of(study, list(agenda.records.values()))
    assert not again.hopeless
    assert isinstance(again.next(), TrialTask)


def test_the_default_sampler_avoids_where_trials_diverged() -> None:
    proposer, records = Proposer(SPACE, 0, STUDY.search.sampler), list[TrialRecord]()
    failed = []
    for number in range(36):
        proposal = proposer.propose(number, records, [])
        assert proposal is not None
        point, shape = proposal
        task = TrialTask(number=number, kind=Kind.SAMPLED, point=plain(point), architecture=shape, seed=0)
        failed.append(shape.mlp == "relu")
        reason = "the training loss was nan"
        changes = {"outcome": Outcome.DIVERGED, "reason": reason, "training": None} if failed[-1] else {}
        records.append(stored(answer(task, **changes)))
    relu = sum(shape.mlp == "relu" for _, shape in SPACE.table()) / len(SPACE.table())
    assert relu > 0.3
    assert sum(failed[18:]) / 18 < relu / 3


def test_tasks_that_nobody_works_at_any_more_are_handed_out_again() -> None:
    study, _ = small_study(search={"trials": 30}, workers={"count": 2})
    agenda = agenda_of(study)
    first, second, third = (agenda.next() for _ in range(3))
    assert isinstance(second, TrialTask)
    agenda.add(answer(second))
    agenda.give_back()
    assert agenda.in_flight == 0
    assert [agenda.next(), agenda.next()] == [first, third]
    assert agenda.in_flight == 2


def test_an_exhausted_space_ends_the_study_without_an_error() -> None:
    space = {"num_unique_layers": [2, 3], "hidden_size": [48, 56], "mlp": "swiglu", "sharing": "none"}
    study, _ = small_study(space=space, search={"trials": 30}, references=[])
    agenda = agenda_of(study)
    work(agenda, 2, 0)
    assert agenda.finished
    assert agenda.count == len(agenda.records) == len(study.search_space.table()) < 30


def test_replicas_of_the_space_object_propose_alike() -> None:
    twin = SearchSpace.parse(STUDY.space, SPACE.budget)
    first, second = (Proposer(space, 0, "nsga2").propose(0, [], []) for space in (SPACE, twin))
    assert first == second
