"""What an objective is: how it is read from what was observed, which way is better, how its noise is known, and how it is said."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from analysis.objectives.observed import Observed
from analysis.records.latency import Spread
from analysis.text.words import ABSENT

Known = Literal["shape", "device", "training"]
"""When a value is there: `shape`, a closed form, before anything runs; `device`, measured in seconds or predicted by a device's table,
before the training; `training`, only after it."""
Noise = Literal["none", "measurement", "seed"]
"""What moves a value when the same shape is tried again: nothing, the measurement, or the seed of its training."""
Phase = Literal["total", "prefill", "decode"]
"""What a device's table predicts (`analysis.latency.latency_model.Prediction`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """How an objective is said to people."""

    label: str
    """Name in headings and sentences, such as `bits per byte`."""
    short: str = ""
    """Name in the headings of tables; the label where empty."""
    axis: str
    """Title of a figure's axis, with the unit; `{prompt_tokens}` and `{new_tokens}` become the measured workload's."""
    write: Callable[[float], str]
    """A value as text, such as `24.0 ms`."""
    tick_format: str = ""
    """Format of the numbers along a linear axis, in d3's words; empty for plain ones."""
    tick: Callable[[float], str] = lambda value: f"{value:g}"
    """A number along a logarithmic axis."""
    unit: str = ""
    """Unit that ends every written value, such as `ms`; empty where it has none or changes with the size."""
    phrase: str
    """A written value in a sentence where other numbers stand beside it, such as `{} bits per byte`."""
    best: str
    """What the shape that is best in it is called, such as `fastest`."""
    no_worse: str
    """Being at least as good in it, such as `at no worse bits per byte`."""
    gain: Callable[[float, float], str]
    """How much better the first value is than the second, such as `takes 12% less time`."""
    amount: Callable[[float], str]
    """A difference of two values."""
    meaning: str
    """What it is, in sentences for the documents and the glossary."""

    @property
    def title(self) -> str:
        """The label at the beginning of a line."""
        return f"{self.label[0].upper()}{self.label[1:]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """One number of a shape that a study may minimise, maximise or bound."""

    name: str
    """Name in a study, as a column, and in MLflow; a unit ends it."""
    words: Wording
    value: Callable[[Observed], float | None]
    """Reads the value; None where it is not known yet, or was not measured; never 0 for that."""
    better: Literal["lower", "higher"] = "lower"
    """Direction; where it is `higher`, the value is a share of 1."""
    scale: Literal["linear", "log"] = "linear"
    """Scale of axes, of the knee and of the objective's noise."""
    known: Known
    noise: Noise
    spread: Callable[[Observed], Spread | None] = lambda _: None
    """Reads the repeats of one measurement; None where the value is taken once."""
    between: float = 0.0
    """Standard deviation of its logarithm between two measurements of one shape, before a study has any."""
    phase: Phase | None = None
    """What a device's table predicts it by; None where no table can."""
    has_splits: bool = False
    """Whether it is read from a split of the text, so that the test split has it too; a named validation set or task has no other part."""

    def cost(self, value: float) -> float:
        """The value as a number that is better where smaller; the same turns a cost back into a value."""
        return 1 - value if self.better == "higher" else value

    def scaled(self, value: float) -> float:
        """The cost on the objective's scale; raises ValueError for a value of 0 and below on a logarithmic one."""
        return math.log(self.cost(value)) if self.scale == "log" else self.cost(value)

    def passes(self, value: float, limit: float) -> bool:
        """Whether a value is on the wrong side of a limit."""
        return self.cost(value) > self.cost(limit)

    def said(self, value: float) -> str:
        """A value in a sentence, such as `2.071 bits per byte`."""
        return self.words.phrase.format(self.words.write(value))

    def heading(self, which: str = "") -> str:
        """Heading of a table's column, such as `latency after, ms`; its cells are those of `cell`. `which` tells several columns apart."""
        name = f"{self.words.short or self.words.label}{which}"
        return f"{name}, {self.words.unit}" if self.words.unit else name

    def between_text(self, low: float, high: float) -> str:
        """A range, such as `23.6 to 24.7 ms`."""
        return f"{self.cell(low)} to {self.words.write(high)}"

    def spread_text(self, spread: Spread) -> str:
        """Repeats, such as `24.0 ms (p10 to p90: 23.6 to 24.7)`."""
        return f"{self.words.write(spread.median)} (p10 to p90: {self.cell(spread.p10)} to {self.cell(spread.p90)})"

    def cell(self, value: float | None) -> str:
        """A value under `heading`; a dash where there is none."""
        return ABSENT if value is None else self.words.write(value).removesuffix(f" {self.words.unit}")
