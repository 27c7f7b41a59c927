"""The one way in which JSON is read: what a file or another process says, whatever it says, becomes values or one ValueError."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

from search_space.errors import SpecError, refused, shortened

MOST_DIGITS = 300
"""Digits of a whole number, so that every one of them is a finite float, too."""
LARGEST_STATE_BYTES = 256 << 20
"""Bytes of a JSON file; the largest that we know, a tokenizer, has a tenth of it."""
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[-+.\w]+|[{}\[\]:]')


def parse_json(text: str | bytes, *, has_nan: bool = False) -> Any:
    """The values of one JSON text; with NaN and infinities (`has_nan`) where who asks says himself which key must be finite.

    Raises ValueError, with line and column, for what is no JSON, keys that stand there twice, NaN and infinities, whole numbers of more
    than `MOST_DIGITS` digits, and brackets without end.
    """
    try:
        written = text.decode("utf-8-sig") if isinstance(text, bytes) else text
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ValueError(f"line {line}: byte 0x{error.object[error.start]:02x} is not UTF-8") from None
    try:
        return (_WITH_NAN if has_nan else _DECODER).decode(written)
    except json.JSONDecodeError as error:
        raise ValueError(f"line {error.lineno}, column {error.colno}: {error.msg}") from None
    except _NotTakenError as error:
        raise ValueError(f"{_place(written, error.token)}{error}") from None
    except RecursionError:
        raise ValueError("brackets within brackets without end") from None


def parse_loosely(text: bytes) -> Any:
    """The values of what would be JSON but for numbers that it has not, such as NaN, so that it can be told where they stand.

    Raises ValueError where something else is wrong.
    """
    try:
        return json.JSONDecoder().decode(text.decode())
    except RecursionError:
        raise ValueError("brackets within brackets, too deep to be followed") from None


def read_json(path: Path, what: str, cure: str) -> Any:
    """The values of a JSON file; raises SpecError, which says `what` it must hold and the `cure`, where it holds no JSON."""
    try:
        return parse_json(read_limited(path, LARGEST_STATE_BYTES))
    except OSError as error:
        raise refused(error, path, f"hold {what}", cure) from None
    except ValueError as error:
        raise SpecError(f"{path} must hold {what}, found {error}; {cure}") from None


def read_limited(path: Path, most_bytes: int) -> bytes:
    """A file's content; raises ValueError where it is no ordinary file or has more than so many bytes, OSError as `open` does."""
    if not path.is_file():
        raise ValueError("something else than a file" if path.exists() else "no such file")
    with path.open("rb") as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise ValueError(f"more than {most_bytes:,} bytes")
    return content


class _NotTakenError(ValueError):
    """What Python's reader takes and this one does not."""

    def __init__(self, said: str, token: str | None = None) -> None:
        super().__init__(said)
        self.token = token
        """The text that is not taken; None for a key that stands there twice."""


def _place(text: str, token: str | None) -> str:
    """Line and column of a token outside of keys and strings, or of the first key that stands in its mapping for the second time."""
    seen: list[set[str]] = []
    tokens = list(TOKEN.finditer(text))
    for found, after in zip(tokens, [*tokens[1:], None], strict=True):
        word = found[0]
        is_key = after is not None and after[0] == ":" and word.startswith('"')
        if word == token or (token is None and is_key and seen and word in seen[-1]):
            line_start = text.rfind("\n", 0, found.start()) + 1
            return f"line {text.count(chr(10), 0, line_start) + 1}, column {found.start() - line_start + 1}: "
        if word in ("{", "["):
            seen.append(set())
        elif word in ("}", "]"):
            seen.pop()
        elif is_key:
            seen[-1].add(word)
    return ""


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A mapping; Python itself keeps the last of two equal keys without a word."""
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for place, name in enumerate(names) if name in names[:place])
        raise _NotTakenError(f"`{shortened(twice)}` stands there twice")
    return values


def _constant(name: str) -> Any:
    raise _NotTakenError(f"{name}, which is no number", name)


def _whole(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise _NotTakenError(f"a number of {len(digits):,} digits, of which {MOST_DIGITS} are the most", digits)
    return int(digits)


def _real(digits: str) -> float:
    if not math.isfinite(value := float(digits)):
        raise _NotTakenError(f"{shortened(digits)}, which is too large for a number", digits)
    return value


_DECODER = json.JSONDecoder(object_pairs_hook=_each_once, parse_constant=_constant, parse_int=_whole, parse_float=_real)
_WITH_NAN = json.JSONDecoder(object_pairs_hook=_each_once, parse_int=_whole)
