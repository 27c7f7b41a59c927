"""What was written, loaded again by the tools that it is for, and held against the original network and tokenizer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from pkgutil import resolve_name

from analysis.records.json_writer import json_of
from search_space.architecture import Architecture
from search_space.errors import SpecError, WorkError, shortened
from trials.catalogue.formats import FORMATS
from trials.export.check import Check, Original

VERIFICATION = "verification.json"
LONGEST_SAID = 200
"""Characters of what a library says."""


def verify(formats: Sequence[str], directory: Path, architecture: Architecture, weights: Path, tokenizer: Path) -> list[Check]:
    """Check each format in a directory where it was just written, and write verification.json.

    Raises WorkError where a check fails or cannot be made: an export that is not the model is worse than none, so the caller leaves none.
    """
    original = Original(architecture, weights, tokenizer)
    checks: list[Check] = []
    for name in formats:
        with library_of(name, "read again"):
            checks.append(resolve_name(FORMATS[name].check)(name, directory / FORMATS[name].file, original))
    keep(checks, directory)
    failed = [check.sentence() for check in checks if check.passed is False]
    if failed:
        raise WorkError(f"an export must equal the trained model and does not: {'; '.join(failed)}; do not use it")
    return checks


@contextmanager
def library_of(name: str, what: str) -> Iterator[None]:
    """Make one WorkError of whatever a format's library raises while it works; what the system refuses a file is told by `staged`."""
    try:
        yield
    except (SpecError, WorkError):
        raise
    except Exception as error:  # transformers, onnxruntime and gguf raise whatever they like
        if isinstance(error, OSError) and error.errno is not None:
            raise
        said = f"{type(error).__name__}: {shortened(error, LONGEST_SAID)}" if str(error) else type(error).__name__
        raise WorkError(
            f"the format {name} could not be {what}, because its library raised {said}; nothing was exported: leave {name} out of "
            "--format, or install the tested versions of constraints.txt"
        ) from error


def keep(checks: Sequence[Check], directory: Path) -> None:
    """Write verification.json."""
    (directory / VERIFICATION).write_text(json_of([asdict(check) for check in checks], indent=2) + "\n", encoding="utf-8")
