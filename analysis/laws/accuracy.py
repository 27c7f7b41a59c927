"""From loss to accuracy: the second step of a ladder, whose first is the law of the loss.

Accuracy on a task is near chance while the loss is high and near its ceiling once it is low, with a steep part between: a sigmoid of the
loss, as OLMo's model ladders have it (Bhagia et al. 2024, arXiv 2412.04403). The loss may be the task's own, which follows accuracy
more closely than that of the pre-training text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import least_squares
from scipy.special import expit

from analysis.laws.runs import Runs
from analysis.statistics.arrays import Array
from analysis.statistics.intervals import percentile_interval
from search_space.errors import SpecError

LEAST_ACCURACIES = 6
"""Rows with an accuracy: the sigmoid has four unknowns."""
ENOUGH_GROUPS = 3
"""Trainings with an accuracy: the intervals come from resampling trainings, and of fewer there is hardly another sample."""
SIGMOID_REFITS = 200
QUANTILE = 1.645
"""Standard deviations from the middle to either end of a 90 % interval of a normal distribution."""
SIGMOID_PARAMETERS = ("floor", "ceiling", "slope", "middle")


@dataclass(frozen=True)
class AccuracyCurve:
    """The sigmoid, and refits of it to resampled trainings."""

    parameters: Array
    """`floor` at a high loss, `ceiling` at a low one, `slope` per nat and the loss in the `middle`; shape (4,)."""
    refits: Array
    """Shape (refits, 4)."""
    spread: float
    """Standard deviation of the accuracies around it."""
    seen: tuple[float, float]
    """Lowest and highest loss that it was fitted to."""
    seed: int

    def at(self, loss: float, low: float, high: float) -> dict[str, Any]:
        """Accuracy of a new run whose loss is expected there with that 90 % interval; plain data."""
        random = np.random.default_rng(self.seed)
        deviation = (np.log(high) - np.log(low)) / (2 * QUANTILE)
        losses = np.exp(np.log(loss) + deviation * random.standard_normal(len(self.refits)))
        found = sigmoid(losses, self.refits.T) + self.spread * random.standard_normal(len(losses))
        ends = np.clip(percentile_interval(found), 0, 1)
        centre = float(sigmoid(np.array([loss]), self.parameters)[0])
        outside = not self.seen[0] <= loss <= self.seen[1]
        return {"loss": loss, "accuracy": centre, "low": float(ends[0]), "high": float(ends[1]), "extrapolated": outside}

    def as_dict(self) -> dict[str, Any]:
        """Parameters with their 90 % intervals, ready for JSON."""
        return {
            "formula": "accuracy = floor + (ceiling - floor) / (1 + exp(slope (loss - middle)))",
            "source": "Bhagia et al. 2024, arXiv 2412.04403",
            "parameters": dict(zip(SIGMOID_PARAMETERS, self.parameters.tolist(), strict=True)),
            "intervals": {name: list(percentile_interval(values)) for name, values in zip(SIGMOID_PARAMETERS, self.refits.T, strict=True)},
            "residual_spread": self.spread,
            "seen_losses": list(self.seen),
        }


def sigmoid(losses: Array, parameters: Sequence[Any] | Array) -> Array:
    """Accuracy at these losses; floor, ceiling, slope and middle may be arrays as long as the losses."""
    floor, ceiling, slope, middle = parameters
    found: Array = floor + (ceiling - floor) * expit(-slope * (losses - middle))
    return found


def fit_accuracy(runs: Runs, seed: int = 0) -> AccuracyCurve:
    """The curve of runs with the variable `accuracy`, NaN where a run has none; raises SpecError where there are too few."""
    known = ~np.isnan(runs.variables["accuracy"])
    losses, accuracies, groups = runs.losses[known], runs.variables["accuracy"][known], runs.groups[known]
    if len(np.unique(losses)) < LEAST_ACCURACIES:
        raise SpecError(
            f"a curve from loss to accuracy needs runs of at least {LEAST_ACCURACIES} different losses with an accuracy, "
            f"found {len(np.unique(losses))}; add runs"
        )
    names = np.unique(groups)
    if len(names) < ENOUGH_GROUPS:
        raise SpecError(
            f"an interval of the accuracy needs accuracies of at least {ENOUGH_GROUPS} trainings, found {len(names)}, whose points lie on "
            "one curve; add trainings"
        )
    fit, random = _fit(losses, accuracies), np.random.default_rng(seed)
    members = [np.flatnonzero(groups == name) for name in names]
    refits: list[Array] = []
    while len(refits) < SIGMOID_REFITS:
        rows = np.concatenate([members[place] for place in random.integers(len(names), size=len(names))])
        if len(np.unique(losses[rows])) >= len(SIGMOID_PARAMETERS):
            refits.append(_fit(losses[rows], accuracies[rows], fit))
    freedom = max(len(losses) - len(SIGMOID_PARAMETERS), 1)
    spread = float(np.sqrt(((accuracies - sigmoid(losses, fit)) ** 2).sum() / freedom))
    return AccuracyCurve(fit, np.array(refits), spread, (float(losses.min()), float(losses.max())), seed)


def _fit(losses: Array, accuracies: Array, start: Array | None = None) -> Array:
    """Least squares from several beginnings, or from one; accuracy falls with the loss, between 0 and 1."""
    span = float(np.ptp(losses)) or 1.0
    low, high = float(accuracies.min()), float(accuracies.max())
    middles = np.quantile(losses, (0.0, 0.25, 0.5, 0.75))
    starts = [np.array([low, high, slope / span, middle]) for middle in middles for slope in (3.0, 12.0)] if start is None else [start]
    bounds = ([0.0, 0.0, 0.1 / span, losses.min() - span], [1.0, 1.0, 200.0 / span, losses.max() + span])
    inside = [np.clip(each, np.array(bounds[0]) + 1e-9, np.array(bounds[1]) - 1e-9) for each in starts]

    def off(parameters: Array) -> Array:
        return sigmoid(losses, parameters) - accuracies

    found = [least_squares(off, each, bounds=bounds) for each in inside]
    best: Array = min(found, key=lambda each: float(each.cost)).x
    return best


def describe_accuracy(runs: Runs, predictions: Sequence[Mapping[str, Any]], seed: int) -> dict[str, Any]:
    """The curve, and the accuracy of each predicted loss with both steps' uncertainty; plain data."""
    curve = fit_accuracy(runs, seed)
    return curve.as_dict() | {"predictions": [curve.at(each["loss"], each["low"], each["high"]) for each in predictions]}


def accuracy_sentences(answer: Mapping[str, Any]) -> list[str]:
    """The curve in words."""
    p, ends = answer["parameters"], answer["intervals"]
    top, middle = (f"[{ends[name][0]:{form}}, {ends[name][1]:{form}}]" for name, form in (("ceiling", ".1%"), ("middle", ".3g")))
    said = [
        f"accuracy goes from {p['floor']:.1%} to {p['ceiling']:.1%} {top}, half of it at a loss of {p['middle']:.3g} {middle}; "
        f"runs lie {answer['residual_spread']:.1%} around it"
    ]
    for each in answer["predictions"]:
        beyond = ", outside the losses seen" if each["extrapolated"] else ""
        said.append(
            f"predicted accuracy: {each['accuracy']:.1%} [{each['low']:.1%}, {each['high']:.1%}] at a loss of {each['loss']:.4g}{beyond}"
        )
    return said
