"""What each split of a corpus holds: data alone, which travels with token blocks and lies in a study's directory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

Unit = Literal["document", "section"]
"""What is in one split as a whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitContent:
    """What one split holds."""

    documents: int
    """Documents that have text in it; one that is cut into sections may have some in each split."""
    size_bytes: int
    """Bytes of text as UTF-8."""
    sha256: str
    """A hash of its pieces of text, in reading order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitFacts:
    """How a corpus is split."""

    text_sha256: str
    """A hash of the text in its order, however it is split."""
    unit: Unit
    """What is in one split as a whole."""
    near_copies: int
    """Units that have a near copy, which is in the same split."""
    splits: Mapping[str, SplitContent]
    """Content of each split, by name."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """The reverse of `as_dict`; raises TypeError, KeyError or AttributeError for anything else."""
        splits = {name: SplitContent(**found) for name, found in values["splits"].items()}
        return cls(**{**values, "splits": splits})
