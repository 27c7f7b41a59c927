"""A driver's account of its run: what it says is in the file, at most once a second, and how it ended."""

from __future__ import annotations

import errno
import os
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from analysis.records.record import Kind, TrialRecord
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
        (OSError("no\n\x1b[2Jway to http://me:hunter2@host/db"), State.FAILED, "no [2Jway to http://me:***@host/db"),
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
        watch.failed("none of 6 trials finished\nfor http://me:hunter2@host")
    last = read_standing(tmp_path)
    assert (last.state, last.reason) == (State.FAILED, "none of 6 trials finished for http://me:***@host")


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


class Broken(Display):
    """A terminal that went away: each call raises, and is noted."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.called: set[str] = set()

    def _raise(self, call: str) -> NoReturn:
        self.called.add(call)
        raise self.error

    def stage_began(self, standing: RunStanding) -> None:
        self._raise("stage_began")

    def trial_ended(self, standing: RunStanding, record: TrialRecord) -> None:
        self._raise("trial_ended")

    def tick(self, standing: RunStanding) -> None:
        self._raise("tick")

    def close(self, standing: RunStanding) -> None:
        self._raise("close")


@pytest.mark.parametrize("error", [BrokenPipeError(), OSError(errno.ENOSPC, "no space"), RuntimeError("a terminal went away")])
def test_whoever_looks_on_and_a_full_disk_disturb_nothing(error: Exception, tmp_path: Path) -> None:
    def raises(*_: object) -> NoReturn:
        raise error

    study, _ = fakes.small_study()
    display, directory = Broken(error), tmp_path / "gone"
    directory.mkdir()
    with RunWatch("study.yaml", display, raises) as watch:
        watch.open(directory, "small")
        (directory / PROGRESS_FILE).unlink()
        directory.rmdir()
        (tmp_path / "gone").write_text("in the way", encoding="utf-8")
        watch.begin_search([], study.problem, of=2, workers=1)
        with watch.hearing(raises):
            watch.started(TASK)
            watch._tick()
            watch.recorded(fakes.answer(TASK), 2)
    assert (watch.standing.state, watch.standing.done) == (State.FINISHED, 1)
    assert display.called == {"stage_began", "trial_ended", "tick", "close"}


def test_an_interruption_that_comes_while_something_is_shown_is_heard() -> None:
    class Interrupted(Display):
        def stage_began(self, standing: RunStanding) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), RunWatch("study.yaml", Interrupted()) as watch:
        watch.begin("corpus", "the text to be tokens")


def test_what_is_not_heard_or_shown_is_written_all_the_same(tmp_path: Path) -> None:
    def unheard(_: object) -> NoReturn:
        raise RuntimeError("a cluster is gone")

    study, _ = fakes.small_study()
    watch = RunWatch("study.yaml", Broken(RuntimeError("a terminal went away")))
    watch.open(tmp_path, "small")
    watch.begin_search([], study.problem, of=2, workers=1)
    with watch.hearing(unheard):
        watch.started(TASK)
        (tmp_path / PROGRESS_FILE).unlink()
        watch._written_at = 0.0
        watch._tick()
    assert read_standing(tmp_path).stage == "search"


def test_a_cluster_that_never_answers_does_not_keep_a_run_from_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trials.progress.watch.LONGEST_GOODBYE_SECONDS", 0.1)
    asked, never = threading.Event(), threading.Event()

    def silent(_: object) -> dict[int, News]:
        asked.set()
        never.wait()
        return {}

    study, _ = fakes.small_study()
    with RunWatch("study.yaml") as watch:
        watch.open(tmp_path, "small")
        watch.begin_search([], study.problem, of=2, workers=1)
        watch._hear = silent
        watch.started(TASK)
        assert asked.wait(30)
    assert read_standing(tmp_path).state is State.FINISHED
    never.set()


def test_two_threads_never_write_one_draft_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, most = [0], [0]

    def slow(*_: object) -> None:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        time.sleep(0.01)
        inside[0] -= 1

    monkeypatch.setattr("trials.progress.watch.write_standing", slow)
    watch = RunWatch("study.yaml")
    watch.open(tmp_path, "small")
    threads = [threading.Thread(target=watch._write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]


def test_time_left_is_told_in_the_search_alone() -> None:
    study, _ = fakes.small_study()
    watch = RunWatch("study.yaml")
    watch.begin_search([], study.problem, of=14, workers=1)
    watch.started(TASK)
    watch.recorded(fakes.answer(TASK), 14)
    assert watch.standing.left is not None
    for stage in ("finals", "retraining", "tracking", "report"):
        watch.begin(stage, "what comes then")
        watch._tick()
        assert watch.standing.left is None, stage


def test_all_that_run_are_counted_and_some_are_listed(tmp_path: Path) -> None:
    study, _ = fakes.small_study()
    watch = RunWatch("study.yaml")
    watch.begin_search([], study.problem, of=100, workers=60)
    for number in range(60):
        watch.started(replace(TASK, number=number))
    watch.open(tmp_path, "small")
    found = read_standing(tmp_path)
    assert (len(found.running), found.running_count) == (50, 60)
    assert "60 running" in found.counts
