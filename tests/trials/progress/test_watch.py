"""A driver's account of its run: what it says is in the file, at most once a second, and how it ended."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from analysis.records.record import Kind
from search_space.describe import named_shape
from search_space.errors import SpecError
from tests.support import fakes
from trials.progress.display import Display
from trials.progress.standing import PROGRESS_FILE, RunStanding, State, read_standing
from trials.progress.watch import News, RunWatch
from trials.trial.task import TrialTask

TASK = TrialTask(number=3, kind=Kind.SAMPLED, architecture=named_shape("mobilellm-125m"), seed=0)


class Seen(Display):
    """The stages in the order in which they began, and the last tick."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, str]] = []
        self.last: RunStanding | None = None

    def stage_began(self, standing: RunStanding) -> None:
        self.stages.append((standing.stage, standing.waits_for))

    def tick(self, standing: RunStanding) -> None:
        self.last = standing


def test_a_run_is_followed_from_its_first_stage_to_its_last(tmp_path: Path) -> None:
    study, _ = fakes.small_study()
    seen = Seen()
    with RunWatch("study.yaml", seen) as watch:
        watch.open(tmp_path, "small")
        watch.begin("Ray", "Ray to start")
        assert read_standing(tmp_path).study == "small"
        watch.begin_search([], study.problem, of=14, workers=2)
        with watch.hearing(lambda numbers: {number: News("training", 500, 1_000) for number in numbers}):
            watch.started(TASK)
            watch.started(TASK)
            watch._tick()
            [trial] = watch.standing.running
            assert (trial.number, trial.doing, trial.tokens, trial.planned_tokens) == (3, "training", 500, 1_000)
            watch.recorded(fakes.answer(TASK), 13)
        assert (watch.standing.done, watch.standing.of, watch.standing.running) == (1, 13, ())
    assert [stage for stage, _ in seen.stages] == ["Ray", "workers", "search"]
    assert seen.stages[-1][1] == "1 trial to end"
    last = read_standing(tmp_path)
    assert (last.state, last.done, last.pid) == (State.FINISHED, 1, os.getpid())


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (KeyboardInterrupt(), State.INTERRUPTED, None),
        (SpecError("the text must be there"), State.FAILED, "the text must be there"),
        (MemoryError("all of it"), State.FAILED, "all of it"),
    ],
)
def test_how_a_run_ended_is_its_last_word(tmp_path: Path, error: BaseException, state: State, reason: str | None) -> None:
    def run() -> None:
        with RunWatch("study.yaml") as watch:
            watch.open(tmp_path, "small")
            raise error

    with pytest.raises(type(error)):
        run()
    assert (read_standing(tmp_path).state, read_standing(tmp_path).reason) == (state, reason)


def test_a_study_that_came_to_nothing_has_failed_with_its_reason(tmp_path: Path) -> None:
    with RunWatch("study.yaml") as watch:
        watch.open(tmp_path, "small")
        watch.failed("none of 6 trials finished")
    assert (read_standing(tmp_path).state, read_standing(tmp_path).reason) == (State.FAILED, "none of 6 trials finished")


def test_the_file_is_replaced_once_a_second_at_most_and_now_and_then_where_nothing_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, written = [1_000.0], []
    monkeypatch.setattr("trials.progress.watch.time.monotonic", lambda: clock[0])
    watch = RunWatch("study.yaml")
    watch.open(tmp_path, "small")
    monkeypatch.setattr("trials.progress.watch.write_standing", lambda directory, standing: written.append(standing.waits_for))
    for number in range(400):
        clock[0] += 0.25
        if number < 200:
            watch.begin("corpus", f"piece {number}")
        watch._tick()
    assert len(written) == 50 + 5
    assert (tmp_path / PROGRESS_FILE).is_file()


def test_whoever_looks_on_and_a_full_disk_disturb_nothing(tmp_path: Path) -> None:
    class Broken(Display):
        def tick(self, standing: RunStanding) -> None:
            raise RuntimeError("a terminal went away")

    directory = tmp_path / "gone"
    directory.mkdir()
    with RunWatch("study.yaml", Broken()) as watch:
        watch.open(directory, "small")
        (directory / PROGRESS_FILE).unlink()
        directory.rmdir()
        (tmp_path / "gone").write_text("in the way", encoding="utf-8")
        watch.begin("corpus", "the text to be tokens")
    assert watch.standing.state is State.FINISHED
