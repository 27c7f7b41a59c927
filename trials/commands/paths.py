"""Paths that a person gives: checked before a verb begins, and named in the sentence where the system refuses one while it works."""

from __future__ import annotations

import argparse
import errno
import os
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path

from search_space.errors import FULL, SpecError, WorkError, complaint_of, require_local, require_reachable, shortened
from trials.study.files import what_lies_at

UNNAMED = (*FULL, errno.EROFS, errno.EACCES, errno.EIO)
"""What may be refused after a file is open, where the system does not say which it was."""


class Use(Enum):
    """What a verb does with a path."""

    READ = "read"
    FOLDER = "a directory that files are written into; made where there is none"
    FILE = "a file that is written; its folder is made where there is none"
    PAGE = "a file that is written into a folder that is there: one that is not is a slip"
    ELSEWHERE = "a path of another machine"


class GivenPath(str):
    """A path with the argument that it was given to."""

    argument: str
    use: Use


def given(argument: str, use: Use = Use.READ) -> Callable[[str], GivenPath]:
    """What reads an argument that names a path."""

    def path(text: str) -> GivenPath:
        found = GivenPath(text)
        found.argument, found.use = argument, use
        return found

    return path


def given_paths(options: argparse.Namespace) -> Iterator[GivenPath]:
    """All paths among a verb's arguments."""
    for value in vars(options).values():
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, GivenPath):
                yield each


def require_usable(options: argparse.Namespace) -> None:
    """Raise SpecError for an address in a path's place, and a path that cannot be followed, or not be written where a verb writes it.

    What a file that is read must hold, and a directory that has to be there, the verbs say themselves.
    """
    try:
        Path.cwd()
    except OSError as error:
        raise SpecError(f"the working directory must be one that is there, found: {complaint_of(error)}; change into another") from None
    for path in given_paths(options):
        if not path:
            raise SpecError(f"{path.argument} must name something, found an empty text; name it, or leave the argument out")
        require_local(path, path.argument)
        if path.use is Use.ELSEWHERE:
            continue
        require_reachable(path, path.argument)
        if path.use is not Use.READ:
            _require_written(path)


def system_refusal(error: OSError, options: argparse.Namespace) -> SpecError | WorkError | None:
    """The sentence for what the system refuses while a verb works; None where it names no file, and so is no person's doing."""
    if error.errno is None or (error.filename is None and error.errno not in UNNAMED):
        return None
    said = complaint_of(error)
    file = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
    for path in given_paths(options) if file and error.errno not in FULL else ():
        if Path(file).absolute() == Path(path).absolute():
            kind = "read" if path.use is Use.READ else "written"
            return SpecError(f"{path.argument} must be a path that can be {kind}, found {shortened(file)}: {said}; name another")
    which = f" {file}" if file else ""
    return WorkError(f"the system refuses a file{which} ({said}); see to room and permissions, and run the same command again")


def _require_written(path: GivenPath) -> None:
    """Raise SpecError where something else lies in the way, or nothing may be written there."""
    whole, is_folder = Path(path).absolute(), path.use is Use.FOLDER
    must = "a directory that can be written" if is_folder else "a file that can be written"
    there = next(each for each in (whole, *whole.parents) if os.path.lexists(each))
    found = None
    if there != whole or is_folder:
        if not there.is_dir():
            found = f"{what_lies_at(there)} at {there}" if there != whole else what_lies_at(there)
        elif path.use is Use.PAGE and there != whole.parent:
            found = f"no folder {whole.parent}"
    elif not there.is_file():
        found = what_lies_at(there)
    writable = there if there.is_dir() else there.parent  # a file is written beside and renamed
    if found is None and not os.access(writable, os.W_OK | os.X_OK):
        found = f"that {writable} cannot be"
    if found is not None:
        raise SpecError(f"{path.argument} must be {must}, found {found} ({shortened(path)}); name another")
