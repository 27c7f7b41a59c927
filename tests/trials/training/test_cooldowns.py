"""Finished losses along one run: a branch leaves the trunk, decays, and is what a shorter run would have been."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from pydantic import ValidationError

from analysis.laws.runs import runs_from_records
from analysis.records.record import TrialRecord
from analysis.records.training import Training
from tests.support.sample_study import sample_records
from tests.trials.training.test_proxy_run import SHAPE, STEP, periodic, recipe
from trials.corpus.blocks import TokenBlocks
from trials.training.conditions import Conditions
from trials.training.failures import TimedOut
from trials.training.proxy_run import ProxyRun, train

__all__ = ["periodic"]
WHOLE = {"tokens": 64 * STEP, "warmup": 0.125, "decay": 0.25}
"""Shares that are exact in binary, so that two recipes for the same steps have the same rates to the last bit."""


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_a_branch_is_the_run_that_ends_there_and_the_trunk_goes_on_as_if_nothing_had_been(periodic: TokenBlocks, optimizer: str) -> None:
    recipes = {
        "whole": recipe(**WHOLE, optimizer=optimizer),
        "half": recipe(tokens=32 * STEP, warmup=0.25, decay=0.25, optimizer=optimizer),
    }
    whole, half = (ProxyRun(SHAPE, periodic, each, seed=1) for each in recipes.values())
    whole.run()
    half.run()
    trunk = ProxyRun(SHAPE, periodic, recipes["whole"], seed=1)
    branch = trunk.branch(0.5)
    assert trunk.steps == branch.steps == 24
    branch.run()
    assert branch.tokens == 32 * STEP
    assert same_weights(branch, half)
    assert branch.result().validation == half.result().validation
    assert trunk.steps == 24
    trunk.run()
    assert same_weights(trunk, whole)
    assert trunk.result().validation == whole.result().validation


def same_weights(one: ProxyRun, other: ProxyRun) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.network.parameters(), other.network.parameters(), strict=True))


def test_a_record_has_a_finished_loss_at_every_cooldown(periodic: TokenBlocks) -> None:
    _, plain = train(SHAPE, periodic, recipe(**WHOLE), seed=0)
    _, training = train(SHAPE, periodic, recipe(**WHOLE, cooldowns=[0.25, 0.5]), seed=0)
    assert [cooldown.tokens for cooldown in training.cooldowns] == [16 * STEP, 32 * STEP]
    assert training.validation == plain.validation
    assert training.tokens == plain.tokens
    assert training.validation is not None
    losses = [*(cooldown.loss for cooldown in training.cooldowns), training.validation.loss]
    assert losses == sorted(losses, reverse=True)
    assert all(cooldown.bits_per_byte > 0 for cooldown in training.cooldowns)
    record = with_training(sample_records(4)[2], training)
    assert TrialRecord.from_dict(record.as_dict()).training == training


def test_the_seconds_of_a_branch_count_towards_the_deadline_and_in_no_rate(periodic: TokenBlocks) -> None:
    run = ProxyRun(SHAPE, periodic, recipe(**WHOLE), seed=0, conditions=Conditions(deadline_seconds=1000.0))
    run.add_cooldown(0.5)
    assert run.tally.branch_seconds > 0
    assert run.tally.training_seconds < run.tally.branch_seconds + run.tally.seconds
    again = ProxyRun(
        SHAPE, periodic, recipe(**WHOLE), seed=0, conditions=Conditions(deadline_seconds=run.tally.seconds + run.tally.branch_seconds / 2)
    )
    again.restore(run.state())
    with pytest.raises(TimedOut, match="the deadline of"):
        again.run()


def test_a_run_that_went_too_far_has_no_such_branch(periodic: TokenBlocks) -> None:
    run = ProxyRun(SHAPE, periodic, recipe(**WHOLE), seed=0)
    run.run(until_tokens=30 * STEP)
    with pytest.raises(ValueError, match="decays from step 24 cannot leave a run that has made 30"):
        run.branch(0.5)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cooldowns": [0.5], "schedule": "cosine"}, "cooldowns need the schedule wsd"),
        ({"cooldowns": [0.5], "seconds": 3.0}, "budget that is not seconds"),
        ({"cooldowns": [0.5, 0.25]}, "cooldowns must ascend, found 0.5, 0.25"),
        ({"cooldowns": [0.05]}, "must not begin to decay within the warm-up, found 0.05"),
        ({"cooldowns": [1.5]}, "less than 1"),
    ],
)
def test_cooldowns_that_cannot_be_are_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        recipe(**changes)


def test_a_fit_of_a_study_sees_every_cooldown_and_knows_that_they_are_one_training(periodic: TokenBlocks) -> None:
    _, training = train(SHAPE, periodic, recipe(**WHOLE, cooldowns=[0.25, 0.5]), seed=0)
    records = [with_training(record, training) if record.number == 2 else record for record in sample_records(5)]
    runs = runs_from_records(records)
    assert len(runs) == 7
    assert [list(runs.groups).count(group) for group in sorted(set(runs.groups))] == [1, 1, 3, 1, 1]
    assert set(runs.variables["tokens"][runs.groups == runs.groups[2]]) == {16 * STEP, 32 * STEP, 64 * STEP}


def with_training(record: TrialRecord, training: Training) -> TrialRecord:
    return dataclasses.replace(record, training=training)
