"""Where a start-up's time goes, in one line."""

from __future__ import annotations

import pytest

from trials.progress.stages import Stages


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Its last number is the time."""
    times = [100.0]
    monkeypatch.setattr("trials.progress.stages.time.monotonic", lambda: times[-1])
    return times


def test_parts_add_up_and_what_went_on_beside_them_is_named_apart(clock: list[float]) -> None:
    said: list[str] = []
    stages = Stages(said.append)
    clock.append(101.5)
    stages.end("imports")
    with stages.beside("corpus"):
        clock.append(106.4)
    stages.end("Ray")
    clock.append(106.41)
    stages.end("calibration")
    clock.append(109.1)
    stages.ready()
    clock.append(200.0)
    stages.ready()
    assert said == ["ready after 9.1 s: imports 1.5, Ray 4.9, workers 2.7; beside them: corpus 4.9"]


def test_a_run_that_is_asked_for_no_line_says_none() -> None:
    stages = Stages()
    stages.end("Ray")
    stages.ready()
