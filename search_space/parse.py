"""Values of a study or an architecture as a person writes them; SpecError with the path where one is not what it must be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from search_space.errors import SpecError, quoted, unknown_key
from search_space.sizes import written_number

LARGEST = 1 << 20
"""Largest size in a space."""
LEAST_REAL, MOST_REAL = 1e-30, 1e30
"""Bounds of a number that is no size: products of a few such numbers are finite, and none is 0."""
MOST_RATIO = 1024
"""Largest ratio of two sizes of a shape."""


def number(path: str, value: object) -> float:
    """A number; YAML 1.1 reads ``1e6`` and ``32k`` as text, so text that is a number is one too."""
    if isinstance(value, str) and (found := written_number(value, path)) is not None:
        return found
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SpecError(f"{path} must be a number, found {quoted(value)}; write one")
    return value


def above_zero(path: str, value: object) -> float:
    """A finite number above 0."""
    found = number(path, value)
    if not 0 < found < float("inf"):
        raise SpecError(f"{path} must be above 0, found {quoted(value)}; raise it")
    if not LEAST_REAL <= found <= MOST_REAL:
        raise SpecError(f"{path} must be from {LEAST_REAL:g} to {MOST_REAL:g}, found {quoted(value)}; correct it")
    return found


def whole_number(path: str, value: object) -> int:
    """A whole number from 1 to `LARGEST`, also where it is written as ``64.0`` or ``1e3``."""
    found = number(path, value)
    if not 1 <= found <= LARGEST or found != int(found):
        raise SpecError(f"{path} must be a whole number from 1 to {LARGEST:,}, found {quoted(value)}; correct it")
    return int(found)


def even(path: str, value: object) -> int:
    """A size that RoPE can halve."""
    found = whole_number(path, value)
    if found % 2:
        raise SpecError(f"{path} must be even because RoPE turns pairs, found {found}; choose {found + 1}")
    return found


def ratio_above_zero(path: str, value: object) -> float:
    """A ratio of two sizes, from one over `MOST_RATIO` to that."""
    found = above_zero(path, value)
    if not 1 / MOST_RATIO <= found <= MOST_RATIO:
        raise SpecError(f"{path} must be from 1/{MOST_RATIO} to {MOST_RATIO}, found {quoted(value)}; correct it")
    return found


def flag(path: str, value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise SpecError(f"{path} must be true or false, found {quoted(value)}; write one of them")
    return value


def listed(path: str, value: object) -> Sequence[object]:
    """A list with something in it, or a single value as a list of one."""
    if not isinstance(value, list | tuple):
        return [value]
    if not value:
        raise SpecError(f"{path} must offer at least one choice, found an empty list; leave it out for its default")
    return value


def only(path: str, value: Mapping[str, Any], known: Sequence[str]) -> None:
    """Raise SpecError where a mapping has a key that is not among the known ones."""
    for key in value:
        if key not in known:
            raise unknown_key(f"{path}.{key}", key, known)
