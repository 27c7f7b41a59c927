"""What a proposal, a look at a running trial and a replicate's choice cost does not grow with the study: what is over is read once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from analysis.fronts.front import front_of
from analysis.objectives.problem import Problem
from analysis.records.record import Kind, Outcome, TrialRecord
from analysis.records.training import CurvePoint
from analysis.search import early_stopping
from analysis.search.objective_models import Batch
from tests.support import fakes
from trials.driver.agenda import Agenda
from trials.driver.stopper import FrontStopper
from trials.driver.trial_actor import stopped_at
from trials.progress.tally import ProgressTally
from trials.search.front_sampler import FrontSampler
from trials.search.proposer import Proposer
from trials.search.told_trials import DEVIATION, ESTIMATE, ToldTrials
from trials.study.spec import StudySpec
from trials.trial.task import TrialTask, plain

FEW, MANY, THEN = 300, 1800, 12
"""Trials of two studies, of which the model sees equally many, and those that follow."""


def of_space(study: StudySpec, count: int) -> list[TrialRecord]:
    """Finished trials of shapes from all over the space, with a curve; their numbers say how good they are."""
    random = np.random.default_rng(0)
    table = study.search_space.table()
    point, shape = table[0]
    first = fakes.answer(TrialTask(number=0, kind=Kind.SAMPLED, point=plain(point), architecture=shape, seed=0))
    assert first.training is not None
    assert first.training.validation is not None
    assert first.latency is not None
    records = []
    for number, place in enumerate(random.choice(len(table), size=count, replace=False).tolist()):
        point, shape = table[place]
        total = 2.0 + 3.0 * shape.num_hidden_layers + 0.1 * random.random()
        bits = 2.5 - 0.002 * shape.hidden_size - 0.01 * shape.num_hidden_layers + 0.02 * random.standard_normal()
        whole = first.training.planned_tokens
        losses = {k: 1.5 * bits * (0.7 + 0.3 * (16 / k) ** 0.3) for k in (1, 4, 16)}
        curve = tuple(CurvePoint(tokens=whole * k // 16, seconds=k / 8, validation_loss=loss) for k, loss in losses.items())
        quality = replace(first.training.validation, loss=1.5 * bits, bits_per_byte=bits)
        records.append(
            replace(
                first,
                number=number,
                point=plain(point),
                architecture=shape,
                latency=replace(first.latency, total_ms=replace(first.latency.total_ms, median=total, p10=total, p90=total)),
                training=replace(first.training, validation=quality, curve=curve),
            )
        )
    return records


def ratio(few: Callable[[int], object], many: Callable[[int], object]) -> float:
    """Processor time of calls in the large study over that in the small one, taken in turns, so that a busy machine is so to both."""
    spent = [0.0, 0.0]
    for call in range(THEN):
        for side, work in enumerate((few, many)):
            begun = time.process_time()
            work(call)
            spent[side] += time.process_time() - begun if call >= 2 else 0.0  # the first calls read what there is
    return spent[1] / spent[0]


@pytest.mark.parametrize("sampler", ["front", "nsga2"])
def test_a_proposal_in_sight_of_1800_trials_costs_about_what_one_in_sight_of_300_does(sampler: str) -> None:
    study, _ = fakes.small_study(space=fakes.WIDE_SPACE)
    records = of_space(study, MANY + THEN)

    def asked(count: int) -> Callable[[int], object]:
        proposer = Proposer(study.search_space, 0, sampler)
        return lambda call: proposer.propose(count + call, records[: count + call], [])

    assert ratio(asked(FEW), asked(MANY)) < (1.3 if sampler == "front" else 2.5)  # nsga2 takes a millisecond or two


def test_trials_that_are_over_are_read_once_and_those_that_run_each_time() -> None:
    sampler = FrontSampler({"width": IntDistribution(0, 99)})
    asked: list[int] = []

    def recall(trials: Sequence[FrozenTrial]) -> Batch:
        asked.append(len(trials))
        return sampler._recall(trials)

    def trial(number: int, state: TrialState) -> FrozenTrial:
        values = [1.0, 2.0] if state is TrialState.COMPLETE else None
        made = create_trial(state=state, values=values, params={"width": number}, distributions={"width": IntDistribution(0, 99)})
        made.number = number
        return made

    states = [TrialState.COMPLETE, TrialState.FAIL, TrialState.PRUNED, TrialState.COMPLETE]
    over, told = [trial(number, states[number % 4]) for number in range(40)], ToldTrials(["width"], recall)
    for count in (10, 11, 40):
        before = sum(asked)
        found = told.observations([*over[:count], trial(count, TrialState.RUNNING)], count + 1, (1.0, -1.0))
        assert sum(asked) - before == count - {10: 0, 11: 10, 40: 11}[count] + 1
        assert sum(map(len, found.tried)) == count + 1
        assert found.values[:, 1].tolist() == [-2.0] * len(found.finished)
    over[2].set_user_attr(ESTIMATE, [3.0, 4.0])
    over[2].set_user_attr(DEVIATION, [0.1, 0.0])
    over[6].set_user_attr(ESTIMATE, [3.0])
    later = told.observations(over, 40, (1.0, 1.0))
    assert later.stopped.places.tolist() == sampler._recall([over[2]]).places.tolist()
    assert (later.estimates.tolist(), later.deviations.tolist()) == ([[3.0, 4.0]], [[0.1, 0.0]])
    assert len(later.others) == 9
    other = told.observations(over[1:5], 40, (1.0, 1.0))
    assert sum(map(len, other.tried)) == 4, "another study is read anew"


def test_what_is_told_at_once_and_what_is_told_bit_by_bit_is_the_same() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space: dict[str, BaseDistribution] = {"width": IntDistribution(0, 30), "depth": IntDistribution(0, 30)}

    def proposals(sampler: Callable[[], FrontSampler]) -> list[dict[str, int]]:
        study = optuna.create_study(directions=["minimize", "maximize"], sampler=sampler())
        for number in range(14):
            study.sampler = sampler()
            trial = study.ask(space)
            width, depth = trial.params["width"], trial.params["depth"]
            study.tell(trial, None if number % 5 == 4 else [width + depth / 3, width - depth], TrialState.FAIL if number % 5 == 4 else None)
        return [trial.params for trial in study.trials]

    one = FrontSampler(space, seed=3)
    assert proposals(lambda: one) == proposals(lambda: FrontSampler(space, seed=3))


def test_a_look_at_a_running_trial_reads_no_record_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    study, _ = fakes.small_study(search={"trials": 400, "early_stopping": "front"}, space=fakes.WIDE_SPACE)
    records = of_space(study, 200)
    agenda = Agenda(study, [], records[:100], lambda: pytest.fail("nothing is proposed"))
    stopper, read, curve_of = FrontStopper(agenda), list[int](), early_stopping.learning_curve

    def noted(record: TrialRecord, problem: Problem) -> early_stopping.LearningCurve:
        read.append(record.number)
        return curve_of(record, problem)

    monkeypatch.setattr("trials.driver.stopper.learning_curve", noted)
    for number in range(100, 200):
        stopper("trial", {"record": stopped_at(records[number], 1 / 4)})
        agenda.add(records[number])
    known = len(agenda.known_to(199))
    assert sorted(read) == sorted([*range(known), *range(100, 200)])


def test_the_tally_of_a_running_study_finds_the_front_that_a_whole_reading_finds() -> None:
    study, _ = fakes.small_study(space=fakes.WIDE_SPACE)
    records = of_space(study, 150)
    again = [
        replace(record, number=150 + place, kind=Kind.REPLICATE, replicates=record.number, training=records[place * 2 + 1].training)
        for place, record in enumerate(records[:50])
    ]
    failed = [replace(records[60], number=200, outcome=Outcome.FAILED, training=None)]
    tally, so_far = ProgressTally([], study.problem), list[TrialRecord]()
    for record in [*records, *again, *failed]:
        tally.add(record)
        so_far.append(record)
        if record.number % 7 == 0 or record.number > 150:
            assert tally.fields()["front_size"] == len(front_of(so_far, problem=study.problem).members)
