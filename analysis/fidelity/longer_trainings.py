"""Longer trainings that ship with archfront: what stands beside a short study of kindred shapes, marked as such.

They were made once, on another machine, and `benchmarks.longer` writes the file beside this one from the results that benchmarks keep.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any, Self

from analysis.fronts.effects import Effect, effects
from analysis.records.json_text import read_json
from analysis.text.words import plural
from search_space.architecture import Architecture
from search_space.cost import parameters

SHIPPED = Path(__file__).with_suffix(".json")
KINDRED_RATIO = 5.0
"""Ratio of sizes up to which shapes are kindred."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LongerSet:
    """Shapes of one size that were trained alike."""

    title: str
    """Name in benchmarks/proxy.yaml."""
    corpus: str
    """Name of the text."""
    tokens: int
    """Training tokens of each."""
    shapes: tuple[Architecture, ...]
    bits_per_byte: tuple[tuple[float, ...], ...]
    """Losses on the validation split, of each shape under each seed."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """From the shipped file; a shape's usual values are left out there."""
        return cls(
            title=values["title"],
            corpus=values["corpus"],
            tokens=values["tokens"],
            shapes=tuple(Architecture.from_dict(row["shape"]) for row in values["rows"]),
            bits_per_byte=tuple(tuple(row["bits_per_byte"]) for row in values["rows"]),
        )

    @property
    def parameters(self) -> float:
        """Mean size of its shapes."""
        return fmean(map(parameters, self.shapes))

    @property
    def command(self) -> str:
        """What makes the trainings again, from the repository's root."""
        return f"python -m benchmarks.proxy {self.title} RESULTS.jsonl"

    @property
    def described(self) -> str:
        """Such as `12 shapes of 0.3M parameters after 2.4M tokens, 2 seeds each`."""
        fewest, most = min(map(len, self.bits_per_byte)), max(map(len, self.bits_per_byte))
        each = f"{fewest} to {most} seeds each" if fewest < most else f"{plural(fewest, 'seed')} each"
        return f"{len(self.shapes)} shapes of {self.parameters / 1e6:.2g}M parameters after {self.tokens / 1e6:.2g}M tokens, {each}"

    def effects(self) -> list[Effect]:
        """What moves their bits per byte."""
        return effects(self.shapes, [fmean(bits) for bits in self.bits_per_byte])


@cache
def shipped_sets() -> tuple[LongerSet, ...]:
    """All of them, the smallest shapes first."""
    return tuple(LongerSet.from_dict(values) for values in read_json(SHIPPED, "longer trainings", "install archfront again"))


def kindred_sets(corpus: str, shapes: Sequence[Architecture]) -> list[LongerSet]:
    """Longer trainings on the same text whose shapes are of about the size of these."""
    if not shapes:
        return []
    size = fmean(map(parameters, shapes))
    near = math.log(KINDRED_RATIO)
    return [each for each in shipped_sets() if each.corpus == corpus and abs(math.log(each.parameters / size)) <= near]
