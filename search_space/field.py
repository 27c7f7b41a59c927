"""What a field of a shape is: how it is written, named and read, and what it costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from search_space.errors import SpecError, quoted
from search_space.parse import above_zero, flag

REQUIRED = object()
"""Stands in the place of a default where there is none."""
NOTHING = "nothing"
"""What a field does to a closed form that it does not enter."""


class FieldKind(StrEnum):
    """What the values of a field are."""

    INT = "whole number"
    REAL = "number"
    BOOL = "true or false"
    CHOICE = "choice"
    LAYERS = "list, one for each block"
    SHARING = "mapping"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a shape; functions take an `Architecture`, which lies above this file, untyped as `a`."""

    name: str
    """Name in Hugging Face's config, or ours where that has none."""
    kind: FieldKind
    choices: tuple[str, ...] = ()
    """Values that a choice may have."""
    spellings: Mapping[str, str] = field(default_factory=dict)
    """Other ways to write a choice, in lower case."""
    cures: Mapping[str, str] = field(default_factory=dict)
    """What to say of a value that is no choice, by how it is written in lower case."""
    default: Any = REQUIRED
    """Value of an architecture that does not name it."""
    always_written: bool = False
    """Whether it stands in dicts, hashes and keys at its default too, as the fields of the first records do. No other may: a field that is
    absent at its default leaves the name of every earlier shape as it was."""
    in_space: Any = None
    """What a study has that does not name it; its default where None, and several choices where it is searched by default."""
    even: bool = False
    ratio: str | None = None
    """The key that states it as a ratio in a space."""
    least_stated: bool = False
    """Whether a space may state the least that such a ratio may come to."""
    solvable: bool = False
    """Whether a space may have it computed from the budget."""
    of_study: bool = False
    """Whether a published shape that is brought to a study takes it from there."""
    column: bool = False
    """Whether the tables of trials show it."""
    label: Callable[[Any], str] | None = None
    """The words of a shape's label; where there is a default, they stand there only where the shape departs from it."""
    label_form: str = ""
    """A regular expression of those words, in which names stand for its numbers; empty where it has none."""
    label_says: str = ""
    """What those words mean, with the names of `label_form` in braces."""
    example: Mapping[str, Any] = field(default_factory=dict)
    """Changes of a shape that show it, for tests and documents; none of a field without a default."""
    parameters: str = NOTHING
    """What it does to stored weights, in words."""
    flops: str = NOTHING
    """What it does to the forward FLOPs of one token, in words."""
    kv_cache: str = NOTHING
    """What it does to the values in the KV cache of a text, in words."""
    activations: str = NOTHING
    """What it does to the values that a training step keeps of each token for its backward pass, in words."""
    attention_vectors: Callable[[Any], int] | None = None
    """Weights of a stored attention beside its matrices and the norm in front of it."""
    attention_bytes: Callable[[Any], int] | None = None
    """Bytes that an executed attention keeps of each token beside what all keep, in float32 and in bfloat16 alike."""
    refused: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Values that an export cannot hold whatever the rest of the shape is: by format and value, a sentence with the cure."""

    def departs(self, a: Any) -> bool:
        """Whether a shape has another value than the default; always where there is none."""
        value = getattr(a, self.name)
        return set(value) != set(self.default) if self.kind is FieldKind.LAYERS else bool(value != self.default)

    def cell(self, a: Any) -> Any:
        """What a table of trials shows of a shape: of a sharing its strategy, else the value."""
        return a.sharing.strategy if self.kind is FieldKind.SHARING else getattr(a, self.name)

    @property
    def ordered(self) -> bool:
        """Whether neighbouring values are alike, so that a sampler may walk along them."""
        return self.kind in (FieldKind.INT, FieldKind.REAL)

    @property
    def counted(self) -> bool:
        """Whether it is a size or a count that every shape has; such a one may be a range in a space."""
        return self.kind is FieldKind.INT and self.default is REQUIRED

    def read(self, path: str, value: object) -> Any:
        """A choice, number or flag as an architecture has it; raises SpecError, with the path, where it is none."""
        if self.kind is FieldKind.BOOL:
            return flag(path, value)
        if self.kind is FieldKind.REAL:
            return float(above_zero(path, value))
        written = str(value).lower()
        found = self.spellings.get(written, value)
        if found not in self.choices:
            raise SpecError(
                f"{path} must be one of {', '.join(self.choices)}, found {quoted(value)}{self.cures.get(written, '; choose one of them')}"
            )
        return found
