"""Whether one learning rate suits every shape: each shape's best rate, what the common one costs it, and what a seed does."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Any, Self

from analysis.records.checked import PositiveFloat, from_json
from analysis.text import words
from analysis.text.columns import wrapped_table
from search_space.architecture import Architecture

RATE_RUNS = "rates.jsonl"
"""File of a check's directory with its trainings."""
NEAR_FACTOR = 2.0
"""A best rate within this factor of the common one is near it."""
GOAL = 0.8
"""The share of the shapes to which the common rate should cost less than the seed noise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateRun:
    """One training of a shape at a multiple of the study's rates."""

    architecture: Architecture
    factor: PositiveFloat
    """Rates of the run over those of the study."""
    seed: int
    recipe: str
    """Hexadecimal digits that name the rest of the recipe and the text: only runs of one recipe are compared."""
    bits_per_byte: PositiveFloat | None
    """Bits per byte on the validation split; None where the run did not come to its end."""
    reason: str | None = None
    """Why it did not."""

    @property
    def title(self) -> str:
        """`5x64 4/1x16 f172 at x2, seed 0: 2.679 bits per byte`, or why there is no such number."""
        ended = self.reason if self.bits_per_byte is None else f"{words.bits_text(self.bits_per_byte)} bits per byte"
        return f"{self.architecture.label} at x{self.factor:g}, seed {self.seed}: {ended}"

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {name: getattr(self, name) for name in self.__slots__} | {"architecture": self.architecture.as_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The reverse of `as_dict`; raises ValueError where a field is wrong."""
        return from_json(cls, values)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeRates:
    """One shape's losses over the grid."""

    shape: str
    num_hidden_layers: int
    losses: Mapping[float, float | None]
    """Factor -> bits per byte; None where the run did not come to its end."""
    best_factor: float | None
    """Vertex of the parabola through the grid's best and its neighbours, in the logarithm of the rate; None where no run ended."""
    at_edge: bool
    """Whether the best of the grid is its first or last, or has a neighbour that failed: the true best may lie beyond."""
    lost: float | None
    """Bits per byte that the common rate loses against the best one (against the grid's best where that is at the edge)."""
    seed_difference: float | None
    """Bits per byte between the two seeds at the common rate."""

    @property
    def near(self) -> bool:
        """Whether the best rate is known to lie within a factor of 2 of the common one."""
        return self.best_factor is not None and not self.at_edge and 1 / NEAR_FACTOR <= self.best_factor <= NEAR_FACTOR


@dataclass(frozen=True, slots=True, kw_only=True)
class RateCheck:
    """The answer for all shapes of one recipe."""

    shapes: tuple[ShapeRates, ...]
    seed_noise: float | None
    """Standard deviation between seeds at the common rate, pooled over the shapes; None before any has two."""
    better_factor: float | None
    """The factor of the grid with the lowest mean loss over the shapes; None where none finished for every shape."""
    gain: float | None
    """Bits per byte, in the mean, that the better factor saves against the common rate."""

    @property
    def cheap(self) -> int:
        """Number of shapes to which the common rate costs less than the seed noise."""
        return sum(each.lost is not None and self.seed_noise is not None and each.lost < self.seed_noise for each in self.shapes)

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON, with the conclusion."""
        shapes = [asdict(each) | {"losses": {f"{factor:g}": loss for factor, loss in each.losses.items()}} for each in self.shapes]
        return {**asdict(self), "shapes": shapes, "conclusion": rate_check_sentence(self)}


def check_directory(directory: Path) -> Path:
    """Where the check of a study lies that was given no directory of its own: beside the study's, from wherever that is named."""
    named = directory if directory.name not in ("", "..") else Path(os.path.abspath(directory))
    return named.parent / f"{named.name}-lr-check"


def check_directories(directory: Path, study_name: str) -> list[Path]:
    """Where a study in that directory may have such a check: it may have been made before the study had a directory of another name."""
    own = check_directory(directory)
    return list(dict.fromkeys([own, check_directory(own.parent / study_name)]))


def check_rates(runs: Iterable[RateRun], common_seed: int) -> RateCheck:
    """Judge the runs of one recipe; those of `common_seed` make the grid, others are second seeds at the common rate."""
    by_shape: dict[Architecture, list[RateRun]] = {}
    for run in runs:
        by_shape.setdefault(run.architecture, []).append(run)
    shapes = tuple(_shape_rates(shape, several, common_seed) for shape, several in by_shape.items())
    differences = [each.seed_difference for each in shapes if each.seed_difference is not None]
    noise = math.sqrt(sum(each**2 for each in differences) / (2 * len(differences))) if differences else None
    means = _mean_losses(shapes)
    better = min(means, key=lambda factor: means[factor], default=None)
    gain = means[1.0] - means[better] if better is not None and 1.0 in means else None
    return RateCheck(shapes=shapes, seed_noise=noise, better_factor=better, gain=gain)


def _shape_rates(shape: Architecture, runs: Sequence[RateRun], common_seed: int) -> ShapeRates:
    losses = {run.factor: run.bits_per_byte for run in sorted(runs, key=lambda run: run.factor) if run.seed == common_seed}
    common = losses.get(1.0)
    other = next((run.bits_per_byte for run in runs if run.seed != common_seed and run.factor == 1), None)
    best, lowest, at_edge = _best(losses)
    return ShapeRates(
        shape=shape.label,
        num_hidden_layers=shape.num_hidden_layers,
        losses=losses,
        best_factor=best,
        at_edge=at_edge,
        lost=None if common is None or lowest is None else common - lowest,
        seed_difference=None if common is None or other is None else abs(common - other),
    )


def _best(losses: Mapping[float, float | None]) -> tuple[float | None, float | None, bool]:
    """The best factor, the loss there, and whether it is at the edge of what was tried."""
    finished = [(factor, loss) for factor, loss in losses.items() if loss is not None]
    if not finished:
        return None, None, True
    factor, lowest = min(finished, key=lambda pair: pair[1])
    place = [*losses].index(factor)
    around = [*losses.items()][max(0, place - 1) : place + 2]
    if len(around) < 3 or any(loss is None for _, loss in around):
        return factor, lowest, True
    return *_vertex([(each, loss) for each, loss in around if loss is not None]), False


def _vertex(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The lowest point of the parabola in log factor through three points of which none is below the second."""
    (x0, y0), (x1, y1), (x2, y2) = ((math.log(factor), loss) for factor, loss in points)
    left, right = (y0 - y1) / (x1 - x0), (y2 - y1) / (x2 - x1)  # slopes towards the middle, neither negative
    curvature = (left + right) / (x2 - x0)
    if curvature <= 0:  # three equal losses
        return points[1]
    slope = right - curvature * (x2 - x1)  # of the parabola at the middle
    return math.exp(x1 - slope / (2 * curvature)), y1 - slope**2 / (4 * curvature)


def _mean_losses(shapes: Sequence[ShapeRates]) -> dict[float, float]:
    """Factor -> mean loss, for the factors at which every shape came to its end."""
    means: dict[float, float] = {}
    for factor in sorted({factor for each in shapes for factor in each.losses}):
        losses = [each.losses.get(factor) for each in shapes]
        finished = [loss for loss in losses if loss is not None]
        if len(finished) == len(shapes):
            means[factor] = mean(finished)
    return means


def rate_table(check: RateCheck, width: int | None = None) -> str:
    """A row for each shape, then the conclusion; `width` is that of a terminal."""
    return "\n".join([*wrapped_table(rate_rows(check), (0,), width), "", rate_check_sentence(check)])


def rate_rows(check: RateCheck) -> list[tuple[str, ...]]:
    """A row for each shape, the heading first."""
    factors = sorted({factor for each in check.shapes for factor in each.losses})
    rows: list[tuple[str, ...]] = [("shape", "layers", *(f"x{factor:g}" for factor in factors), "best rate", "lost", "seeds differ by")]
    for each in check.shapes:
        best = words.ABSENT if each.best_factor is None else f"x{each.best_factor:.2g}{' or beyond' if each.at_edge else ''}"
        losses = [words.bits_text(each.losses.get(factor)) for factor in factors]
        rows.append((each.shape, str(each.num_hidden_layers), *losses, best, _number(each.lost), _number(each.seed_difference)))
    return rows


def rate_check_sentence(check: RateCheck) -> str:
    """The answer in plain words."""
    count = len(check.shapes)
    if not count:
        return "No shape was trained."
    near = sum(each.near for each in check.shapes)
    said = f"The common rate is within a factor of {NEAR_FACTOR:g} of the best one for {near} of {count} shapes"
    if check.seed_noise is None:
        return f"{said}; what a seed does is not known, so what it costs cannot be judged."
    kept = near == count and check.cheap >= GOAL * count
    said += f" and costs less than the seed noise ({check.seed_noise:.3f} bits per byte) for {check.cheap} of {count}: "
    said += "one rate suits them all." if kept else "shapes are not compared at their best."
    edges = sum(each.at_edge for each in check.shapes)
    if edges:
        said += f" For {edges} the best lies at the edge of the grid, or beyond."
    if check.better_factor is not None and check.gain is not None and check.gain > check.seed_noise / math.sqrt(count):
        said += f" Rates x{check.better_factor:g} are better by {check.gain:.3f} bits per byte in the mean."
    return said


def _number(value: float | None) -> str:
    return words.ABSENT if value is None else f"{value:.3f}"
