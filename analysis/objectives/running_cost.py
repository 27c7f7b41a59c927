"""What a million decoded tokens of a shape take: time and money by its measured latency, energy and carbon dioxide by the estimate.

The estimate is that of `joules_per_token` (analysis.objectives.energy): arithmetic and memory alone, neither a display nor a machine that
waits, and never a measurement.
"""

from __future__ import annotations

from dataclasses import dataclass

from analysis.objectives.observed import Observed
from analysis.objectives.registry import find_objective
from analysis.text.words import JOULES_PER_KILOWATT_HOUR

COUNTED_TOKENS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What an hour of a machine and a kilowatt hour stand for."""

    price_per_hour: float | None = None
    """Price of an hour of the device, in its currency; None where nobody said."""
    grams_per_kilowatt_hour: float | None = None
    """Grams of carbon dioxide equivalent a kilowatt hour of its electricity; None where nobody said."""

    def price(self, seconds: float | None) -> float | None:
        """Price of so many seconds; None where one of both is not known."""
        return None if seconds is None or self.price_per_hour is None else seconds / 3600 * self.price_per_hour

    def grams(self, joules: float | None) -> float | None:
        """Grams of so many joules; None where one of both is not known."""
        if joules is None or self.grams_per_kilowatt_hour is None:
            return None
        return joules / JOULES_PER_KILOWATT_HOUR * self.grams_per_kilowatt_hour


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningCost:
    """What a million decoded tokens take, one after the other."""

    seconds: float | None
    """Seconds by the measured time of a decoded token; None where it was not measured."""
    price: float | None
    """Price in the currency of the rates; None where no price or no time is known."""
    estimated_joules: float
    estimated_grams: float | None
    """Grams of carbon dioxide equivalent; None where no rate is known."""


def running_cost(seen: Observed, rates: Rates) -> RunningCost:
    """The cost of a shape's next million tokens."""
    each, joules = find_objective("decode_ms_per_token").value(seen), find_objective("joules_per_token").value(seen)
    assert joules is not None  # a closed form
    seconds = None if each is None else each / 1_000 * COUNTED_TOKENS
    return RunningCost(
        seconds=seconds,
        price=rates.price(seconds),
        estimated_joules=joules * COUNTED_TOKENS,
        estimated_grams=rates.grams(joules * COUNTED_TOKENS),
    )
