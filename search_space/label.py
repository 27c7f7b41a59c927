"""The label of a shape, such as `30x576 9/3x64 f1536`, read back: what each of its words means."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from search_space.errors import SpecError, quoted
from search_space.families import family
from search_space.field import REQUIRED, Field
from search_space.fields import FIELDS

EXAMPLE = family("mobilellm-125m")
"""A shape whose label has only what every label has."""
IN_LABEL = tuple(row for row in FIELDS if row.label is not None)
"""Fields with words in a label, in their order there."""


def read_label(label: str) -> dict[str, tuple[str, str]]:
    """Words and meaning of each field that a label tells, by the field's name; SpecError where it is no label."""
    found, rest = {}, " ".join(label.split())
    for row in IN_LABEL:
        seen = re.match(rf"(?:{row.label_form})(?= |$)", rest)
        if seen is not None:
            found[row.name] = (seen[0], _meaning(row, seen))
            rest = rest[seen.end() :].lstrip()
        elif row.default is REQUIRED:
            break
    if rest or any(row.name not in found for row in IN_LABEL if row.default is REQUIRED):
        raise SpecError(
            f"a shape's label must tell blocks and width, heads, MLP and what departs from the usual, as {EXAMPLE.label} reverse x2 does, "
            f"found {quoted(rest or label)} in it; copy it whole"
        )
    return found


def example_words() -> Iterator[tuple[str, str]]:
    """Words and meaning of each field in the label of a shape that departs in it."""
    for row in IN_LABEL:
        assert row.label is not None
        words = row.label(replace(EXAMPLE, **row.example))
        seen = re.fullmatch(row.label_form, words)
        assert seen is not None, f"label_form of {row.name} must read {words!r}"
        yield words, _meaning(row, seen)


def _meaning(row: Field, seen: re.Match[str]) -> str:
    return row.label_says.format_map(seen.groupdict("block"))
