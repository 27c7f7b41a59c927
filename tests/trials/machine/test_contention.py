"""The share of a processor is asked of short processes, and none of them outlives the question."""

from __future__ import annotations

import os
import subprocess
from typing import Any

import pytest

from tests.support.needs import rest_is_more
from trials.machine import contention
from trials.machine.contention import LEAST_SHARE, processor_share, share_of_fewer
from trials.machine.supervision import children

SPINS: dict[str, str | BaseException] = {
    "cannot be started": FileNotFoundError("no such program"),
    "says no number": "print('what?')",
    "says nothing": "raise SystemExit(3)",
    "does not end": "import time; time.sleep(600)",
    "was interrupted": KeyboardInterrupt(),
}


def test_a_share_is_a_share() -> None:
    assert LEAST_SHARE <= processor_share(1) <= 1


@pytest.mark.parametrize(
    ("share", "processes", "fewer", "expected"),
    [
        (1.0, 2, 1, 1.0),
        (0.5, 2, 1, 2 / 3),
        (0.5, 2, 2, 0.5),
        (0.25, 2, 1, 2 / 7),
        (0.9, 1, 1, 0.9),
        (0.5, 4, 1, 2 / 3),
        (0.05, 2, 1, 2 / 39),
    ],
)
def test_one_process_has_more_than_several_side_by_side(
    share: float, processes: int, fewer: int, expected: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On two processors others are as many busy processes as leave that share; of four processes of one's own two spin."""
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert share_of_fewer(share, processes, fewer) == pytest.approx(expected)


@pytest.mark.parametrize("place", rest_is_more([0, 1, 3], 0))
@pytest.mark.parametrize("kind", SPINS)
def test_no_process_is_left_whatever_becomes_of_one(kind: str, place: int, monkeypatch: pytest.MonkeyPatch) -> None:
    started, before, begin = 0, set(children()), subprocess.Popen

    def popen(command: list[str], **options: Any) -> Any:
        nonlocal started
        started, found = started + 1, SPINS[kind]
        if started - 1 != place:
            return begin(command, **options)
        if isinstance(found, BaseException):
            raise found
        return begin([*command[:-1], found], **options)

    monkeypatch.setattr(subprocess, "Popen", popen)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(contention, "LONGEST_SECONDS", 3.0)
    if kind == "was interrupted":
        with pytest.raises(KeyboardInterrupt):
            processor_share(4)
    else:
        assert processor_share(4) == 1.0
    assert set(children()) == before
