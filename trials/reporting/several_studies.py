"""Several directories as one page: the objectives that they share, and every key in which their studies differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.objectives.observed import Observed
from analysis.objectives.problem import FEWEST
from analysis.objectives.registry import find_objective
from analysis.records.files import write_whole
from analysis.report.several import ComparedStudy, differing_settings, several_page
from search_space.errors import SpecError
from trials.reporting.stored_study import StoredStudy, read_study, under_objectives

SEVERAL = "report-several.html"
MOST_STUDIES = 8
"""Studies of one page, which have a colour each."""


def report_several(directories: Sequence[Path], names: Sequence[str] | None = None, output: Path | None = None) -> Path:
    """Write the page of several studies, into the first one's directory or another file, and return its path.

    `names` are the objectives that all are read under; by default those of the first that every study has measured. Raises SpecError where
    fewer than two are left, a study has `scaling` or stands there twice, or there are too many.
    """
    if len(directories) > MOST_STUDIES:
        raise SpecError(f"a page must have at most {MOST_STUDIES} studies, found {len(directories)}; leave some out")
    if len({directory.resolve() for directory in directories}) < len(directories):
        raise SpecError(f"a page must have each study once, found {', '.join(map(str, directories))}; name each directory once")
    stored = [read_study(directory, leaves_out=True) for directory in directories]
    for each in stored:
        if each.study.scaling is not None:
            raise SpecError(f"{each.directory} holds a study with `scaling`, which has no front to lay over others; leave it out")
    shared = list(names or [name for name in stored[0].study.problem.names if all(_has(each, name) for each in stored)])
    if len(shared) < FEWEST:
        raise SpecError(
            f"studies of one page must share {FEWEST} objectives or more, found {', '.join(shared) or 'none'}; "
            "name others with --objectives"
        )
    return write_whole(output or stored[0].directory / SEVERAL, several_page(_compared(stored, shared)).encode())


def differences(directories: Sequence[Path]) -> dict[str, list[str]]:
    """Every key that is not the same in the studies of these directories, with its value in each."""
    return differing_settings([settings(read_study(directory, leaves_out=True)) for directory in directories])


def _has(stored: StoredStudy, name: str) -> bool:
    objective = find_objective(name)
    return any(objective.value(Observed.of(record)) is not None for record in stored.records if record.finished)


def _compared(stored: Sequence[StoredStudy], objectives: Sequence[str]) -> list[ComparedStudy]:
    found = []
    for name, each in zip(_told_apart(stored), stored, strict=True):
        read = under_objectives(each, objectives)
        found.append(ComparedStudy(name, str(each.directory), read.records, read.front, read.membership, settings(each)))
    return found


def _told_apart(stored: Sequence[StoredStudy]) -> list[str]:
    """What each is called: by its name, those of one name by their directories', and what still is one by its whole path."""
    names, paths = [each.study.name for each in stored], [each.directory.resolve() for each in stored]
    for others in ([path.name for path in paths], [str(path) for path in paths]):
        names = [name if names.count(name) == 1 else other for name, other in zip(names, others, strict=True)]
    return names


def settings(stored: StoredStudy) -> dict[str, str]:
    """Every key of a study with its value as text, but its name; then text and device as its records have them."""
    found = {key: value for key, value in _flat("", stored.study.model_dump(mode="json")) if key != "name"}
    texts = {r.training.corpus_sha256 for r in stored.records if r.training and r.training.corpus_sha256}
    devices = {f"{r.latency.runtime} {r.latency.runtime_version} on {r.latency.device}" for r in stored.records if r.latency}
    return found | {"text, SHA-256": ", ".join(sorted(text[:12] for text in texts)), "device, measured": ", ".join(sorted(devices))}


def _flat(path: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        return [pair for name, inner in value.items() for pair in _flat(f"{path}.{name}" if path else str(name), inner)]
    return [(path, "not set" if value is None else str(value))]
