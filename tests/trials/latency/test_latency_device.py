"""Latency on a node of its own; each test has a process for its cluster, so that what Ray leaves behind ends with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.more
@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "test_latency_is_taken_on_the_node_that_offers_it_and_one_at_a_time",
        "test_a_cluster_without_such_a_node_is_refused_before_anything_trains",
        "test_two_studies_share_one_device_and_both_are_complete",
        "test_what_trains_while_the_device_is_away_is_measured_later_and_the_study_waits_when_it_is_too_far_ahead",
        "test_another_machine_in_the_place_of_the_device_is_refused_and_no_trial_pays_for_it",
    ],
)
def test_in_a_cluster_of_two_nodes(name: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", f"tests/support/two_nodes.py::{name}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout[-4_000:]
