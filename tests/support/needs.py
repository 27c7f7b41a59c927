"""Marks for tests of what a machine may lack, and what becomes of a skipped test where nothing may be lacking."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

import pytest

from trials.catalogue.formats import Format
from trials.catalogue.runtimes import Runtime

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)

REQUIRE_ALL = os.environ.get("ARCHFRONT_REQUIRE_ALL") == "1"
"""Whether this machine must have every library, program and device that a test asks for, as `make test-more` wants it."""

FULL_DEVICE = pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="/dev/full, the disk without room, is no device here")


def library_of(name: str, row: Format | Runtime) -> tuple[pytest.MarkDecorator, ...]:
    """Marks of a test that uses a format or a runtime: none where everybody has its library."""
    lacking = pytest.mark.skipif(not row.installed, reason=f"{name} is not installed; pip install {row.install}")
    return (pytest.mark.needs, lacking) if row.library else ()


def demanded(report: Report) -> Report:
    """The report of a skipped test, failed where this machine must have what it lacks; a GPU is never demanded."""
    if REQUIRE_ALL and report.skipped and isinstance(report.longrepr, tuple) and "GPU" not in report.longrepr[2]:
        report.outcome = "failed"
        report.longrepr = f"{report.longrepr[2]}; nothing may be lacking where ARCHFRONT_REQUIRE_ALL=1"
    return report
