"""Names of the ways in which a trained model is kept smaller: a rounding, a share of weights left out, or both. Standard library only."""

from __future__ import annotations

import re
from dataclasses import dataclass

from search_space.cost import ROUNDED_PRECISIONS
from search_space.errors import SpecError, quoted, unknown_key
from trials.catalogue.runtimes import RUNTIMES

RoundingKind = tuple[str, str]
"""Runtime and precision."""
ROUNDING_WORDS: dict[str, RoundingKind | None] = {
    "float32": None,
    "float16": ("file", "float16"),
    "w8a8": ("executorch", "int8"),
    "int8": ("llama.cpp", "int8"),
    "int4": ("llama.cpp", "int4"),
} | {
    f"{name}-{precision}": (name, precision)
    for name, row in RUNTIMES.items()
    for precision in row.precisions
    if precision in ROUNDED_PRECISIONS
}
"""What rounds by each word, None where nothing does. `w8a8` is the paper's: int8 weights with a scale a row, activations with a scale and a
zero a token; `int8` and `int4` round weights alone."""
USUAL_WAYS = ("float16", "w8a8", "int8", "int4", "prune50")
PRUNE_WORD = re.compile(r"prune(\d{1,2})")


@dataclass(frozen=True, slots=True)
class WayName:
    """A way as it is named."""

    name: str
    rounding: RoundingKind | None
    left_out: float
    """Share of the weights of the blocks' matrices that is 0."""


def read_way(text: str) -> WayName:
    """The way of `w8a8`, `onnxruntime-int4`, `prune50` or `prune50+int8`; raises SpecError for another word, or two of a kind."""
    rounding, left_out = [], []
    for word in (part.strip() for part in text.split("+")):
        if (found := PRUNE_WORD.fullmatch(word)) and int(found[1]):
            left_out.append(int(found[1]) / 100)
        elif word in ROUNDING_WORDS:
            rounding.append(word)
        else:
            raise unknown_key(f"the way {quoted(text)}", word, [*ROUNDING_WORDS, "prune50"])
    if len(rounding) > 1 or len(left_out) > 1:
        raise SpecError(f"a way must round once and leave weights out once, found {quoted(text)}; keep one word of each kind")
    return WayName(text, ROUNDING_WORDS[rounding[0] if rounding else "float16"], left_out[0] if left_out else 0.0)
