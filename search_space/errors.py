"""The two errors that a person is told of in one sentence, and how such a sentence quotes what was found."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LONGEST_QUOTE = 80
"""Characters of a found value that a sentence repeats."""

LONGEST_LIST = 500
"""Characters of all the names that would have been right: those of a person's table may be any."""


class SpecError(ValueError):
    """The input is wrong; the message is one sentence: what must hold, what was found, the cure."""


class WorkError(RuntimeError):
    """The input is right and the work failed all the same; the message is one sentence: what happened, and what to do."""


def quoted(value: object) -> str:
    """A found value as Python writes it, on one line and cut to `LONGEST_QUOTE` characters."""
    try:
        return shortened(repr(value))
    except (ValueError, RecursionError):  # Python does not write whole numbers of thousands of digits
        return f"a {type(value).__name__} too long to be written"


def shortened(text: object, most: int = LONGEST_QUOTE) -> str:
    """A found text without quotes, on one line and cut to so many characters."""
    line = " ".join(str(text)[: 2 * most].split())
    return line if len(line) <= most else f"{line[: most - 3]}..."


def unknown_key(path: str, key: object, known: Iterable[str]) -> SpecError:
    """An error for a key that does not exist, naming the likeliest one that does."""
    names = list(known)
    close = difflib.get_close_matches(shortened(key), names, n=1, cutoff=0.5)
    cure = f"did you mean `{close[0]}`?" if close else f"known are {shortened(', '.join(map(shortened, names)), LONGEST_LIST)}"
    return SpecError(f"{shortened(path)} is unknown; {cure}")
