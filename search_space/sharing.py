"""Weight sharing: which stored block runs at each depth.

The strategies are those of MobileLLM (arXiv 2402.14905, section 3.4), generalised from two to any number of repeats, and from
whole blocks to the attention or the MLP alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from search_space.errors import SpecError, quoted, unknown_key

STRATEGIES = ("none", "immediate", "repeat_all_over", "reverse")
PARTS = ("block", "attention", "mlp")
MOST_BLOCKS = 1024
"""Blocks that a shape may execute."""


@dataclass(frozen=True, order=True, slots=True)
class Sharing:
    """How stored weights are run several times; ``Sharing()`` shares nothing."""

    strategy: str = "none"
    """``none``; ``immediate`` 0 0 1 1 2 2; ``repeat_all_over`` 0 1 2 0 1 2; ``reverse`` 0 1 2 2 1 0."""
    repeats: int = 1
    """How often each stored part runs; 1 exactly where the strategy is ``none``."""
    part: str = "block"
    """What is shared: the whole ``block``, or its ``attention`` or ``mlp`` alone, each with the norm in front of it."""

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGIES:
            raise SpecError(f"sharing.strategy must be one of {', '.join(STRATEGIES)}, found {quoted(self.strategy)}; choose one of them")
        if self.part not in PARTS:
            raise SpecError(f"sharing.part must be one of {', '.join(PARTS)}, found {quoted(self.part)}; choose one of them")
        if isinstance(self.repeats, bool) or not isinstance(self.repeats, int) or self.repeats < 1:
            raise SpecError(f"sharing.repeats must be a whole number of at least 1, found {quoted(self.repeats)}; correct it")
        if self.repeats > MOST_BLOCKS:
            raise SpecError(f"sharing.repeats must be at most {MOST_BLOCKS:,}, found {quoted(self.repeats)}; lower it")
        if self.strategy == "none" and self.repeats != 1:
            raise SpecError(f"sharing.repeats must be 1 where the strategy is none, found {self.repeats}; name a strategy")
        if self.repeats == 1:  # run once is not shared, whatever the strategy is called
            object.__setattr__(self, "strategy", "none")
            object.__setattr__(self, "part", "block")

    def schedule(self, num_unique_layers: int) -> tuple[int, ...]:
        """Index of the stored part that runs at each depth; length ``num_unique_layers * repeats``."""
        once = range(num_unique_layers)
        if self.strategy == "immediate":
            return tuple(layer for layer in once for _ in range(self.repeats))
        if self.strategy == "reverse":
            return tuple(layer for turn in range(self.repeats) for layer in (reversed(once) if turn % 2 else once))
        return tuple(once) * self.repeats

    def stored(self, part: str, num_unique_layers: int) -> int:
        """How many of ``attention`` or ``mlp`` are stored: one for each block executed where the other alone is shared."""
        return num_unique_layers if self.part in ("block", part) else num_unique_layers * self.repeats

    def as_dict(self) -> dict[str, str | int]:
        """The three fields, as they stand in YAML, JSON and records."""
        return {"strategy": self.strategy, "repeats": self.repeats, "part": self.part}

    @classmethod
    def parse(cls, value: object) -> Sharing:
        """Read ``none`` or a mapping of the three fields; raise SpecError with the cure otherwise."""
        if isinstance(value, Sharing):
            return value
        if value == "none":
            return cls()
        if not isinstance(value, Mapping):
            raise SpecError(
                f"sharing must be `none` or a mapping such as {{strategy: immediate, repeats: 2}}, found {quoted(value)}; write one"
            )
        for key in value:
            if key not in ("strategy", "repeats", "part"):
                raise unknown_key(f"sharing.{key}", key, ("strategy", "repeats", "part"))
        fields = dict(value)
        if "repeats" not in fields and fields.get("strategy") != "none":
            fields["repeats"] = 2
        return cls(**fields)
