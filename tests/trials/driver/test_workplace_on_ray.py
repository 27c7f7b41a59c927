"""Trainings beside a study on Ray's workers: what is lost there is made again, and what cannot be placed is refused."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from search_space.errors import SpecError, WorkError
from tests.trials.experiments.conftest import write_tiny_study
from trials.experiments.workplace import TrainingCall
from trials.study.load_study import load_study
from trials.study.spec import StudySpec

pytestmark = [pytest.mark.more, pytest.mark.slow]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The workplace of a Ray of our own."""
    from trials.driver.workplace_on_ray import on_ray

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with on_ray(load_study(write_tiny_study(tmp_path)), None) as found:
        yield found


def once_lost(number: int, folder: Path, blocks: Any) -> tuple[int, int]:
    """A training that takes its process along the first time, and 9 every time."""
    file = folder / str(number)
    times = len(file.read_text()) if file.exists() else 0
    file.write_text("x" * (times + 1))
    if number == 9 or times == 0:
        os._exit(9)
    return times, blocks.vocab_size


def calls(study: StudySpec, folder: Path, numbers: range) -> list[TrainingCall]:
    return [TrainingCall(study, 270, (number, folder)) for number in numbers]


def test_what_is_lost_is_made_again_and_given_up_after_three_times(place: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    study = load_study(tmp_path / "study.yaml")
    found = dict(place.side_by_side(once_lost, calls(study, tmp_path, range(3)), 2, lower="workers.count"))
    assert found == dict.fromkeys(range(3), (1, 270))
    assert caplog.text.count("a training was lost and is made again: ") == 3
    last = [*calls(study, tmp_path, range(9, 10)), *calls(study, tmp_path, range(10, 12))]
    kept: list[tuple[int, Any]] = []
    with pytest.raises(WorkError, match=r"1 of 3 trainings were lost 3 times, found: .*; the same command continues.*lower workers\.count"):
        kept.extend(place.side_by_side(once_lost, last, 2, lower="workers.count"))
    assert sorted(kept) == [(1, (1, 270)), (2, (1, 270))], "the others came to their end"


def test_what_no_node_has_room_for_is_refused(place: Any, tmp_path: Path) -> None:
    study = load_study(tmp_path / "study.yaml")
    wide = study.model_copy(update={"workers": study.workers.model_copy(update={"threads": 4096})})
    with pytest.raises(
        SpecError, match=r"workers\.threads must not exceed the \d+ CPUs of the cluster's largest node, found 4096; lower it"
    ):
        list(place.side_by_side(once_lost, calls(wide, tmp_path, range(1)), 1, lower="workers.count"))
