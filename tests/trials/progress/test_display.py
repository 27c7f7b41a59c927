"""Where nobody draws: one line a stage, one a trial, one a minute at least."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from analysis.records.record import Kind, Outcome
from search_space.describe import named_shape
from tests.support import fakes
from tests.support.standings import a_standing
from trials.progress.display import CHECK, Lines, doing_text
from trials.progress.standing import RunningTrial, moment
from trials.trial.task import TrialTask


class Said:
    """Lines of a display whose clock is set by hand."""

    def __init__(self) -> None:
        self.now = time.time()
        self.lines: list[str] = []
        self.display = Lines(self.lines.append, lambda: self.now)
        self.standing = a_standing(stage=CHECK, begun_at=moment(self.now), stage_since=moment(self.now), waits_for="the study to be read")


def test_a_check_that_is_soon_over_is_not_said_and_one_that_lasts_is() -> None:
    said = Said()
    said.display.tick(said.standing)
    assert said.lines == []
    said.now += 1.5
    said.display.tick(replace(said.standing))
    assert said.lines == []  # nobody has begun it
    said.display.stage_began(said.standing)
    said.display.tick(said.standing)
    assert said.lines == ["      1.5 s  check: waits for the study to be read"]


def test_every_stage_is_said_as_it_begins() -> None:
    said = Said()
    stages = ("imports", "Ray", "corpus")
    for stage in stages:
        said.now += 2
        said.display.stage_began(replace(said.standing, stage=stage, waits_for=f"{stage} to be there"))
    assert [line.split("  ")[-1] for line in said.lines] == [f"{stage}: waits for {stage} to be there" for stage in stages]


def test_something_is_said_once_a_minute_whatever_is_waited_for() -> None:
    said = Said()
    trial = RunningTrial(
        number=7, shape="1x8", name=None, doing="training", tokens=51_000, planned_tokens=170_000, started_at=moment(said.now)
    )
    standing = replace(said.standing, stage="search", waits_for="1 trial to end", running=(trial,))
    for _ in range(4 * 601):
        said.now += 0.25
        said.display.tick(standing)
    assert len(said.lines) == 10
    assert said.lines[0].endswith("search: waits for 1 trial to end (#7 training, 30% of 170k tokens)")


@pytest.mark.parametrize("outcome", list(Outcome))
def test_a_trial_has_one_line_with_what_became_of_it(outcome: Outcome) -> None:
    said = Said()
    task = TrialTask(number=3, kind=Kind.SAMPLED, architecture=named_shape("mobilellm-125m"), seed=0)
    record = fakes.answer(task, outcome=outcome, reason=None if outcome is Outcome.FINISHED else "a reason\nin two lines")
    said.display.trial_ended(replace(said.standing, done=1, of=14), record)
    assert len(said.lines) == 1
    assert "#3 30x576" in said.lines[0]
    assert "1 of 14 trials" in said.lines[0]


def test_what_a_trial_is_at() -> None:
    trial = RunningTrial(number=7, shape="1x8", name=None, doing=None, tokens=None, planned_tokens=None, started_at=moment(0))
    assert doing_text(trial) == "running"
    assert doing_text(replace(trial, doing="latency")) == "latency"
    assert doing_text(replace(trial, doing="training", tokens=1_200)) == "training, 1.2k tokens"
