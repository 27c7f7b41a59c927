"""The one way in which JSON is written: what every reader of JSON takes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


def json_of(
    value: Any, *, indent: int | None = None, sort_keys: bool = False, separators: tuple[str, str] | None = None, as_ascii: bool = True
) -> str:
    """A value as JSON; a number that is not finite is absent (null), since JSON has neither NaN nor infinities."""
    finite = with_finite_numbers(value)
    return json.dumps(finite, allow_nan=False, indent=indent, sort_keys=sort_keys, separators=separators, ensure_ascii=as_ascii)


def with_finite_numbers(value: Any) -> Any:
    """A value of mappings and lists with None in place of numbers that are not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: with_finite_numbers(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [with_finite_numbers(each) for each in value]
    return value
