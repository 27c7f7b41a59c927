"""What stopped trials would have reached: from finished ones at the same tokens, with a deviation that holds."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np
import pytest

from analysis.records.record import Kind, Outcome, TrialRecord
from analysis.records.training import CurvePoint, Quality
from analysis.search.loss_extrapolation import LEAST_TRIALS, LossEstimate, LossExtrapolation
from search_space.architecture import Architecture
from tests.support.fakes import answer, small_study
from trials.search.proposer import Proposer
from trials.trial.task import TrialTask, plain

STUDY, _ = small_study()
SHAPES = STUDY.search_space.table()
RUNG, END = 4_096, 20_480


def record(number: int, at_rung: float, final: float | None, nats_per_bit: float = 1.5) -> TrialRecord:
    """Of a trial that was this good at the rung, in bits per byte, and went on to its end or stopped there."""
    point, shape = SHAPES[37 * number % len(SHAPES)]
    whole = answer(TrialTask(number=number, kind=Kind.SAMPLED, point=plain(point), architecture=shape, seed=0))
    assert whole.training is not None
    bits = at_rung if final is None else final
    quality = Quality(loss=nats_per_bit * bits, bits_per_byte=bits, next_token_accuracy=0.3, tokens=2_048)
    curve = (CurvePoint(tokens=RUNG, seconds=1.0, validation_loss=nats_per_bit * at_rung),)
    tokens, outcome = (RUNG, Outcome.STOPPED) if final is None else (END, Outcome.FINISHED)
    training = dataclasses.replace(whole.training, validation=quality, curve=curve, tokens=tokens)
    return dataclasses.replace(whole, outcome=outcome, training=training)


def loss_estimates(records: Iterable[TrialRecord]) -> dict[int, LossEstimate]:
    losses = LossExtrapolation()
    for seen in records:
        losses.add(seen)
    return losses.estimates()


def finished(count: int, noise: float, seed: int = 0) -> list[TrialRecord]:
    random = np.random.default_rng(seed)
    rungs = random.uniform(2.5, 3.5, count)
    return [record(n, float(x), float(0.8 + 0.6 * x + random.normal(0, noise))) for n, x in enumerate(rungs)]


def test_a_line_through_finished_trials_says_what_a_stopped_one_would_have_reached() -> None:
    found = loss_estimates([*finished(40, 0.01), record(40, 3.2, None)])[40]
    assert found.bits_per_byte == pytest.approx(0.8 + 0.6 * 3.2, abs=0.01)
    assert 0.007 < found.deviation < 0.015


def test_losses_of_other_vocabularies_are_compared_in_bits_per_byte() -> None:
    own, other = (loss_estimates([*finished(10, 0.0), record(10, 3.0, None, nats)])[10] for nats in (1.5, 4.0))
    assert own.bits_per_byte == pytest.approx(other.bits_per_byte)


@pytest.mark.more
def test_the_deviation_holds_where_few_are_known() -> None:
    off = []
    for seed in range(200):
        random = np.random.default_rng(1_000 + seed)
        at = float(random.uniform(2.5, 3.8))
        found = loss_estimates([*finished(LEAST_TRIALS + 2, 0.02, seed), record(50, at, None)])[50]
        off.append((found.bits_per_byte - (0.8 + 0.6 * at + random.normal(0, 0.02))) / found.deviation)
    assert np.mean(np.abs(off) < 2) > 0.85


def test_too_few_pairs_other_tokens_and_another_budget_say_nothing() -> None:
    stopped = record(40, 3.0, None)
    assert loss_estimates([*finished(LEAST_TRIALS - 1, 0.01), stopped]) == {}
    assert stopped.training is not None
    elsewhere = dataclasses.replace(stopped.training, curve=(CurvePoint(tokens=RUNG + 512, seconds=1.0, validation_loss=4.0),))
    longer = dataclasses.replace(stopped.training, planned_tokens=2 * END)
    for training in (elsewhere, longer, dataclasses.replace(stopped.training, validation=None)):
        assert loss_estimates([*finished(20, 0.01), dataclasses.replace(stopped, training=training)]) == {}


def test_equal_losses_at_the_rung_give_their_mean() -> None:
    found = loss_estimates([*(record(n, 3.0, 2.0 + 0.01 * n) for n in range(5)), record(9, 3.0, None)])[9]
    assert found.bits_per_byte == pytest.approx(2.02)


def proposed(records: list[TrialRecord]) -> list[Architecture]:
    proposer = Proposer(STUDY.search_space, 0, "front")
    return [proposal[1] for number in range(60, 64) if (proposal := proposer.propose(number, records, []))]


def bits(number: int) -> float:
    """What the fakes say of that trial's shape."""
    _, shape = SHAPES[37 * number % len(SHAPES)]
    training = answer(TrialTask(number=number, kind=Kind.SAMPLED, architecture=shape, seed=0)).training
    assert training is not None
    assert training.validation is not None
    return training.validation.bits_per_byte


def test_a_study_tells_its_sampler_of_stopped_trials_and_of_replicates() -> None:
    known = [record(n, bits(n) + 0.5, bits(n)) for n in range(20)]
    spoken = [record(n, bits(n) + 0.5 - 0.05 * (n % 3), None) for n in range(20, 40)]
    silent = [dataclasses.replace(each, latency=None) for each in spoken]
    assert proposed(known + silent) != proposed(known + spoken)
    other = [record(n, 3.0, bits(n) + 0.1 * (n % 3)) for n in range(20)]
    again = [dataclasses.replace(r, number=20 + r.number, kind=Kind.REPLICATE, replicates=r.number, seed=1) for r in other]
    assert proposed(known) != proposed(known + again)
    failed = [dataclasses.replace(r, outcome=Outcome.FAILED, training=None) for r in again]
    assert proposed(known) == proposed(known + failed)
