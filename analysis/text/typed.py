"""Paths in commands that a person copies."""

from __future__ import annotations

import shlex
from pathlib import Path


def typed(path: str | Path) -> str:
    """A path as it is typed after a verb: in quotes where a shell takes a character of it for something, no option where it has a dash."""
    text = str(path)
    return shlex.quote(f"./{text}" if text.startswith("-") else text)
