"""Files that survive a crash: those that are there as a whole or not at all, and JSON lines that their one writer adds to."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import chain, count
from pathlib import Path
from typing import Any, TypeVar

from analysis.records.checked import FieldError
from analysis.records.json_text import parse_json, parse_loosely
from analysis.records.json_writer import json_of
from search_space.errors import SpecError, refused

Parsed = TypeVar("Parsed")
LONGEST_LINE_BYTES = 64 << 20
"""Bytes of a line, of which a trial's record has a few thousand."""


def write_whole(path: Path, content: bytes) -> Path:
    """Write a file, its folder too, and return its path; readers find all of it or what was there before, whenever the machine stops."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.part")  # studies that share a cache may write one file at once
    with _named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(draft, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, path)
        finally:
            with suppress(OSError):  # else it would hide why there is none
                draft.unlink()
    return path


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Let what the system refuses bear the name that a person knows, rather than a draft's or none."""
    try:
        yield
    except OSError as error:
        if error.errno is None:  # a library's own, which has its words elsewhere
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def free_name(path: Path) -> Path:
    """The path, or with the first number after it under which nothing lies."""
    numbered = (path.with_name(f"{path.name}.{number}") for number in count(1))
    return next(name for name in chain([path], numbered) if not os.path.lexists(name))


def append_line(path: Path, values: Mapping[str, Any]) -> None:
    """Write one line and bring it to the disk; a line that an earlier crash cut short is removed first."""
    line = json_of(values, separators=(",", ":")).encode() + b"\n"
    with _named(path), open(path, "ab+") as file:
        end = file.seek(0, os.SEEK_END)
        if end:
            file.seek(end - 1)
            if file.read(1) != b"\n":
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def read_lines(path: Path, parse: Callable[[Any], Parsed], what: str, cure: str) -> Iterator[Parsed]:
    """What `parse` makes of the JSON of every complete line; raises SpecError with the line's place where one does not hold `what`."""
    return (parsed for _, parsed in numbered_lines(path, parse, what, cure))


def numbered_lines(
    path: Path, parse: Callable[[Any], Parsed], what: str, cure: str, left_out: list[str] | None = None
) -> Iterator[tuple[int, Parsed]]:
    """What `read_lines` gives, each with the number of its line from 1; with `left_out`, which gets the sentences, no line is refused."""
    for place, line in complete_lines(path):
        try:
            yield place, _parsed(path, place, line, parse, what, cure)
        except SpecError as error:
            if left_out is None:
                raise
            left_out.append(str(error))


def _parsed(path: Path, place: int, line: bytes, parse: Callable[[Any], Parsed], what: str, cure: str) -> Parsed:
    try:
        values = parse_json(line)
    except ValueError as error:
        raise SpecError(f"{path}:{place} does not hold {what}; {_field_error(line, parse) or _found(error)}; {cure}") from None
    try:
        return parse(values)
    except SpecError as error:
        raise SpecError(f"{path}:{place}: {error}") from None
    except FieldError as error:
        raise SpecError(f"{path}:{place} does not hold {what}; {error}; {cure}") from None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise SpecError(f"{path}:{place} does not hold {what}; {cure}") from None


def _field_error(line: bytes, parse: Callable[[Any], Any]) -> str | None:
    """What is wrong with the field that holds a number which is none, such as NaN; None where the line has no fields."""
    try:
        parse(parse_loosely(line))
    except FieldError as error:
        return str(error)
    except (ValueError, TypeError, KeyError, AttributeError):
        pass
    return None


def _found(error: ValueError) -> str:
    return f"found {str(error).removeprefix('line 1, ')}"


def complete_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Every complete line with its number from 1; nothing where there is no file.

    Raises SpecError where something else stands there, or a line is longer than any that was written.
    """
    if not path.exists():
        return
    if not path.is_file():
        raise SpecError(f"{path} must be a file of JSON lines, found something else; move it away, and restore the file from a copy")
    for place, line in enumerate(_lines(path), start=1):
        if line.endswith(b"\n"):  # what follows the last break is empty or cut short
            yield place, line[:-1]
        elif len(line) == LONGEST_LINE_BYTES:
            raise SpecError(f"{path}:{place} must have less than {LONGEST_LINE_BYTES:,} bytes, found more; restore the file from a copy")


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            yield from iter(lambda: file.readline(LONGEST_LINE_BYTES), b"")
    except OSError as error:
        raise refused(error, path, "be a file of JSON lines that can be read", "restore it from a copy") from None
