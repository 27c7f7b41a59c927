"""Whoever takes latencies one after another: a process of this machine, or one of a node that is for it."""

from __future__ import annotations

from typing import Protocol

from analysis.records.latency import Latency
from search_space.architecture import Architecture


class Measurer(Protocol):
    """Takes the latencies of one workload; raises LatencyError where one cannot be had."""

    def measure(self, architecture: Architecture) -> Latency:
        """Time one shape."""

    def close(self) -> None:
        """No more will be asked for."""
