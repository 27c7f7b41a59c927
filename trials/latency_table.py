"""Where devices' tables lie, and the one that a study searches with: copied into its directory, so that its proposals can be replayed."""

from __future__ import annotations

from pathlib import Path

from analysis.device_table import DeviceTable, read_table
from search_space.errors import SpecError
from trials.corpus import cache_folder
from trials.driver.directory import write_whole
from trials.study import StudySpec

SUFFIX = ".jsonl"
FROZEN = f"latency_table{SUFFIX}"
"""The study's own copy."""


def device_folder(cache: Path | None = None) -> Path:
    """Where tables lie: `devices` beside the corpora and calibrations of this user."""
    return cache_folder(cache) / "devices"


def find_table(name: str) -> DeviceTable:
    """A table by its file, or by its name among this user's; raises SpecError naming those that there are."""
    return read_table(table_path(name))


def table_path(name: str) -> Path:
    """The file of a table that is named by it, or by its name alone."""
    path = Path(name)
    if path.suffix == SUFFIX or len(path.parts) > 1:
        return path
    path = device_folder() / f"{name}{SUFFIX}"
    if not path.is_file():
        known = sorted(file.stem for file in path.parent.glob(f"*{SUFFIX}"))
        there = f"there are {', '.join(known)}" if known else "there is none yet; `archfront profile-device STUDY` makes one"
        raise SpecError(f"the device {name} must be a table's file ({SUFFIX}) or the name of one in {path.parent}, where {there}")
    return path


def frozen_table(study: StudySpec, directory: Path) -> DeviceTable | None:
    """The table of `search.latency_table` as it was when the study began; None where it names none.

    Raises SpecError as `require_table` does.
    """
    if study.search.latency_table is None:
        return None
    copy = directory / FROZEN
    if not copy.exists():
        require_table(study)
        write_whole(copy, table_path(study.search.latency_table).read_bytes())
    return read_table(copy)


def require_table(study: StudySpec) -> None:
    """Raise SpecError where the study names a table that is not there, or is not measured as the study measures."""
    if study.search.latency_table is None:
        return
    table, wanted = find_table(study.search.latency_table), study.objectives.latency
    for name in ("runtime", "precision", "threads", "prompt_tokens", "new_tokens"):
        if getattr(table.header, name) != getattr(wanted, name):
            raise SpecError(
                f"search.latency_table must be measured as the study measures: {name} is {getattr(wanted, name)!r} in "
                f"objectives.latency, found {getattr(table.header, name)!r} in {table.name}; run `archfront profile-device` with this study"
            )
