"""Dataclasses from their JSON form: every value is checked as its field says, its type and, of a number, its range.

The fields are all there is to say: a number of a record is finite and not negative, unless it is `Annotated` with another `Range`.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from search_space.errors import quoted, shortened

LARGEST_COUNT, LARGEST_NUMBER = 2**63 - 1, 3.5e38
"""What 64 bits, and a float of 32 that training computes in, hold."""

Checked = TypeVar("Checked")
ReadField = Callable[[Any, str], Any]
"""Makes a field's value of its JSON form; the name, such as `training.curve[3].seconds`, is for the error."""


class FieldError(ValueError):
    """A value is not what its field must hold; the message says the field, what must hold and what was found."""


class _AbsentError(FieldError):
    """A number that must be there is null."""


class Measurement:
    """Parts that are absent as a whole where a number of theirs is null, for that one was not finite when it was written."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Range:
    """What a number may be, from the lowest to the highest."""

    lowest: float = 0.0
    highest: float = LARGEST_NUMBER
    above: bool = False
    """Whether the lowest itself is too low."""
    rounding: float = 0.0
    """How far beyond its ends rounding may bring a number."""

    def holds(self, value: float) -> bool:
        """Whether a finite number lies in it."""
        low, high = self.lowest - self.rounding, self.highest + self.rounding
        return (low < value if self.above else low <= value) and value <= high

    def __str__(self) -> str:
        low = f"above {self.lowest:g}" if self.above else f"of at least {self.lowest:g}"
        return low if self.highest >= LARGEST_COUNT else f"{low} and at most {self.highest:g}"


PositiveFloat = Annotated[float, Range(above=True)]
PositiveCount = Annotated[int, Range(1)]
Fraction = Annotated[float, Range(highest=1, rounding=1e-3)]
Cosine = Annotated[float, Range(-1, 1, rounding=1e-3)]
Timestamp = Annotated[str, "moment"]
"""Time of day with its date, ISO 8601."""


def from_json(cls: type[Checked], values: Any, name: str = "") -> Checked:
    """A dataclass from its JSON form; raises FieldError for a field that is missing, unknown, or holds what it must not."""
    read: ReadField = _dataclass(typing.cast(Any, cls))
    return typing.cast(Checked, read(values, name))


def absent_from_json(cls: type[Checked], values: Any, name: str = "") -> Checked | None:
    """A `Measurement` part from its JSON form; None from null, and where a number in it is null."""
    read: ReadField = _optional(typing.cast(Any, cls))
    return typing.cast("Checked | None", read(values, name))


@cache
def _reader(kind: Any) -> ReadField:
    """What reads a field of this type."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _moment if arguments[0] is str else _number(arguments[0], arguments[1])
    if origin in (Union, types.UnionType):
        [inner] = [one for one in arguments if one is not types.NoneType]
        return _optional(inner)
    if origin is tuple:
        return _tuple(arguments[0])
    if origin is Mapping:
        return _mapping(arguments[1])
    if origin is Literal:
        return _one_of(arguments, lambda value: value)
    if kind is Any:
        return lambda value, name: value
    if kind in (int, float):
        return _number(kind, Range())
    if kind in (str, bool):
        return _plain(kind)
    if issubclass(kind, Enum):
        return _one_of(tuple(member.value for member in kind), kind)
    return _of_its_own(kind) if hasattr(kind, "from_dict") else _dataclass(kind)


def _number(kind: type, bounds: Range) -> ReadField:
    most = LARGEST_COUNT if kind is int else LARGEST_NUMBER
    wanted = f"a {'whole' if kind is int else 'finite'} number {bounds}"

    def read(value: Any, name: str) -> Any:
        if value is None:
            raise _AbsentError(f"{name} must be {wanted}, found null")
        is_number = type(value) is int or (kind is float and type(value) is float)
        if not is_number or abs(value) > most or not math.isfinite(value) or not bounds.holds(value):
            raise _wrong(name, wanted, value)
        return value

    return read


def _plain(kind: type) -> ReadField:
    wanted = "text" if kind is str else "true or false"

    def read(value: Any, name: str) -> Any:
        if type(value) is not kind:
            raise _wrong(name, wanted, value)
        return value

    return read


def _moment(value: Any, name: str) -> str:
    try:
        datetime.fromisoformat(value).timestamp()
    except (TypeError, ValueError, OverflowError, OSError):
        raise _wrong(name, "a date with a time, such as 2026-01-31T12:00:00+00:00", value) from None
    return str(value)


@cache
def _optional(inner: Any) -> ReadField:
    read = _reader(inner)
    is_measured = isinstance(inner, type) and issubclass(inner, Measurement)

    def read_or_none(value: Any, name: str) -> Any:
        if value is None:
            return None
        try:
            return read(value, name)
        except _AbsentError:
            if is_measured:
                return None
            raise

    return read_or_none


def _tuple(inner: Any) -> ReadField:
    read = _reader(inner)

    def read_all(value: Any, name: str) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise _wrong(name, "a list", value)
        return tuple(read(each, f"{name}[{place}]") for place, each in enumerate(value))

    return read_all


def _mapping(inner: Any) -> ReadField:
    """Values that are absent as a whole are left out."""
    is_measured = isinstance(inner, type) and issubclass(inner, Measurement)
    read = _optional(inner) if is_measured else _reader(inner)

    def read_all(value: Any, name: str) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise _wrong(name, "a mapping", value)
        found = {str(key): read(each, f"{name}.{key}") for key, each in value.items()}
        return {key: each for key, each in found.items() if each is not None} if is_measured else found

    return read_all


def _one_of(known: tuple[Any, ...], make: Callable[[Any], Any]) -> ReadField:
    def read(value: Any, name: str) -> Any:
        if not isinstance(value, str) or value not in known:
            raise _wrong(name, f"one of {', '.join(known)}", value)
        return make(value)

    return read


def _of_its_own(kind: Any) -> ReadField:
    """What knows its JSON form itself, and raises ValueError with a sentence for another one."""

    def read(value: Any, name: str) -> Any:
        try:
            return kind.from_dict(value)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise FieldError(f"{name} must be a shape: {error}") from None

    return read


@cache
def _dataclass(kind: Any) -> ReadField:
    hints = typing.get_type_hints(kind, include_extras=True)
    readers = {field.name: _reader(hints[field.name]) for field in dataclasses.fields(kind)}
    required = [
        field.name
        for field in dataclasses.fields(kind)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]

    def read(values: Any, name: str) -> Any:
        if not isinstance(values, Mapping):
            raise _wrong(name or "it", f"a mapping of {', '.join(required)}", values)
        within = f"{name}." if name else ""
        for key in values:
            if key not in readers:
                raise FieldError(f"{within}{shortened(key)} is unknown")
        for key in required:
            if key not in values:
                raise FieldError(f"{within}{key} is missing")
        return kind(**{key: readers[key](value, f"{within}{key}") for key, value in values.items()})

    return read


def _wrong(name: str, wanted: str, found: Any) -> FieldError:
    return FieldError(f"{name} must be {wanted}, found {'null' if found is None else quoted(found)}")
