"""Marks for tests of what a machine may lack, and what becomes of a test that a machine or its time does not reach."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import pytest
from _pytest.mark import ParameterSet

from trials.catalogue.formats import Format
from trials.catalogue.runtimes import Runtime

Row = TypeVar("Row")
Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)

REQUIRE_ALL = os.environ.get("ARCHFRONT_REQUIRE_ALL") == "1"
"""Whether this machine must have every library, program and device that a test asks for, as `make test-more` wants it."""

UNTIL_SECONDS = float(os.environ.get("ARCHFRONT_TESTS_UNTIL", "inf"))
"""When, in seconds since the epoch, this run has to come to its end: tests that would begin later are skipped, and listed by `-rs`."""
NOT_REACHED = "this run's time was over before it"

FULL_DEVICE = pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="/dev/full, the disk without room, is no device here")


BESIDE_THE_TEST_EXTRA = frozenset({"executorch", "llama_cpp"})
"""Libraries of formats and runtimes that `make test` does not install."""


def rest_is_more(rows: Iterable[Row], *kept: Row) -> list[ParameterSet]:
    """Rows of a table of tests: those that are kept in `make test`, and the others, which say the same of more, for `make test-more`."""
    rows = [*rows]
    assert all(row in rows for row in kept), f"what is kept must be a row, found {kept} and {rows}"
    return [
        pytest.param(
            *(row if isinstance(row, tuple) else (row,)),
            id=row if isinstance(row, str) else None,
            marks=() if row in kept else pytest.mark.more,
        )
        for row in rows
    ]


def library_of(name: str, row: Format | Runtime) -> tuple[pytest.MarkDecorator, ...]:
    """Marks of a test that uses a format or a runtime: none where everybody has its library."""
    lacking = pytest.mark.skipif(not row.installed, reason=f"{name} is not installed; pip install {row.install}")
    longer = (pytest.mark.more,) if row.library in BESIDE_THE_TEST_EXTRA else ()
    return (pytest.mark.needs, lacking, *longer) if row.library else ()


def skip_what_is_late() -> None:
    """Skip the test that is about to begin where this run's time is over."""
    if time.time() > UNTIL_SECONDS:
        pytest.skip(NOT_REACHED)


def demanded(report: Report) -> Report:
    """The report of a skipped test, failed where this machine must have what it lacks; neither a GPU nor more time is ever demanded."""
    if not (REQUIRE_ALL and report.skipped and isinstance(report.longrepr, tuple)):
        return report
    if "GPU" not in report.longrepr[2] and NOT_REACHED not in report.longrepr[2]:
        report.outcome = "failed"
        report.longrepr = f"{report.longrepr[2]}; nothing may be lacking where ARCHFRONT_REQUIRE_ALL=1"
    return report
