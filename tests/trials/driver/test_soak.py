"""The short soaks, through the fake evaluator; `make soak` and `make soak-cluster` run the long ones."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import pytest

from tests.soak import Soak
from tests.soak_cluster import KINDS, WITHOUT_REAL, ClusterSoak, kinds_drawn


@pytest.mark.more
@pytest.mark.slow
def test_three_kills_lose_repeat_and_alter_nothing(tmp_path: Path) -> None:
    soak = Soak(tmp_path, trials=10, seed=0, real=False)
    records = soak.run(3)
    assert soak.kills.total() == 3
    assert len(records) == 12


@pytest.mark.more
@pytest.mark.slow
def test_what_a_cluster_loses_is_made_again_and_is_as_if_nothing_had_been() -> None:
    with tempfile.TemporaryDirectory(prefix="af", ignore_cleanup_errors=True) as short:
        soak = ClusterSoak(Path(short), trials=8, nodes=2, seed=0, real=False)
        records = soak.run(2)
    assert soak.done.total() == 2
    assert len(records) == 10


def test_each_kind_of_fault_comes_once_before_any_comes_twice() -> None:
    for real, kinds in ((True, set(KINDS)), (False, set(KINDS) - WITHOUT_REAL)):
        drawn = list(kinds_drawn(2 * len(kinds), real, random.Random(0)))
        assert set(drawn[: len(kinds)]) == set(drawn[len(kinds) :]) == kinds
