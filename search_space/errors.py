"""The two errors that a person is told of in one sentence."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SpecError(ValueError):
    """The input is wrong; the message is one sentence: what must hold, what was found, the cure."""


class WorkError(RuntimeError):
    """The input is right and the work failed all the same; the message is one sentence: what happened, and what to do."""


def unknown_key(path: str, key: object, known: Iterable[str]) -> SpecError:
    """An error for a key that does not exist, naming the likeliest one that does."""
    names = list(known)
    close = difflib.get_close_matches(str(key), names, n=1, cutoff=0.5)
    cure = f"did you mean `{close[0]}`?" if close else f"known are {', '.join(names)}"
    return SpecError(f"{path} is unknown; {cure}")
