"""Where devices' tables lie, and the one that a study searches with: copied into its directory, so that its proposals can be replayed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.records.files import write_whole
from analysis.records.record import RECORDS
from search_space.errors import SpecError, refused, require_reachable
from trials.catalogue.runtimes import COMMAND
from trials.study.files import cache_folder, sole
from trials.study.latency_spec import LatencySpec
from trials.study.search_spec import is_table_file
from trials.study.spec import StudySpec

if TYPE_CHECKING:  # scipy, which a study without a table does not wait for
    from analysis.latency.device_table import DeviceTable, Header

SUFFIX = ".jsonl"
FROZEN = f"latency_table{SUFFIX}"
"""The study's own copy."""


def device_folder(cache: Path | None = None) -> Path:
    """Where tables lie: `devices` beside the corpora and calibrations of this user."""
    return cache_folder(cache) / "devices"


def find_table(name: str) -> DeviceTable:
    """A table by its file, or by its name among this user's; raises SpecError naming those that there are."""
    from analysis.latency.device_table import read_table

    return read_table(table_path(name))


def table_path(name: str) -> Path:
    """The file of a table that is named by it, or by its name alone."""
    if is_table_file(name):
        return Path(name)
    path = device_folder() / f"{name}{SUFFIX}"
    require_reachable(path, "a device's table")
    if not path.is_file():
        known = sorted(file.stem for file in path.parent.glob(f"*{SUFFIX}"))
        cure = f"name one of {', '.join(known)}" if known else "there is none yet, and `archfront profile-device STUDY` makes one"
        raise SpecError(f"the device {name} must be a table's file ({SUFFIX}) or the name of one in {path.parent}, found neither; {cure}")
    return path


@contextmanager
def adding_to(path: Path) -> Iterator[None]:
    """Wait until no other process adds to a table, then keep others out; the lock lies beside the table."""
    lock = path.with_name(f"{path.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.touch()
    except OSError as error:
        raise refused(error, path, "be a file that can be written", "name another with --output") from None
    with sole(lock):
        yield


def frozen_table(study: StudySpec, directory: Path) -> DeviceTable | None:
    """The table of `search.latency_table` as it was when the study began; None where it names none.

    Raises SpecError as `require_table` does, and where trials are there and the copy that proposed them is not.
    """
    if study.search.latency_table is None:
        return None
    copy = directory / FROZEN
    if not copy.exists():
        if (directory / RECORDS).exists():
            raise SpecError(f"{directory} has {RECORDS} but no {FROZEN} that proposed them; restore it, or name another directory")
        require_table(study)
        write_whole(copy, table_path(study.search.latency_table).read_bytes())
    return find_table(str(copy))


def require_first(study: StudySpec, directory: Path) -> None:
    """Raise SpecError before the study takes the directory, as `require_table` does where its copy has yet to be made."""
    if not (directory / FROZEN).exists() and not (directory / RECORDS).exists():
        require_table(study)


def require_table(study: StudySpec) -> None:
    """Raise SpecError where the study names a table that is not there, is not measured as the study measures, or has too few shapes."""
    if study.search.latency_table is None:
        return
    table = find_table(study.search.latency_table)
    if (other := differs(table.header, study.latency)) is not None:
        raise SpecError(
            f"search.latency_table must be measured as the study measures: {other}; run `archfront profile-device` with this study"
        )
    table.model  # noqa: B018  fitted here so that too few shapes are told before a copy is made


def differs(header: Header, spec: LatencySpec) -> str | None:
    """What a workload asks otherwise than a table has it, in words; a command says itself what its runtime is called."""
    names = ("runtime", "precision", "threads", "prompt_tokens", "new_tokens")
    return header.differs(spec, [name for name in names if name != "runtime" or spec.runtime != COMMAND])
