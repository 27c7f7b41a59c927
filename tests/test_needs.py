"""What a machine lacks is skipped, or fails where nothing may be lacking."""

from __future__ import annotations

import time
from typing import Literal

import pytest

from tests.support import needs


def skipped(reason: str) -> pytest.TestReport:
    return pytest.TestReport("test_it", ("test_it.py", 1, "test_it"), {}, "skipped", ("test_it.py", 1, f"Skipped: {reason}"), "setup")


@pytest.mark.parametrize(
    ("required", "reason", "outcome"),
    [
        (False, "llama.cpp is not installed", "skipped"),
        (True, "llama.cpp is not installed", "failed"),
        (True, "there is no GPU here", "skipped"),
        (True, needs.NOT_REACHED, "skipped"),
    ],
)
def test_what_is_lacking_fails_where_everything_is_required(
    required: bool, reason: str, outcome: Literal["skipped", "failed"], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(needs, "REQUIRE_ALL", required)
    report = needs.demanded(skipped(reason))
    assert report.outcome == outcome
    assert reason in str(report.longrepr)


def test_a_test_begins_only_within_the_time_of_its_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "UNTIL_SECONDS", time.time() + 3600)
    needs.skip_what_is_late()
    monkeypatch.setattr(needs, "UNTIL_SECONDS", time.time() - 1)
    with pytest.raises(pytest.skip.Exception, match=needs.NOT_REACHED):
        needs.skip_what_is_late()
