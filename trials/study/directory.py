"""A study's directory: one driver at a time, one study for ever, and where its files lie."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from analysis.records.files import write_whole
from analysis.records.record import RECORDS
from search_space.errors import SpecError, WorkError, quoted, refused
from trials.study.load_study import BEGUN, STUDY, parse_stored
from trials.study.origin import keep_origin
from trials.study.spec import StudySpec

LOCK = "lock"
SPLITS_FILE = "splits.json"
"""How the text is split: documents, bytes and a hash of each split."""
WEIGHTS, TOKENIZERS, CHECKPOINTS = "weights", "tokenizers", "checkpoints"
DRAFT = ".part"
"""End of the name of a file that is not whole yet."""
MAY_CHANGE = (
    "search.trials", "search.replicates", "workers.count", "workers.deadline_seconds", "search.reuse", "limits.failed_share",
    "target", "target.tokens", "on_end",
)  # fmt: skip
"""What a continued study may say otherwise: how much and how fast, never what is measured."""

HASHED = ("corpus.files", "corpus.tasks.")
"""Beginnings of keys that may be changed in a directory's study by hand, as where a text has moved: hashes in every record are checked."""


@contextmanager
def claim(directory: Path, study_text: str, origin: Path | None = None) -> Iterator[Path]:
    """Make the directory this study's and hold it against other drivers; yields its absolute path.

    `origin` is the folder of the study's file, where there is one, which the directory keeps.
    Raises SpecError where it cannot be written, another driver works in it, or it holds another study.
    """
    with hold(directory) as held:
        _settle(held, study_text, origin)
        yield held


@contextmanager
def hold(directory: Path, flag: str = "--directory") -> Iterator[Path]:
    """Make the directory and keep other drivers out of it; yields its absolute path. `flag` is the option that names another one.

    Raises SpecError where it cannot be written or another driver works in it.
    """
    directory = directory.absolute()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise _unwritable(directory, error, flag) from None
    try:
        _lock(lock, directory)
        yield directory
    finally:
        os.close(lock)


def weights_file(directory: Path, number: int) -> Path:
    """Where the weights of a trial lie, if it finished."""
    return directory / WEIGHTS / f"{number:04d}.safetensors"


def checkpoint_file(directory: Path, number: int) -> Path:
    """Where a trial that is under way leaves its state."""
    return directory / CHECKPOINTS / f"{number:04d}.safetensors"


def stamp(directory: Path) -> tuple[int, int]:
    """Tells a study's directory from another one under the same path, on another machine say; raises OSError where there is none."""
    found = (directory / STUDY).stat()
    return found.st_ino, found.st_mtime_ns


def tokenizer_file(directory: Path, vocab_size: int) -> Path:
    """Where the tokenizer of a vocabulary lies, kept with the study because a cache may be cleared and a corpus may change."""
    return directory / TOKENIZERS / f"{vocab_size}.json"


def _lock(lock: int, directory: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kernel lets go of it when the driver dies, however it dies
    except BlockingIOError:
        holder = os.pread(lock, 32, 0).decode(errors="replace").strip() or "unknown"
        raise SpecError(
            f"{directory} is being worked on by another archfront (process {holder}); wait for it, stop it, or name another directory"
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)


def require_unchanged(directory: Path, study: StudySpec) -> None:
    """Raise SpecError where the study of a directory was changed by hand since, in what decides its records.

    A directory that an earlier archfront began has no copy to be told by.
    """
    if not (directory / BEGUN).is_file():
        return
    begun = _begun(directory)
    for key, there, here in _differences(begun, flat(study.model_dump())):
        raise SpecError(
            f"{directory / STUDY} must be the study of the records beside it, found {key} {quoted(here)} where they were made with "
            f"{quoted(there)}; copy {BEGUN} over it, or run the changed study in another directory"
        )


def _settle(directory: Path, study_text: str, origin: Path | None) -> None:
    """Write the study down, or see that it is the one that was begun there."""
    path, copy = directory / STUDY, directory / BEGUN
    if path.exists() or copy.exists():
        if not all(file.is_file() and file.read_bytes() == study_text.encode() for file in (path, copy)):
            for key, there, here in _differences(_begun(directory), flat(parse_stored(study_text, "the study").model_dump())):
                raise SpecError(
                    f"{directory} holds another study: {key} is {quoted(there)} there and {quoted(here)} here; "
                    f"name another directory, or change only {', '.join(MAY_CHANGE)}"
                )
    elif (directory / RECORDS).exists():
        raise SpecError(f"{directory} has {RECORDS} but no {STUDY} that says what they belong to; restore it, or name another directory")
    try:
        for file in (path, copy):
            if not file.is_file() or file.read_bytes() != study_text.encode():
                write_whole(file, study_text.encode())
        if origin is not None:
            keep_origin(directory, origin)
    except OSError as error:
        raise _unwritable(directory, error) from None


def _begun(directory: Path) -> dict[str, Any]:
    """The study that was begun in a directory, its values by their dotted path; of what `HASHED` has, those of today's file count."""
    path, copy = directory / STUDY, directory / BEGUN
    today, begun = (flat(parse_stored(file.read_bytes(), str(file)).model_dump()) if file.is_file() else None for file in (path, copy))
    if today is None or begun is None:
        return today or begun or {}
    return begun | {key: value for key, value in today.items() if key.startswith(HASHED)}


def _differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Keys that decide what is measured and differ, with both values."""
    for key in sorted({*there, *here}):
        if key not in MAY_CHANGE and there.get(key) != here.get(key):
            yield key, there.get(key), here.get(key)


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Leaves by their dotted path."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return found


def _unwritable(directory: Path, error: OSError, flag: str = "--directory") -> SpecError | WorkError:
    return refused(error, directory, "be a directory that can be written", f"name another with {flag}")
