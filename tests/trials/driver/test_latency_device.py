"""A latency device that is lost costs the shapes that wait for it nothing, and the one that it was lost with a verdict of its own."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray

from analysis.records.latency import Latency
from analysis.records.record import Outcome
from search_space.architecture import Architecture
from tests.support import fakes
from trials.driver import latency_device
from trials.driver.finals_on_ray import tell_of_device
from trials.driver.latency_device import LatencyDevice, SameMachine, ask_device
from trials.machine.fair_queue import FairQueue
from trials.progress.watch import AWAY, RunWatch
from trials.trial.references import references
from trials.trial.task import DeviceLost, outcome_of

STUDY, _ = fakes.small_study(references=["deep-thin", "wide-shallow"])
DEADLY, PLAIN = (shape for _, shape in references(STUDY.references, STUDY.search_space))
MOST_LOSSES = 1
"""In place of three, for each takes a second or three."""


class Dying(LatencyDevice):
    """A device that one shape ends."""

    def __init__(self, folder: Path) -> None:
        self._process: Any = SimpleNamespace(measure=self._measure)
        self._queue = FairQueue("dying", folder)
        self._same = SameMachine("dying", ())

    def _measure(self, shape: Architecture) -> Latency:
        if shape == DEADLY:
            os._exit(1)
        return fakes.latency(shape)


@pytest.mark.more
@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_only_losses_while_a_shape_was_measured_count_and_they_are_no_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency_device, "MOST_LOSSES", MOST_LOSSES)
    monkeypatch.setattr(latency_device, "RAYLET_SECONDS", 0.1)
    device, asked, away = ray.remote(Dying).options(num_cpus=0, max_restarts=-1).remote(tmp_path), list[str](), list[bool]()

    def behind(shape: Architecture, asker: str) -> Any:
        """Each of the first calls stands behind one that ends the device."""
        asked.append(asker)
        if len(asked) <= MOST_LOSSES:
            device.measure.remote(DEADLY, "another's")
        return device.measure.remote(shape, asker)

    try:
        contended: Any = SimpleNamespace(measure=SimpleNamespace(remote=behind), _get_local_state=device._get_local_state)
        assert ask_device(contended, PLAIN, away.append) == fakes.latency(PLAIN)
        assert len(asked) > MOST_LOSSES
        with pytest.raises(DeviceLost, match="was lost 1 times while it measured this shape: ") as raised:
            ask_device(device, DEADLY, away.append)
        assert outcome_of(raised.value)[0] is Outcome.LOST
        assert ask_device(device, PLAIN, away.append) == fakes.latency(PLAIN), "it is there for the others"
    finally:
        ray.kill(device)
    assert away == [True, False] * (len(away) // 2)


def test_finals_say_that_the_device_is_away_and_that_it_is_back() -> None:
    watch = RunWatch()
    said = []
    for is_away in (False, True, False):
        tell_of_device(watch, is_away)
        said.append(watch.standing.waits_for)
    assert [text == AWAY for text in said] == [False, True, False]
    assert watch.standing.stage == "finals"
