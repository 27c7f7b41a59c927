"""What a shape's latency will be on a device, with error bars, from a few dozen measured shapes and before anything is built.

Prefill and the decoding of a token are modelled apart (`analysis.latency.time_model` on the terms of `analysis.latency.cost_terms`) and
added up. How wide the error bars must be is learnt from the measured shapes themselves: each is predicted from all others.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from analysis.latency.cost_terms import (
    BEYOND_CACHE,
    OPERATORS_OF,
    WEIGHT_TERMS,
    Stack,
    Workload,
    columns,
    decode_terms,
    field_terms,
    outline,
    prefill_terms,
)
from analysis.latency.time_model import Prices, TimeModel
from analysis.records.latency import Latency, Spread
from analysis.statistics.arrays import Array
from analysis.statistics.intervals import LEVEL, standard_errors
from search_space.architecture import Architecture
from search_space.cost import parameters

LEAST_SHAPES = 8
"""Below, nothing is fitted."""
SEEN_BEYOND, SHAPES_BEYOND = 0.2, 4
"""A cache's end is seen where so many shapes have this share of their weights beyond it."""
FAR_OUTSIDE = 2.0
"""A shape whose numbers lie further outside of the measured ones than by this factor is outside of the table's range."""
TOO_FAR_OUTSIDE = 4.0
"""The factor from which on a shape's latency is predicted where that was asked for alone: twice as far as fits were judged
(`benchmarks.predictor`, `benchmarks.latency_law`), and errors grow with the distance (docs/findings.md, 2026-11-28: latencies of larger
shapes than were measured, from a table's smaller ones)."""
WRITTEN_AT_ONCE = 1000
"""Shapes whose blocks are written out at once, for the memory's sake."""
DISTURBED_WEIGHT = 0.25
"""Weight of a measurement that was flagged as disturbed; a calm one has 1."""


@dataclass(frozen=True, slots=True)
class LatencyEstimate:
    """One predicted time."""

    ms: float
    deviation: float
    """Standard deviation of its logarithm, a measurement's own noise included."""

    def between(self, level: float = LEVEL) -> tuple[float, float]:
        """The central interval that holds a measurement with this probability, in ms."""
        reach = math.exp(standard_errors(level) * self.deviation)
        return self.ms / reach, self.ms * reach

    @property
    def spread(self) -> Spread:
        """The prediction as a record has a time: median, tenth and ninetieth percentile."""
        low, high = self.between(0.8)
        return Spread(median=self.ms, p10=low, p90=high)


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a shape's workload will take."""

    total: LatencyEstimate
    prefill: LatencyEstimate
    decode: LatencyEstimate
    """Predicted time of one new token."""
    outside: str | None
    """Which of the shape's numbers or fields lies outside of what was measured; None where none does."""
    times_outside: float
    """Factor by which the number that lies furthest outside of the measured ones does; 1 where none does."""


class LatencyModel:
    """The model of one device, runtime, precision and workload."""

    def __init__(self, workload: Workload, shapes: Sequence[Architecture], latencies: Sequence[Latency]) -> None:
        """Needs `LEAST_SHAPES` measured shapes; equal arguments give equal predictions."""
        self.workload, self._shapes = workload, tuple(shapes)
        self._names, self._numbers = columns([_numbers(shape) for shape in shapes])
        self._values = {field.name: {getattr(shape, field.name) for shape in shapes} for field in OPERATORS_OF}
        self._priced = [name for name, values in self._values.items() if len(values) > 1]
        prefill, decode, outlines = self._columns(shapes)
        self._seen = _seen(self.terms[1], decode)
        self._outlines = outlines
        times = [[one.prefill_ms.median, one.decode_ms_per_token.median] for one in latencies]
        self._times = np.array(times, dtype=float)
        self._total = np.array([one.total_ms.median for one in latencies])
        self._calm = np.array([not one.disturbed for one in latencies])
        trust = np.array([DISTURBED_WEIGHT if one.disturbed else 1.0 for one in latencies])
        self._models = (
            TimeModel(Prices(), prefill, outlines, self._times[:, 0], trust),
            TimeModel(Prices(), decode[:, self._seen], outlines, self._times[:, 1], trust),
        )

    @cached_property
    def terms(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Names of the terms of prefill and of decoding; a field's is among them where shapes with and without it were measured."""
        stack = Stack.of(self._shapes[0])
        prefill, decode = ((*count(stack, self.workload), *self._priced) for count in (prefill_terms, decode_terms))
        return prefill, decode

    def predict(self, shapes: Sequence[Architecture]) -> list[Prediction]:
        """One prediction a shape, in order."""
        prefill, decode, outlines = self._columns(shapes)
        phases = [model.predict(terms, outlines) for model, terms in zip(self._models, (prefill, decode[:, self._seen]), strict=True)]
        (prefills, prefill_sd), (decodes, decode_sd) = phases
        totals, total_sd = self._sum(phases)
        wide = self._stretch
        noises = [model.noise for model in self._models]
        return [
            Prediction(
                total=LatencyEstimate(float(totals[place]), float(wide * total_sd[place])),
                prefill=LatencyEstimate(math.exp(prefills[place]), wide * math.hypot(prefill_sd[place], noises[0])),
                decode=LatencyEstimate(math.exp(decodes[place]), wide * math.hypot(decode_sd[place], noises[1])),
                outside=self._outside(shape),
                times_outside=max(1.0, *(beyond for _, beyond, _ in self._beyond(shape))),
            )
            for place, shape in enumerate(shapes)
        ]

    def milliseconds(self, shapes: Sequence[Architecture], phase: Literal["total", "prefill", "decode"] = "total") -> Array:
        """One phase of each shape without its error bar, decoding a token; for the many shapes of a whole space; shape [shapes]."""
        found = []
        for start in range(0, len(shapes), WRITTEN_AT_ONCE):
            prefill, decode, outlines = self._columns(shapes[start : start + WRITTEN_AT_ONCE])
            logs = [model.expect(terms, outlines) for model, terms in zip(self._models, (prefill, decode[:, self._seen]), strict=True)]
            prefills, decodes = np.exp(logs[0]), np.exp(logs[1])
            phases = {"total": prefills + self.workload.new_tokens * decodes, "prefill": prefills, "decode": decodes}
            found.append(phases[phase])
        return np.concatenate(found) if found else np.empty(0)

    def shares(self) -> tuple[dict[str, float], dict[str, float]]:
        """Mean share of each term in the priced time of the measured shapes, for prefill and decoding; terms without a price left out."""
        found = []
        names = [self.terms[0], tuple(name for name, seen in zip(self.terms[1], self._seen, strict=True) if seen)]
        for model, words in zip(self._models, names, strict=True):
            found.append({name: float(share) for name, share in zip(words, model.shares(), strict=True) if share > 0})
        return found[0], found[1]

    @cached_property
    def left_out(self) -> tuple[Array, Array]:
        """Each measured shape's total in ms, predicted from all others, and the deviation of its logarithm; shape [shapes]."""
        totals, deviations = self._sum([model.left_out for model in self._models])
        return totals, self._stretch * deviations

    @property
    def measured_ms(self) -> Array:
        """Totals of the measured shapes, in order."""
        return self._total

    @cached_property
    def _together(self) -> float:
        """Correlation of the errors of prefill and decoding."""
        errors = [model.left_out[0] - np.log(times) for model, times in zip(self._models, self._times.T, strict=True)]
        return float(np.clip(np.corrcoef(errors)[0, 1], 0.0, 1.0)) if min(error.std() for error in errors) else 0.0

    @cached_property
    def _stretch(self) -> float:
        """The factor by which deviations are widened so that intervals hold as many of the left-out shapes as they say; not below 1.

        A disturbed measurement is off by more than its shape's time is unknown, so the calm ones say it where they are enough.
        """
        totals, deviations = self._sum([model.left_out for model in self._models])
        scores = np.log(self._total / totals) / deviations
        return stretch(scores[self._calm] if self._calm.sum() >= LEAST_SHAPES else scores)

    def _sum(self, phases: Sequence[tuple[Array, Array]]) -> tuple[Array, Array]:
        """Total in ms and deviation of its logarithm, from logarithms and deviations of both phases; noise included."""
        parts = [np.exp(phases[0][0]), self.workload.new_tokens * np.exp(phases[1][0])]
        total = parts[0] + parts[1]
        one, other = (
            part / total * np.hypot(deviation, model.noise) for part, (_, deviation), model in zip(parts, phases, self._models, strict=True)
        )
        return total, np.sqrt(one**2 + other**2 + 2 * self._together * one * other)

    def _columns(self, shapes: Sequence[Architecture]) -> tuple[Array, Array, Array]:
        stacks = [Stack.of(shape) for shape in shapes]
        prefill, decode, outlines = (
            columns([count(stack, self.workload) for stack in stacks])[1] for count in (prefill_terms, decode_terms, outline)
        )
        fields = np.array([[field_terms(shape)[name] for name in self._priced] for shape in shapes], dtype=float)
        return np.hstack([prefill, fields]), np.hstack([decode, fields]), np.log(outlines)

    def _outside(self, shape: Architecture) -> str | None:
        """A field's value that was not measured, or the number that lies furthest outside, in words; None where none does."""
        for name, values in self._values.items():
            if getattr(shape, name) not in values:
                found, measured = str(getattr(shape, name)).lower(), " and ".join(sorted(str(value).lower() for value in values))
                return f"{name} is {found}, measured were {measured}"
        name, worst, words = max(self._beyond(shape), key=lambda each: each[1])
        return f"{name} is {words}" if worst > FAR_OUTSIDE else None

    def _beyond(self, shape: Architecture) -> Iterator[tuple[str, float, str]]:
        """Each of the shape's numbers: its name, the factor by which it lies outside of the measured ones, and both in words."""
        for name, value, seen in zip(self._names, _numbers(shape).values(), self._numbers.T, strict=True):
            low, high = float(seen.min()), float(seen.max())
            yield name, max(value / high, low / value), f"{value:,.0f}, measured were {low:,.0f} to {high:,.0f}"


def stretch(scores: Array) -> float:
    """How much wider normal intervals must be for these standard scores to lie in them as often as they say; not below 1.

    The score at the level, counted as if one more had been beyond it (split conformal prediction, Vovk et al. 2005).
    """
    ordered = np.sort(np.abs(scores))
    place = min(math.ceil(LEVEL * (len(ordered) + 1)), len(ordered)) - 1
    return max(1.0, float(ordered[place] / standard_errors()))


def _numbers(shape: Architecture) -> dict[str, float]:
    """What the range of a table is told in."""
    return {
        "parameters": float(parameters(shape)),
        "vocab_size": float(shape.vocab_size),
        "hidden_size": float(shape.hidden_size),
        "num_hidden_layers": float(shape.num_hidden_layers),
        "intermediate_size": float(shape.intermediate_size),
        "head_dim": float(shape.head_dim),
    }


def _seen(names: Sequence[str], decode: Array) -> npt.NDArray[np.bool_]:
    """Which terms of decoding may have a price: not the end of a cache beyond which too few shapes reach."""
    read = sum(decode[:, names.index(name)] for name in WEIGHT_TERMS)
    return np.array(
        [
            not name.startswith(BEYOND_CACHE) or bool((column > SEEN_BEYOND * read).sum() >= SHAPES_BEYOND)
            for name, column in zip(names, decode.T, strict=True)
        ]
    )
