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
from search_space.errors import SpecError, quoted
from trials.study.spec import parse_stored

STUDY = "study.yaml"
LOCK = "lock"
WEIGHTS, TOKENIZERS, CHECKPOINTS = "weights", "tokenizers", "checkpoints"
MAY_CHANGE = ("search.trials", "search.replicates", "workers.count", "workers.deadline_seconds", "search.reuse", "target", "target.tokens")
"""What a continued study may say otherwise: how much and how fast, never what is measured."""


@contextmanager
def claim(directory: Path, study_text: str) -> Iterator[Path]:
    """Make the directory this study's and hold it against other drivers; yields its absolute path.

    Raises SpecError where it cannot be written, another driver works in it, or it holds another study.
    """
    with hold(directory) as held:
        _settle(held, study_text)
        yield held


@contextmanager
def hold(directory: Path) -> Iterator[Path]:
    """Make the directory and keep other drivers out of it; yields its absolute path.

    Raises SpecError where it cannot be written or another driver works in it.
    """
    directory = directory.absolute()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise _unwritable(directory, error) from None
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


def _settle(directory: Path, study_text: str) -> None:
    """Write the study down, or see that it is the one that lies there."""
    path = directory / STUDY
    if path.exists():
        there = path.read_text(encoding="utf-8")
        if there == study_text:
            return
        _require_same(
            directory,
            flat(parse_stored(there, str(path)).model_dump()),
            flat(parse_stored(study_text, "the study").model_dump()),
        )
    elif (directory / RECORDS).exists():
        raise SpecError(f"{directory} has {RECORDS} but no {STUDY} that says what they belong to; restore it, or name another directory")
    try:
        write_whole(path, study_text.encode())
    except OSError as error:
        raise _unwritable(directory, error) from None


def _require_same(directory: Path, there: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    for key in sorted({*there, *here}):
        if key not in MAY_CHANGE and there.get(key) != here.get(key):
            raise SpecError(
                f"{directory} holds another study: {key} is {quoted(there.get(key))} there and {quoted(here.get(key))} here; "
                f"name another directory, or change only {', '.join(MAY_CHANGE)}"
            )


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Leaves by their dotted path."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return found


def _unwritable(directory: Path, error: OSError) -> SpecError:
    return SpecError(f"{directory} must be a directory that can be written, found: {error.strerror}; name another with --directory")
