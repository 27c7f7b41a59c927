"""What was written, loaded again by the tools that it is for, and held against the original network and tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from pkgutil import resolve_name

from analysis.records.json_writer import json_of
from search_space.architecture import Architecture
from search_space.errors import WorkError
from trials.catalogue.formats import FORMATS
from trials.export.check import Check, Original

VERIFICATION = "verification.json"


def verify(formats: Sequence[str], directory: Path, architecture: Architecture, weights: Path, tokenizer: Path) -> list[Check]:
    """Check each format in a directory where it was just written, and write verification.json.

    Raises WorkError where a check fails: an export that is not the model is worse than none, so the caller leaves none.
    """
    original = Original(architecture, weights, tokenizer)
    checks: list[Check] = [resolve_name(FORMATS[name].check)(name, directory / FORMATS[name].file, original) for name in formats]
    keep(checks, directory)
    failed = [check.sentence() for check in checks if check.passed is False]
    if failed:
        raise WorkError(f"an export must equal the trained model and does not: {'; '.join(failed)}; do not use it")
    return checks


def keep(checks: Sequence[Check], directory: Path) -> None:
    """Write verification.json."""
    (directory / VERIFICATION).write_text(json_of([asdict(check) for check in checks], indent=2) + "\n", encoding="utf-8")
