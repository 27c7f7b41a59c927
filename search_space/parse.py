"""Values of a study or an architecture as a person writes them; SpecError with the path where one is not what it must be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from search_space.errors import SpecError, quoted, unknown_key

LARGEST = 1 << 20
"""Largest size in a space."""


def number(path: str, value: object) -> float:
    """A number; YAML 1.1 reads ``1e6`` as text, so numeric text is one too."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            pass
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SpecError(f"{path} must be a number, found {quoted(value)}")
    return value


def above_zero(path: str, value: object) -> float:
    """A finite number above 0."""
    found = number(path, value)
    if not 0 < found < float("inf"):
        raise SpecError(f"{path} must be above 0, found {quoted(value)}")
    return found


def whole_number(path: str, value: object) -> int:
    """A whole number from 1 to `LARGEST`, also where it is written as ``64.0`` or ``1e3``."""
    found = number(path, value)
    if not 1 <= found <= LARGEST or found != int(found):
        raise SpecError(f"{path} must be a whole number from 1 to {LARGEST:,}, found {quoted(value)}")
    return int(found)


def even(path: str, value: object) -> int:
    """A size that RoPE can halve."""
    found = whole_number(path, value)
    if found % 2:
        raise SpecError(f"{path} must be even because RoPE turns pairs, found {found}; choose {found + 1}")
    return found


def flag(path: str, value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise SpecError(f"{path} must be true or false, found {quoted(value)}")
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
