"""The short soak: three kills in a study through the fake evaluator; `make soak` runs the long ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak import Soak


@pytest.mark.more
@pytest.mark.slow
def test_three_kills_lose_repeat_and_alter_nothing(tmp_path: Path) -> None:
    soak = Soak(tmp_path, trials=10, seed=0, real=False)
    records = soak.run(3)
    assert soak.kills.total() == 3
    assert len(records) == 12
