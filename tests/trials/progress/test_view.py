"""What is drawn of a running study: never wider or longer than the terminal, and what matters is there."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from rich.cells import cell_len

from tests.support.standings import a_standing, some_standing
from trials.progress.standing import Failure, FrontMember, RunningTrial, TimeLeft, moment
from trials.progress.view import standing_lines


@pytest.mark.parametrize("width", [20, 60, 61, 79, 80, 100, 120, 250])
@pytest.mark.parametrize("height", [5, 24, 60])
def test_no_line_is_wider_than_the_terminal_and_all_fit_on_it(width: int, height: int) -> None:
    for seed in range(60):
        lines = standing_lines(some_standing(seed), width, height, time.time())
        assert max(cell_len(text) for text, _ in lines) <= width, seed
        assert len(lines) < height, seed
        assert all(text.isprintable() for text, _ in lines), seed


def drawn(width: int, height: int = 24) -> list[str]:
    now = time.time()
    trial = RunningTrial(
        number=6, shape="4x64 2/1x32 f160", name=None, doing="training", tokens=51_000, planned_tokens=170_000, started_at=moment(now - 41)
    )
    other = replace(trial, number=0, shape="1x104 3/3x32 f500", name="wide-shallow", doing="latency", tokens=None)
    standing = a_standing(
        of=14, done=5, failed=1, running=(trial, other), running_count=2, front_size=2,
        front=(FrontMember(number=3, shape="2x80 2/2x32 f200", values={"total_ms": 1.234, "bits_per_byte": 2.3456}),
               FrontMember(number=4, shape="6x64 2/1x32 f160", values={"total_ms": 12.3, "bits_per_byte": 2.0712})),
        failures=(Failure(number=2, shape="1x8 1/1x8 f8", outcome="diverged", reason="the training loss was nan"),),
        left=TimeLeft(seconds=130.0, low=100.0, high=180.0),
    )  # fmt: skip
    return [text for text, _ in standing_lines(standing, width, height, now)]


@pytest.mark.parametrize("width", [*range(52, 100, 4), 120])
@pytest.mark.parametrize("third", [False, True])
def test_each_member_of_the_front_has_its_numbers_however_long_its_shape_is(width: int, third: bool) -> None:
    values = {"total_ms": 12.345, "bits_per_byte": 2.3456} | ({"peak_memory_bytes": 12_345_678} if third else {})
    shapes = ["2x112 7/1x16 f200", "2x128 8/2x16 f132 immediate x2", "12x128 8/2x16 f132 repeat_all_over x2"]
    front = tuple(FrontMember(number=9 + at, shape=shape, values=values) for at, shape in enumerate(shapes))
    standing = a_standing(of=14, done=14, front=front, front_size=3)
    lines = [text for text, _ in standing_lines(standing, width, 24, time.time())]
    rows = [line for line in lines if line.strip().startswith("#")]
    assert len({len(row) for row in rows}) == 1
    assert all("12.3 ms" in row for row in rows)
    assert all("2.346" in row for row in rows) or (third and width < 60)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_trials_by_state_time_left_what_runs_the_front_and_failures_are_shown(width: int) -> None:
    lines = drawn(width)
    assert lines[0] == "small: 5 of 14 trials, 2 running, 1 failed, 2 on the front"
    assert lines[1].endswith(" 36%, 2 min 10 s left (1 min 40 s to 3 min 0 s)")
    assert lines[2].endswith(": waits for 2 trials to end")
    assert lines[3].startswith("running  #6 4x64 2/1x32 f160")
    assert "training, 30% of 170k tokens" in lines[3]
    assert lines[4].startswith("         #0 wide-shallow")
    assert lines[5].split() == ["front", "latency", "bits", "per", "byte"]
    assert [line.split()[0] for line in lines[6:8]] == ["#3", "#4"]
    assert lines[6].endswith("1.23 ms          2.346")
    assert lines[8] == "failed 1 #2 diverged: the training loss was nan"
